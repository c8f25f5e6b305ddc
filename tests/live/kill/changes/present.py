"""What the tests of changes compare with: reads the live files and the server with other programs than ours.

    present.py CASE LIVE

CASE is JSON: url (of the server), database, format, place ("s3://bucket/prefix" or a path), moved (whether the log is one
of several servers, and began behind all snapshots) and tables (those of the stream; null for all). LIVE is a file with the paths or URLs that `tidemark files` lists, one a line. It ends with a code other than 0
where anything is wrong, and prints what there was.
"""

import collections
import json
import os
import pathlib
import sys
import tempfile

import boto3
import duckdb
import pyarrow

import kinds
from tables import AUDIT, TABLES, connect, key_names

# How we write a value of a type, read as text.
FILES = {"datetime": "strftime({0}::timestamp, '%Y-%m-%d %H:%M:%S.%f')", "binary": "{hex}", "decimal": "({0}::decimal(12,2))::varchar"}
HEX = {"parquet": "lower(hex({0}))", "json": "lower(hex(from_base64({0})))"}
ENTRY = r"-(\d{20})-\d{6}\.[a-z.]+$"


class Files:
    """The rows of the live files, by table."""

    def __init__(self, case, live, folder):
        self.case, self.sql, self.server = case, duckdb.connect(), kinds.of(case["url"])
        self.tables = collections.defaultdict(list)
        names = [path.removeprefix(case["place"] + "/") for path in live]
        for path, name in zip(live, names):
            assert name != path, f"{path} is not below {case['place']}"
        if case["place"].startswith("s3://"):
            live = fetched(case, names, folder)
        for path, name in zip(live, names):
            self.tables[name.split("/")[0]].append(path)
        read = {
            "parquet": "read_parquet($1, union_by_name = true, filename = true)",
            "json": "read_json($1, format = 'newline_delimited', union_by_name = true, filename = true, sample_size = -1, map_inference_threshold = -1)",
        }[case["format"]]
        own = f"regexp_extract(filename, '{ENTRY}', 1)::bigint as entry, {self.server.number} as number"
        for table, paths in self.tables.items():
            self.sql.execute(f"create table {table} as select * exclude (filename), {own} from {read}", [paths])
            self.unlisted(table)

    def unlisted(self, table):
        """A column of lists that never held one has another type, or is not there."""
        columns = dict(self.sql.execute(f"select column_name, data_type from duckdb_columns() where table_name = '{table}'").fetchall())
        if columns.get("_unchanged") != "VARCHAR[]":
            if "_unchanged" in columns:
                self.sql.execute(f"alter table {table} drop column _unchanged")
            self.sql.execute(f"alter table {table} add column _unchanged varchar[]")

    def rows(self, sql):
        return self.sql.execute(sql).fetchall()

    def all_of(self, columns, condition="true"):
        return " union all ".join(f"select '{table}' as tab, {columns} from {table} where {condition}" for table in self.tables)


def none(rows, what):
    assert not rows, f"{what}: {len(rows)}, of which {rows[:5]}"


def fetched(case, names, folder):
    bucket, prefix = case["place"].removeprefix("s3://").split("/", 1)
    keys = {"aws_access_key_id": os.environ["TIDEMARK_TEST_S3_KEY"], "aws_secret_access_key": os.environ["TIDEMARK_TEST_S3_SECRET"]}
    s3 = boto3.client("s3", endpoint_url=os.environ["TIDEMARK_TEST_S3"], region_name="us-east-1", **keys)
    paths = [pathlib.Path(folder, name) for name in names]
    for path, name in zip(paths, names):
        path.parent.mkdir(exist_ok=True)
        s3.download_file(bucket, f"{prefix}/{name}", str(path))
    return [str(path) for path in paths]


def of_server(server, connection, table, columns):
    cursor = connection.cursor()
    texts = [server.as_text(server.texts.get(kind, "{0}"), name) for name, kind in columns]
    cursor.execute(f"select {', '.join(texts)} from {table}")
    return collections.Counter(cursor.fetchall())


def of_files(files, table, columns):
    """The present state: of the rows after the newest that says that all went, per key the newest, where it is no row that went;
    a column that was not sent takes the newest earlier value of that key."""
    keys = key_names(table)
    there = dict(files.rows(f"select column_name, data_type from duckdb_columns() where table_name = '{table}'"))
    texts, values = [], []
    for at, (name, kind) in enumerate(columns):
        # A column that came and of which no row has told yet is null.
        value = f'"{name}"' if name in there else "null"
        values.append(f"arg_max({{'v': {value}}}, _seq) filter (where not list_contains(coalesce(_unchanged, []), '{name}')).v as c{at}")
        form = FILES.get(kind, "{0}::varchar").replace("{hex}", HEX[files.case["format"]])
        texts.append(form.format(f"c{at}"))
    sql = f"""
        with after as (select * from {table} where _op <> 't' and _seq > coalesce((select max(_seq) from {table} where _op = 't'), -1)),
        newest as (select {", ".join(values)}, arg_max(_op, _seq) as op from after group by {", ".join(keys)})
        select {", ".join(texts)} from newest where op <> 'd'"""
    return collections.Counter(files.rows(sql))


def present(files, connection):
    """The present state is the tables."""
    total = 0
    for table in files.case["tables"] or [*TABLES, AUDIT]:
        columns = [(name, of.split("(")[0]) for name, of in files.server.columns(connection.cursor(), table)]
        server = of_server(files.server, connection, table, columns)
        ours = of_files(files, table, columns) if table in files.tables else collections.Counter()
        total += sum(server.values())
        if ours != server:
            more, less = list((ours - server).elements()), list((server - ours).elements())
            names = [name for name, _ in columns]
            raise AssertionError(f"{table}: {len(more)} rows of the files are not there, {len(less)} are missing; {names}: {more[:3]} {less[:3]}")
    return total


def numbers(files):
    """Each `_seq` is there once; in a table they are in the order of the log."""
    none(files.rows(f"select _seq, list(tab) from ({files.all_of('_seq')}) group by _seq having count(*) > 1"), "numbers that are there twice")
    if files.case["moved"]:
        return
    for table in files.tables:
        # A row of a snapshot, or that begins one, has a place too, and stands behind it.
        sql = f"select _seq, number, lag(number) over (order by _seq) before from {table} where _op in ('c', 'u', 'd')"
        none(files.rows(f"select * from ({sql}) where number < before"), f"{table}: changes that are not in the log's order")


def whole(files):
    """No transaction is split by a commit."""
    all_rows = files.all_of("_position, entry", "_op in ('c', 'u', 'd')")
    split = f"select _position, list(distinct tab), list(distinct entry) from ({all_rows}) group by 1 having count(distinct entry) > 1"
    none(files.rows(split), "transactions that are split by a commit")


def marks(files, connection):
    """Each change is there once, and none that came to nothing."""
    cursor = connection.cursor()
    cursor.execute(f"select mark from {AUDIT}")
    given = pyarrow.table({"mark": pyarrow.array([mark for mark, in cursor.fetchall()], pyarrow.int64())})
    files.sql.register("audited", given)
    for table in TABLES:
        if table not in files.tables:
            continue
        keys = ", ".join(key_names(table))
        twice = f"select mark, {keys}, count(*), list(_seq) from {table} where _op in ('c', 'u') group by mark, {keys} having count(*) > 1"
        none(files.rows(twice), f"{table}: changes that are there twice")
        invented = f"select mark, _op, _position from {table} where mark is not null and mark not in (select mark from audited)"
        none(files.rows(invented), f"{table}: changes that were rolled back")


def is_read_anew(files, table):
    """Whether changes of it may be in a snapshot instead."""
    anew = f"select count(*) from {table} where _op = 'r' and _seq > (select min(_seq) from {table} where _op = 't')"
    return files.server.rereads and files.rows(anew)[0][0] > 0


def complete(files):
    """Of tables that were never read anew, all that a transaction did is there, with it."""
    statements = 0
    for table, (kind, way) in TABLES.items():
        if way == "rebuilt" or table not in files.tables or (way == "altered" and is_read_anew(files, table)):
            continue
        first = f"(select min(number) from {table} where _op in ('c', 'u', 'd'))"
        since = f"number >= {first} and number >= (select min(number) from {AUDIT} where _op = 'c')"
        # Numbers begin anew at another server; all snapshots were there before the first change.
        since = "true" if files.case["moved"] else since
        asked = f"select _position, mark, sum(came) as rows from {AUDIT} where tab = '{table}' and _op = 'c' and came > 0 and {since} group by all"
        there = f"select _position, mark, count(*) as rows from {table} where _op in ('c', 'u') and {since} group by all"
        sql = f"select * from ({asked}) a full join ({there}) t using (_position, mark) where a.rows is distinct from t.rows"
        none(files.rows(sql), f"{table}: statements whose rows are not all there")
        known = f"{since} and _position not in (select _position from {AUDIT} where tab = '{table}' and went < 0)"
        asked = f"select _position, sum(went) as rows from {AUDIT} where tab = '{table}' and _op = 'c' and went > 0 and {known} group by all"
        gone = f"select * from {table} where _op = 'd'"
        if kind == "none":
            # Without a key a row that changes goes, and comes at once as what it is.
            becomes = "_op = 'd' and lead(_op) over rows = 'c' and lead(uid) over rows = uid"
            gone = f"select * from (select *, {becomes} as becomes from {table} window rows as (order by _seq)) where _op = 'd' and not coalesce(becomes, false)"
        there = f"select _position, count(*) as rows from ({gone}) where {known} group by all"
        sql = f"select * from ({asked}) a full join ({there}) t using (_position) where a.rows is distinct from t.rows"
        none(files.rows(sql), f"{table}: transactions whose deletions are not all there")
        statements += files.rows(f"select count(*) from {AUDIT} where tab = '{table}' and _op = 'c' and {since}")[0][0]
    return statements


def main(case, live):
    connection = connect(case)
    connection.cursor().execute(kinds.of(case["url"]).session)
    with tempfile.TemporaryDirectory() as folder, open(live, encoding="utf-8") as lines:
        files = Files(case, [line.rstrip("\n") for line in lines], folder)
        numbers(files)
        whole(files)
        marks(files, connection)
        whole_statements = complete(files)
        rows = present(files, connection)
        ops = dict(files.rows(f"select _op, count(*) from ({files.all_of('_op')}) group by 1"))
        commits = files.rows(f"select count(distinct entry) from ({files.all_of('entry')})")[0][0]
    paths = sum(len(paths) for paths in files.tables.values())
    changes = sum(ops.get(op, 0) for op in "cud")
    told = {"rows": rows, "changes": changes, "ops": ops, "checked": whole_statements, "commits": commits, "files": paths}
    print(json.dumps(told))


if __name__ == "__main__":
    main(json.loads(sys.argv[1]), sys.argv[2])
