"""The kinds of servers whose changes are followed, as far as their words differ, for `tables.py`, `writers.py` and `present.py`."""

import urllib.parse
import uuid

import psycopg2
import pymysql


class My:
    """MySQL and MariaDB."""

    error = pymysql.MySQLError
    # Tables of which a row that leaves its key has not all at the other one.
    fixed = set()
    # Whether a column that comes and goes while nobody reads has a table read anew.
    rereads = False
    # Deadlocks, waits that took too long, tables and columns that are not there in that moment, snapshots that are no more.
    passing = {1020, 1021, 1054, 1072, 1091, 1105, 1146, 1205, 1213, 1412, 1615, 3572}
    gone = {0, 1040, 1053, 1077, 1129, 1927, 2003, 2006, 2013, 2014, 3169, 4031}
    types = {"int": "int", "text": "varchar"}
    # How the server writes a value of a type, as text.
    texts = {"datetime": "date_format({0}, '%Y-%m-%d %H:%i:%s.%f')", "binary": "lower(hex({0}))"}
    # Where a change stands in the log, from its `_position`.
    number = "regexp_extract(_position, '(\\d+)$', 1)::bigint"
    isolation = "set session transaction isolation level read committed"
    session = "set time_zone = '+00:00', innodb_lock_wait_timeout = 2, lock_wait_timeout = 3"
    definition = "k int not null, mark bigint not null, n int not null, note varchar(50), amount decimal(12,2), at datetime(6)"
    upsert = "on duplicate key update mark = values(mark), n = n + 1, note = values(note)"

    def connect(self, url, database, **more):
        login = {"host": url.hostname, "port": url.port, "user": url.username, "password": url.password}
        return pymysql.connect(**login, database=database, charset="utf8mb4", autocommit=True, connect_timeout=5, read_timeout=900, **more)

    def run(self, case, connect, sql):
        cursor = connect(case, client_flag=pymysql.constants.CLIENT.MULTI_STATEMENTS).cursor()
        cursor.execute(sql)
        while cursor.nextset():
            pass
        return cursor.fetchall()

    def code(self, error):
        code = error.args[0] if error.args else 0
        return code if isinstance(code, int) else 0

    def is_mariadb(self, connection):
        return "mariadb" in connection.get_server_info().lower()

    def key_definition(self, connection, table, kind, definition):
        # MariaDB takes sixteen bytes for its own type.
        return definition.format(uuid="uuid" if self.is_mariadb(connection) and table == "t04" else "binary(16)", nat="int unsigned", moment="datetime", exact="collate utf8mb4_bin")

    def create(self, connection, table, kind, columns, key, if_absent=False):
        there = "if not exists " if if_absent else ""
        own = f", primary key ({', '.join(key)})" if kind != "none" else ""
        return [f"create table {there}{table} ({columns}{own}, index by_k (k))"]

    def make_database(self, cursor, name):
        cursor.execute(f"create database {name} character set utf8mb4")

    def made(self, cursor):
        """Behind the tables' making."""

    def key(self, values):
        return values

    def note(self, table, note):
        return note

    def lean(self, cursor):
        cursor.execute("set session binlog_row_image = minimal")

    def insert(self, table, columns, places, key, what):
        verbs = {"ignore": "insert ignore", "replace": "replace", "upsert": "insert"}
        return f"{verbs.get(what, 'insert')} into {table} ({columns}) values {places} {self.upsert if what == 'upsert' else ''}"

    def move(self, table, names, key, numbers):
        assignments = ", ".join(f"{name} = %s" for name in names)
        return f"update ignore {table} set {assignments}, k = %s, mark = %s, n = n + 1 where k = %s", (*key, *numbers)

    def columns(self, cursor, table):
        cursor.execute(f"show columns from {table}")
        return [(row[0], row[1]) for row in cursor.fetchall()]

    def quoted(self, name):
        return f"`{name}`"

    def as_text(self, form, name):
        return f"cast({form.format(self.quoted(name))} as char)"

    def tables(self, cursor):
        cursor.execute("show tables")
        return {row[0] for row in cursor.fetchall()}

    def place(self, chance):
        return chance.choice(["", "first", "after mark"])

    def modify(self, table, name, of, place):
        return f"alter table {table} modify column {name} {of} {place}"

    def index(self, cursor, table):
        cursor.execute(f"show index from {table} where key_name = 'by_note'")
        return f"drop index by_note on {table}" if cursor.fetchall() else f"create index by_note on {table} (note, n)"

    def words(self, table, chance):
        return chance.choice([f"alter table {table} comment 'drop table {table}; truncate'", f"analyze table {table}"])

    def like(self, new, table, kind):
        return [f"create table {new} like {table}"]

    def rename(self, *pairs):
        return ["rename table " + ", ".join(f"{one} to {other}" for one, other in pairs)]


class Postgres:
    error = psycopg2.Error
    fixed = {"t08"}
    rereads = True
    passing = {"55P03", "40P01", "40001", "23505", "42P01", "42703", "42701", "42P07", "XX000", "0A000", "57014", "25P02", "55000"}
    gone = {"", "57P01", "57P02", "57P03", "08006", "08003", "08001", "53300"}
    types = {"int": "integer", "text": "character varying"}
    texts = {"datetime": "to_char({0}, 'YYYY-MM-DD HH24:MI:SS.US')"}
    number = "(('0x' || split_part(_position, '/', 1))::bigint * 4294967296 + ('0x' || split_part(_position, '/', 2))::bigint)"
    isolation = "set default_transaction_isolation = 'repeatable read'"
    session = "set lock_timeout = '2s'; set timezone = 'UTC'"
    definition = "k int not null, mark bigint not null, n int not null, note text, amount numeric(12,2), at timestamp(6)"
    upsert = "on conflict ({key}) do update set mark = excluded.mark, n = {table}.n + 1, note = excluded.note"

    def connect(self, url, database, **more):
        login = {"host": url.hostname, "port": url.port, "user": url.username, "password": url.password}
        connection = psycopg2.connect(**login, dbname=database or "test", connect_timeout=5, **more)
        connection.autocommit = True
        return connection

    def run(self, case, connect, sql):
        cursor = connect(case).cursor()
        # Each by itself, as the others do it: together they would be one transaction.
        for statement in sql.split("; "):
            cursor.execute(statement)
        return cursor.fetchall() if cursor.description else []

    def code(self, error):
        return error.pgcode or ""

    def key_definition(self, connection, table, kind, definition):
        return definition.format(uuid="uuid", nat="bigint", moment="timestamp", exact='collate "C"')

    def create(self, connection, table, kind, columns, key, if_absent=False):
        there = "if not exists " if if_absent else ""
        own = f", primary key ({', '.join(key)})" if kind != "none" else ""
        return [f"create table {there}{table} ({columns}{own})", f"create index on {table} (k)", *self.identity(table, kind)]

    def identity(self, table, kind):
        """What tells rows apart where no key does; and one table with a key has all of its old rows told."""
        return [f"alter table {table} replica identity full"] if kind == "none" or table == "t07" else []

    def make_database(self, cursor, name):
        cursor.execute(f"create database {name}")

    def made(self, cursor):
        # Whatever takes a table's name is published too. Values of one table are kept out of their rows, and not told where they do not change.
        cursor.execute("create publication tidemark_changes for all tables")
        cursor.execute("alter table t08 alter column note set storage external")

    def key(self, values):
        return tuple(str(uuid.UUID(bytes=value)) if isinstance(value, bytes) else value for value in values)

    def note(self, table, note):
        return note * 100 if note and table == "t08" else note

    def lean(self, cursor):
        """The server logs the same of every session."""

    def insert(self, table, columns, places, key, what):
        behind = {"ignore": "on conflict do nothing", "upsert": self.upsert, "replace": self.upsert}.get(what, "")
        return f"insert into {table} ({columns}) values {places} {behind.format(key=', '.join(key), table=table)}"

    def move(self, table, names, key, numbers):
        assignments = ", ".join(f"{name} = %s" for name in names)
        taken = " and ".join(f"{name} = %s" for name in names)
        sql = (
            f"update {table} set {assignments}, k = %s, mark = %s, n = n + 1 where ctid = (select ctid from {table} where k = %s limit 1) "
            f"and not exists (select from {table} where {taken})"
        )
        return sql, (*key, *numbers, *key)

    def columns(self, cursor, table):
        cursor.execute(
            "select attname, format_type(atttypid, atttypmod) from pg_attribute "
            "where attrelid = %s::regclass and attnum > 0 and not attisdropped order by attnum",
            (table,),
        )
        names = {"timestamp(6) without time zone": "datetime", "numeric(12,2)": "decimal"}
        return [(name, names.get(of, of)) for name, of in cursor.fetchall()]

    def quoted(self, name):
        return f'"{name}"'

    def as_text(self, form, name):
        return f"{form.format(self.quoted(name))}::text"

    def tables(self, cursor):
        cursor.execute("select tablename from pg_tables where schemaname = 'public'")
        return {row[0] for row in cursor.fetchall()}

    def place(self, chance):
        return ""

    def modify(self, table, name, of, place):
        return f"alter table {table} alter column {name} type {of}"

    def index(self, cursor, table):
        cursor.execute("select indexname from pg_indexes where tablename = %s and indexdef like '%%note%%'", (table,))
        found = cursor.fetchall()
        return f"drop index {found[0][0]}" if found else f"create index on {table} (left(note, 100), n)"

    def words(self, table, chance):
        return chance.choice([f"comment on table {table} is 'drop table {table}; truncate'", f"analyze {table}", f"vacuum full {table}"])

    def like(self, new, table, kind):
        return [f"create table {new} (like {table} including all)", *self.identity(new, kind)]

    def rename(self, *pairs):
        return ["begin", *[f"alter table {one} rename to {other}" for one, other in pairs], "commit"]


def of(url):
    return Postgres() if url.startswith("postgres") else My()


def parsed(url):
    return urllib.parse.urlparse(url)
