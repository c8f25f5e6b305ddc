"""check.py FORMAT FILE...: reads the files with DuckDB and prints, as JSON, the digest of their rows (lineitem.DIGEST) and how
the first row's price and ship date arrived: their types in Parquet, their text elsewhere. Runs in the bench's own Python."""

import json
import sys

import duckdb
from lineitem import COLUMNS, DIGEST


def cast(name: str, kind: str) -> str:
    # some tools write a date with a time of day
    value = f"left({name}::varchar, 10)" if kind == "date" else name
    return f"{value}::{'varchar' if 'char' in kind else kind} as {name}"


def main(form: str, files: list[str]) -> None:
    columns = [line.rstrip(",").split()[:2] for line in COLUMNS.strip().splitlines()]
    read = {
        "parquet": "read_parquet($files)",
        "csv": "read_csv($files, header = true, all_varchar = true)",
        "json": f"read_json($files, format = 'newline_delimited', columns = {dict.fromkeys((name for name, _ in columns), 'varchar')})",
    }[form]
    shown = "typeof(l_extendedprice) || ', ' || typeof(l_shipdate)" if form == "parquet" else "l_extendedprice || ', ' || l_shipdate"
    with duckdb.connect() as connection:
        lineitem = f"with lineitem as (select {', '.join(cast(name, kind) for name, kind in columns)} from {read})"
        digest = connection.execute(f"{lineitem} {DIGEST.format(length='length')}", {"files": files}).fetchone()
        first = connection.execute(f"select {shown} from {read} where l_orderkey::bigint = 1 and l_linenumber::int = 1", {"files": files}).fetchone()
    print(json.dumps({"digest": [str(value) for value in digest or ()], "shown": first[0] if first else ""}))


main(sys.argv[1], sys.argv[2:])
