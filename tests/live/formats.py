"""Reads files with readers that know nothing of who wrote them, and prints what is in them.

Standard input: JSON, a list of {"file", "reader", "columns": [[name, type]...], "options": {...}}.
Standard output: JSON, for each of them {"types": [...], "rows": [[value...]...]}, or {"error": "..."}.

A type is "int", "float32", "float64", "bool", "decimal", "text", "json", "bytes", "uuid", "date" (days), "time",
"timestamp", "instant", "duration" (microseconds), {"list": type} or {"record": [[name, type]...]}. Values are written
so that nothing is lost on the way: decimals, documents, bytes and doubles (by their bits) as strings.
"""

import base64
import decimal
import json
import math
import re
import struct
import sys

import duckdb
import pyarrow
import pyarrow.csv
import pyarrow.parquet


def kind_of(type_):
    return next(iter(type_)) if isinstance(type_, dict) else type_


def bits(value, type_):
    if math.isnan(value):
        return "nan"
    return struct.pack(">f" if type_ == "float32" else ">d", value).hex()


def without_spaces(document):
    """A JSON document without what stands between its tokens."""
    return "".join(piece if piece.startswith('"') else re.sub(r"\s", "", piece)
                   for piece in re.split(r'("(?:[^"\\]|\\.)*")', document))


# Texts, back to values: what a reader of CSV and JSON has to do.

def days(year, month, day):
    """Days since 1970-01-01 in the proleptic Gregorian calendar, of any year."""
    before = year - 1
    lengths = [31, 29 if year % 4 == 0 and (year % 100 != 0 or year % 400 == 0) else 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31]
    since_year_1 = before * 365 + before // 4 - before // 100 + before // 400
    return since_year_1 + sum(lengths[:month - 1]) + day - 1 - 719162


def date_of(text):
    sign, year, month, day = re.fullmatch(r"([+-]?)(\d{4,})-(\d\d)-(\d\d)", text).groups()
    assert (sign == "+") == (len(year) > 4 and sign != "-"), text
    return days(-int(year) if sign == "-" else int(year), int(month), int(day))


def span_of(text):
    sign, hours, minutes, seconds, micros = re.fullmatch(r"(-?)(\d{2,}):(\d\d):(\d\d)\.(\d{6})", text).groups()
    micros = ((int(hours) * 60 + int(minutes)) * 60 + int(seconds)) * 1_000_000 + int(micros)
    return -micros if sign else micros


def moment_of(text):
    date, time = text.split("T")
    return date_of(date) * 86_400_000_000 + span_of(time)


def float_of(text):
    # The words are Python's own, too.
    return float(text)


def of_text(text, type_, binary):
    """The value of a text, which is not NULL."""
    kind = kind_of(type_)
    if kind == "int":
        assert re.fullmatch(r"-?\d+", text), text
        return int(text)
    if kind in ("float32", "float64"):
        return bits(float_of(text), type_)
    if kind == "bool":
        return {"true": True, "false": False}[text]
    if kind == "decimal":
        assert re.fullmatch(r"-?\d+(\.\d+)?", text), text
        return text
    if kind == "text":
        return text
    if kind == "json":
        return without_spaces(text)
    if kind == "bytes":
        return (bytes.fromhex(text) if binary == "hex" else base64.b64decode(text, validate=True)).hex()
    if kind == "uuid":
        assert re.fullmatch(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", text), text
        return text.replace("-", "")
    if kind == "date":
        return date_of(text)
    if kind in ("time", "duration"):
        return span_of(text)
    if kind == "timestamp":
        return moment_of(text)
    if kind == "instant":
        assert text.endswith("Z"), text
        return moment_of(text[:-1])
    return of_json(loads(text), type_, binary)


class Number(str):
    """A JSON number as it is written."""


def loads(text):
    def refuse(word):
        raise ValueError(f"{word} is no JSON")
    return json.loads(text, parse_int=Number, parse_float=Number, parse_constant=refuse)


def dumps(value):
    if isinstance(value, Number):
        return str(value)
    if isinstance(value, dict):
        return "{" + ",".join(dumps(key) + ":" + dumps(inner) for key, inner in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ",".join(dumps(inner) for inner in value) + "]"
    return json.dumps(value, ensure_ascii=False)


def of_json(value, type_, binary, document=False):
    """The value of something read from JSON; `document` where documents are embedded."""
    kind = kind_of(type_)
    if kind == "json" and document:
        return dumps(value)
    if value is None:
        return None
    if kind == "list":
        return [of_json(item, type_["list"], binary, document) for item in value]
    if kind == "record":
        assert list(value) == [name for name, _ in type_["record"]], value
        return [of_json(value[name], inner, binary, document) for name, inner in type_["record"]]
    if kind == "bool":
        assert isinstance(value, bool)
        return value
    if kind in ("int", "decimal"):
        assert isinstance(value, Number), value
    elif kind in ("float32", "float64"):
        assert isinstance(value, Number) or value in ("NaN", "Infinity", "-Infinity"), value
    else:
        assert not isinstance(value, Number), value
    return of_text(str(value), type_, binary)


# Parquet through pyarrow: arrays, since Python has neither the years nor the hours of some values.

def of_array(array, type_):
    kind = kind_of(type_)
    if isinstance(array, pyarrow.ChunkedArray):
        array = array.combine_chunks()
    if isinstance(array, pyarrow.ExtensionArray):
        array = array.storage
    if kind == "list":
        items = of_array(array.values, type_["list"])
        offsets = array.offsets.to_pylist()
        return [items[offsets[row]:offsets[row + 1]] if valid else None
                for row, valid in enumerate(array.is_valid().to_pylist())]
    if kind == "record":
        columns = [of_array(array.field(index), inner) for index, (_, inner) in enumerate(type_["record"])]
        return [[column[row] for column in columns] if valid else None
                for row, valid in enumerate(array.is_valid().to_pylist())]
    if kind == "date":
        return array.cast(pyarrow.int32()).to_pylist()
    if kind in ("time", "timestamp", "instant", "duration"):
        return array.cast(pyarrow.int64()).to_pylist()

    def value_of(value):
        if value is None:
            return None
        if kind in ("float32", "float64"):
            return bits(value, type_)
        if kind == "decimal":
            return format(value, "f")
        if kind in ("bytes", "uuid"):
            return value.hex()
        return without_spaces(value) if kind == "json" else value

    return [value_of(value) for value in array.to_pylist()]


def parquet_pyarrow(file, columns, options):
    table = pyarrow.parquet.read_table(file)
    assert table.column_names == [name for name, _ in columns], table.column_names
    values = [of_array(table.column(index), type_) for index, (_, type_) in enumerate(columns)]
    types = [str(field.type) for field in table.schema]
    return {"types": types, "rows": [[column[row] for column in values] for row in range(table.num_rows)]}


# Parquet through DuckDB: SQL that turns each value into something Python holds.

def expression(value, type_):
    kind = kind_of(type_)
    if kind == "list":
        return f"list_transform({value}, lambda x: {expression('x', type_['list'])})"
    if kind == "record":
        fields = ", ".join(f"f{index} := {expression(quoted(value, name), inner)}"
                           for index, (name, inner) in enumerate(type_["record"]))
        return f"case when {value} is not null then struct_pack({fields}) end"
    return {
        "date": f"({value} - date '1970-01-01')",
        "time": f"epoch_us({value})",
        "timestamp": f"epoch_us({value})",
        "instant": f"epoch_us({value})",
        "decimal": f"cast({value} as varchar)",
        "uuid": f"replace(cast({value} as varchar), '-', '')",
        "json": f"cast({value} as varchar)",
        "bytes": f"lower(hex({value}))",
    }.get(kind, value)


def quoted(value, name):
    return value + '."' + name.replace('"', '""') + '"'


def of_duckdb(value, type_):
    kind = kind_of(type_)
    if value is None:
        return None
    if kind == "list":
        return [of_duckdb(item, type_["list"]) for item in value]
    if kind == "record":
        return [of_duckdb(value[f"f{index}"], inner) for index, (_, inner) in enumerate(type_["record"])]
    if kind == "decimal":
        # DuckDB leaves out a zero before the point.
        return re.sub(r"^(-?)\.", r"\g<1>0.", value)
    if kind in ("float32", "float64"):
        return bits(value, type_)
    return without_spaces(value) if kind == "json" else value


def parquet_duckdb(file, columns, options):
    connection = duckdb.connect()
    source = f"read_parquet('{file}') t"
    types = [row[1] for row in connection.execute(f"describe select * from {source}").fetchall()]
    chosen = ", ".join(expression(quoted("t", name), type_) for name, type_ in columns)
    rows = connection.execute(f"select {chosen} from {source}").fetchall()
    return {"types": types, "rows": [[of_duckdb(value, type_) for value, (_, type_) in zip(row, columns)] for row in rows]}


# CSV: every column as text, NULL told from quoted texts, then of_text.

def decoded(rows, columns, options):
    binary = options.get("binary", "hex")
    return [[None if value is None else of_text(value, type_, binary) for value, (_, type_) in zip(row, columns)]
            for row in rows]


def csv_duckdb(file, columns, options):
    connection = duckdb.connect()
    names = {name: "VARCHAR" for name, _ in columns}
    relation = connection.execute(
        f"select * from read_csv('{file}', auto_detect=false, header=?, delim=?, quote='\"', escape='\"', nullstr=?, "
        "allow_quoted_nulls=false, strict_mode=true, parallel=false, columns=?)",
        [options["header"], options["delimiter"], options["null"], names],
    )
    return {"types": [], "rows": decoded(relation.fetchall(), columns, options)}


def csv_pyarrow(file, columns, options):
    names = [name for name, _ in columns]
    table = pyarrow.csv.read_csv(
        file,
        read_options=pyarrow.csv.ReadOptions(column_names=names, skip_rows=0),
        parse_options=pyarrow.csv.ParseOptions(delimiter=options["delimiter"], newlines_in_values=True),
        convert_options=pyarrow.csv.ConvertOptions(
            column_types={name: pyarrow.string() for name in names},
            null_values=[options["null"]],
            strings_can_be_null=True,
            quoted_strings_can_be_null=False,
        ),
    )
    rows = [list(row.values()) for row in table.to_pylist()]
    if options["header"]:
        assert rows.pop(0) == names
    return {"types": [], "rows": decoded(rows, columns, options)}


def json_python(file, columns, options):
    with open(file, encoding="utf-8", newline="\n") as lines:
        rows = [loads(line) for line in lines]
    record = {"record": columns}
    return {"types": [], "rows": [of_json(row, record, "base64", options["embedded"]) for row in rows]}


def json_duckdb(file, columns, options):
    connection = duckdb.connect()
    names = {name: "JSON" for name, _ in columns}
    relation = connection.execute(f"select * from read_json('{file}', format='newline_delimited', columns=?)", [names])
    rows = [[of_json(None if value is None else loads(value), type_, "base64", options["embedded"])
             for value, (_, type_) in zip(row, columns)] for row in relation.fetchall()]
    return {"types": [], "rows": rows}


READERS = {
    "parquet_pyarrow": parquet_pyarrow,
    "parquet_duckdb": parquet_duckdb,
    "csv_duckdb": csv_duckdb,
    "csv_pyarrow": csv_pyarrow,
    "json_python": json_python,
    "json_duckdb": json_duckdb,
}


def main():
    decimal.getcontext().prec = 100
    results = []
    for task in json.load(sys.stdin):
        try:
            results.append(READERS[task["reader"]](task["file"], task["columns"], task.get("options", {})))
        except Exception as error:
            results.append({"error": f"{type(error).__name__}: {error}"})
    json.dump(results, sys.stdout)


main()
