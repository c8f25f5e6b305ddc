"""What the tests of killed runs compare with: it makes the tables, and reads files and servers with other programs than ours.

    oracle.py COMMAND CASE [ARGUMENT]

CASE is JSON: source ("postgres" or "mysql"), url (of the server), database, format, place ("s3://bucket/prefix" or a path).
Commands: make ROWS, change, drop, compare LIVE, leftovers STREAMS, openings STREAM.
A command that finds anything wrong ends with a code other than 0.
"""

import json
import os
import pathlib
import sys
import tempfile
import urllib.parse

import boto3
import duckdb
import psycopg2
import pymysql

# Of each column: its definition and canonical text on PostgreSQL, on MySQL and MariaDB, and the latter of a file's value.
MICROS = "cast(round(unix_timestamp({0}) * 1000000) as signed)"
PLAIN = "timestampdiff(microsecond, '1970-01-01', {0})"
COLUMNS = [
    ("id", "bigint primary key", "id", "bigint unsigned primary key", "id", "id"),
    ("small", "int", "small", "int", "small", "small"),
    ("amount", "numeric(18,4)", "amount", "decimal(18,4)", "amount", "amount::decimal(18,4)"),
    ("name", "text", "name", "varchar(200)", "name", "name"),
    ("seen", "timestamptz", "(extract(epoch from seen) * 1000000)::bigint", "timestamp(6) null", MICROS.format("seen"), "epoch_us(seen::timestamptz)"),
    ("plain", "timestamp", "(extract(epoch from plain) * 1000000)::bigint", "datetime(6)", PLAIN.format("plain"), "epoch_us(plain::timestamp)"),
    ("day", "date", "day", "date", "day", "day"),
    ("flag", "boolean", "flag::int", "tinyint(1)", "flag", "flag::{flag}::int"),
    ("eighths", "float8", "eighths::numeric(20,3)", "double", "cast(eighths as decimal(20,3))", "eighths::double::decimal(20,3)"),
    ("body", "bytea", "encode(body, 'hex')", "varbinary(64)", "lower(hex(body))", "{bytes}"),
]
BYTES = {"parquet": "lower(hex(body))", "csv": "lower(body)", "json": "lower(hex(from_base64(body)))"}

# The values of row i, with h, the hexadecimal SHA-256 of i, as noise: NULLs, empty and ugly texts, both signs, no round times.
POSTGRES_ROWS = """
select i, nullif(i % 1000, 7)::int, (i * 7919 % 1000003 - 500000)::numeric / 10000 * 3,
    case i % 11 when 0 then null when 1 then '' when 2 then E'a "quoted", one\\nof two lines' when 3 then 'Grüße, 東京 🚀' else left(h, 32) end,
    timestamptz '2001-02-03 04:05:06.789012+00' + i * interval '61.000007 s',
    timestamp '1969-12-31 23:00:00.5' + i * interval '59.000003 s', date '1960-02-28' + (i % 30000)::int,
    case i % 5 when 0 then null else i % 2 = 0 end, (i - 5000) / 8.0, decode(h, 'hex')
from (select i, encode(sha256(convert_to(i::text, 'UTF8')), 'hex') h from generate_series({first}::bigint, {last}) i) n
"""
MYSQL_ROWS = """
select i, nullif(i % 1000, 7), (cast(i * 7919 % 1000003 as signed) - 500000) / 10000 * 3,
    case i % 11 when 0 then null when 1 then '' when 2 then 'a "quoted", one\\nof two lines' when 3 then 'Grüße, 東京 🚀' else left(h, 32) end,
    timestamp '2001-02-03 04:05:06.789012' + interval i * 61000007 microsecond,
    timestamp '1969-12-31 23:00:00.5' + interval i * 59000003 microsecond, date '1960-02-28' + interval i % 30000 day,
    case i % 5 when 0 then null else i % 2 = 0 end, (cast(i as signed) - 5000) / 8, unhex(h)
from (select i, sha2(i, 256) h from (
    select {base} + a.d + b.d * 10 + c.d * 100 + e.d * 1000 + f.d * 10000 + g.d * 100000 i from {ten} a, {ten} b, {ten} c, {ten} e, {ten} f, {ten} g
) x where i between {first} and {last}) n
"""
TEN = "(" + " union all ".join(f"select {digit} d" for digit in range(10)) + ")"
TABLES = {"big": None, "small": 3, "blank": 0}


class Server:
    """A connection to the server of a case, through a driver of somebody else's."""

    def __init__(self, case, database):
        url = urllib.parse.urlparse(case["url"])
        self.postgres = case["source"] == "postgres"
        login = {"host": url.hostname, "port": url.port, "user": url.username, "password": url.password, "database": database}
        if self.postgres:
            self.connection = psycopg2.connect(**login)
            self.connection.autocommit = True
        else:
            self.connection = pymysql.connect(**login, charset="utf8mb4", autocommit=True)
        self.cursor = self.connection.cursor()
        self.run("set time zone 'UTC'" if self.postgres else "set time_zone = '+00:00'")

    def run(self, sql):
        self.cursor.execute(sql)

    def row(self, sql):
        self.run(sql)
        return self.cursor.fetchone()

    def fill(self, table, first, last):
        rows = POSTGRES_ROWS if self.postgres else MYSQL_ROWS
        for base in range(first - first % 1_000_000, last + 1, 1_000_000):
            part = {"first": max(first, base), "last": min(last, base + 999_999), "base": base, "ten": TEN}
            self.run(f"insert into {table} {rows.format(**part)}")


def make(case, rows):
    drop_database(case)
    maintenance(case).run(f"create database {case['database']}")
    server = Server(case, case["database"])
    for table, count in TABLES.items():
        columns = ", ".join(f"{c[0]} {c[1] if server.postgres else c[3]}" for c in COLUMNS)
        server.run(f"create table {table} ({columns})")
        count = int(rows) if count is None else count
        if count:
            server.fill(table, 1, count)


def change(case):
    """Other rows than before, so that files of an earlier load are found out."""
    server = Server(case, case["database"])
    server.run("update small set small = 77")
    server.run("delete from big where id % 10 = 3")
    last = server.row("select max(id) from big")[0]
    server.fill("big", last + 1, last + 500)


def maintenance(case):
    return Server(case, "postgres" if case["source"] == "postgres" else None)


def drop_database(case):
    force = " with (force)" if case["source"] == "postgres" else ""
    maintenance(case).run(f"drop database if exists {case['database']}{force}")


def drop(case):
    drop_database(case)
    place = Place(case)
    for name in place.names() if place.bucket else []:
        place.s3.delete_object(Bucket=place.bucket, Key=f"{place.prefix}/{name}")


# A table's digest: count, sum of keys, and two sums of 60 bits each of every row's SHA-256, which no order of rows changes.
def digest_of_server(case, table):
    server = Server(case, case["database"])
    if server.postgres:
        texts = ", ".join(f"coalesce(({c[2]})::text, 'NULL!')" for c in COLUMNS)
        hashes = f"select id, encode(sha256(convert_to(concat_ws('|', {texts}), 'UTF8')), 'hex') h from {table}"
        sums = [f"coalesce(sum(('x' || substr(h, {at}, 15))::bit(60)::bigint::numeric), 0)" for at in (1, 16)]
    else:
        texts = ", ".join(f"coalesce(cast({c[4]} as char), 'NULL!')" for c in COLUMNS)
        hashes = f"select id, sha2(concat_ws('|', {texts}), 256) h from {table}"
        sums = [f"coalesce(sum(cast(conv(substr(h, {at}, 15), 16, 10) as unsigned)), 0)" for at in (1, 16)]
    return [int(one) for one in server.row(f"select count(*), coalesce(sum(id), 0), {sums[0]}, {sums[1]} from ({hashes}) t")]


def digest_of_files(case, files):
    kind = case["format"]
    filling = {"bytes": BYTES[kind], "flag": "boolean" if case["source"] == "postgres" else "int"}
    texts = ", ".join(f"coalesce(({c[5].format(**filling)})::varchar, 'NULL!')" for c in COLUMNS)
    columns = json.dumps({c[0]: "VARCHAR" for c in COLUMNS}).replace('"', "'")
    strict = "header = true, auto_detect = false, delim = ',', quote = '\"', escape = '\"', nullstr = '', allow_quoted_nulls = false"
    read = {
        "parquet": f"read_parquet({files})",
        "csv": f"read_csv({files}, {strict}, parallel = false, columns = {columns})",
        "json": f"read_json({files}, format = 'newline_delimited', columns = {columns})",
    }[kind]
    sums = ", ".join(f"coalesce(sum(('0x' || substr(h, {at}, 15))::bigint::hugeint), 0)" for at in (1, 16))
    hashes = f"select id::hugeint id, sha256(concat_ws('|', {texts})) h from {read}"
    return [int(one) for one in duckdb.sql(f"select count(*), coalesce(sum(id), 0), {sums} from ({hashes}) t").fetchall()[0]]


class Place:
    """The destination, by boto3 or as a folder."""

    def __init__(self, case):
        self.root = case["place"]
        self.bucket = None
        if self.root.startswith("s3://"):
            self.bucket, self.prefix = self.root.removeprefix("s3://").split("/", 1)
            self.s3 = boto3.client(
                "s3",
                endpoint_url=os.environ["TIDEMARK_TEST_S3"],
                aws_access_key_id=os.environ["TIDEMARK_TEST_S3_KEY"],
                aws_secret_access_key=os.environ["TIDEMARK_TEST_S3_SECRET"],
                region_name="us-east-1",
            )

    def names(self):
        """Everything that is there, by its name below the prefix; for S3 with its ETag."""
        if not self.bucket:
            root = pathlib.Path(self.root)
            return {str(path.relative_to(root)): "" for path in root.rglob("*") if path.is_file()}
        pages = self.s3.get_paginator("list_objects_v2").paginate(Bucket=self.bucket, Prefix=self.prefix + "/")
        objects = [one for page in pages for one in page.get("Contents", [])]
        return {one["Key"].removeprefix(self.prefix + "/"): one["ETag"] for one in objects}

    def read(self, name):
        if not self.bucket:
            return pathlib.Path(self.root, name).read_bytes()
        return self.s3.get_object(Bucket=self.bucket, Key=f"{self.prefix}/{name}")["Body"].read()

    def unfinished(self):
        if not self.bucket:
            return []
        uploads = self.s3.list_multipart_uploads(Bucket=self.bucket, Prefix=self.prefix + "/").get("Uploads", [])
        return [one["Key"] for one in uploads]


def compare(case, live):
    """`live` is JSON: of each table the paths or URLs that are said to be live."""
    place = Place(case)
    for table, files in json.loads(live).items():
        with tempfile.TemporaryDirectory() as folder:
            paths = []
            for number, file in enumerate(files):
                name = file.removeprefix(case["place"] + "/")
                assert name != file, f"{file} is not below {case['place']}"
                path = pathlib.Path(folder, f"{number:06}.{case['format']}")
                path.write_bytes(place.read(name))
                paths.append(str(path))
            assert paths, f"table {table} has no file, not even one without rows"
            ours, theirs = digest_of_files(case, paths), digest_of_server(case, table)
        assert ours == theirs, f"table {table}: the files hold {ours}, the server {theirs} (rows, sum of keys, digests)"


def leftovers(case, streams):
    """Nothing is there but what the kept generations list, and no upload is unfinished. Prints what was seen."""
    place = Place(case)
    there = place.names()
    listed, kept = set(), set()
    for stream in streams.split():
        log = f"_commits/{stream}"
        newest = max(name for name in there if name.startswith(log + "/0") and name.endswith(".json"))
        for publication in json.loads(place.read(newest))["generations"]["kept"]:
            kept.add((stream, publication["generation"]))
            for chunk, last in publication["chunks"].items():
                for seq in range(last + 1):
                    entry = json.loads(place.read(f"{log}/{publication['generation']}/{chunk}/{seq:020}.json"))
                    listed.update(part["path"] for part in entry["parts"])
    data = {name for name in there if not name.startswith("_commits/")}
    assert data == listed, f"not listed: {sorted(data - listed)}; not there: {sorted(listed - data)}"
    assert not place.unfinished(), f"unfinished uploads: {place.unfinished()}"
    pieces = [name for name in data if "-" in there[name].strip('"')]
    print(json.dumps({"files": len(data), "in_pieces": len(pieces), "generations": len(kept)}))


def openings(case, stream):
    """Prints how many chunks were begun, and how often any of them was opened: each opening reads its chunk from its beginning."""
    place = Place(case)
    entries = [name for name in place.names() if name.startswith(f"_commits/{stream}/g") and name.endswith(".json")]
    opened = [entry for entry in (json.loads(place.read(name)) for name in entries) if entry["fences"][:1] == [entry["seq"]]]
    print(json.dumps({"chunks": len({name.rsplit("/", 1)[0] for name in entries}), "opened": len(opened)}))


if __name__ == "__main__":
    command, case, *arguments = sys.argv[1:]
    {"make": make, "change": change, "drop": drop, "compare": compare, "leftovers": leftovers, "openings": openings}[command](
        json.loads(case), *arguments
    )
