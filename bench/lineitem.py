"""The table that is copied: TPC-H lineitem, made by tpchgen-cli and loaded with the types its columns have."""

import subprocess
from dataclasses import dataclass
from pathlib import Path

from servers import Server

COLUMNS = """
  l_orderkey bigint not null,
  l_partkey bigint not null,
  l_suppkey bigint not null,
  l_linenumber int not null,
  l_quantity decimal(15,2) not null,
  l_extendedprice decimal(15,2) not null,
  l_discount decimal(15,2) not null,
  l_tax decimal(15,2) not null,
  l_returnflag char(1) not null,
  l_linestatus char(1) not null,
  l_shipdate date not null,
  l_commitdate date not null,
  l_receiptdate date not null,
  l_shipinstruct varchar(25) not null,
  l_shipmode varchar(10) not null,
  l_comment varchar(44) not null"""
KEY = "primary key (l_orderkey, l_linenumber)"

# One row that changes when rows are lost, doubled or altered; check.py asks the same of the files.
DIGEST = """select count(*), sum(l_orderkey), sum(l_linenumber), sum(l_quantity), sum(l_extendedprice), sum(l_discount), sum(l_tax),
  min(l_shipdate), max(l_shipdate), count(distinct l_receiptdate), sum({length}(l_shipinstruct)), sum({length}(l_comment)) from lineitem"""


@dataclass(frozen=True)
class Loaded:
    """lineitem on one server: its database, its rows, the bytes of the table without its indexes, and its digest."""

    database: str
    rows: int
    size: int
    digest: list[str]


def database(scale: str) -> str:
    return "bench_" + scale.replace(".", "_")


def there(server: Server, scale: str) -> bool:
    """Whether the whole table is loaded at this scale: it gets its name last."""
    catalog = "table_catalog" if server.name == "postgres" else "table_schema"
    name = database(scale)
    if server.name == "postgres" and not server.sql(f"select 1 from pg_database where datname = '{name}'"):
        return False
    within = name if server.name == "postgres" else ""
    return bool(server.sql(f"select 1 from information_schema.tables where {catalog} = '{name}' and table_name = 'lineitem'", within))


def make(program: Path, scale: str, folder: Path) -> Path:
    """Makes the table as one CSV file in `folder`."""
    subprocess.run([program, "csv", "-s", scale, "-T", "lineitem", "-o", folder], stdout=subprocess.DEVNULL, check=True)
    return folder / "lineitem.csv"


def load(server: Server, scale: str, csv: Path) -> None:
    """Loads the file into a database of the scale's own, writes what is still in memory to the disk, then names the table."""
    name = database(scale)
    if server.name == "postgres":
        if not server.sql(f"select 1 from pg_database where datname = '{name}'"):
            server.sql(f"create database {name}")
        server.sql(f"drop table if exists loading; create table loading ({COLUMNS});", name)
        server.sql(f"\\copy loading from '{csv}' csv header\n", name)
        server.sql(f"alter table loading add {KEY}", name)
        # vacuum: otherwise the first reader pays for marking every row as visible
        server.sql("vacuum analyze loading", name)
        server.sql("alter table loading rename to lineitem; checkpoint;", name)
        return
    before = server.sql("select @@global.local_infile")[0][0]
    server.sql("set global local_infile = 1")
    try:
        server.sql(
            f"""set sql_log_bin = 0;
            create database if not exists {name};
            use {name};
            drop table if exists loading;
            create table loading ({COLUMNS}, {KEY}) engine=InnoDB default charset=utf8mb4;
            load data local infile '{csv}' into table loading character set utf8mb4
              fields terminated by ',' optionally enclosed by '"' escaped by '' ignore 1 lines;
            analyze table loading;
            flush tables loading for export;
            unlock tables;
            rename table loading to lineitem;"""
        )
    finally:
        server.sql(f"set global local_infile = {before}")


def describe(server: Server, scale: str) -> Loaded:
    name = database(scale)
    if server.name == "postgres":
        length, size = "length", "select pg_table_size('lineitem')"
    else:
        # MySQL 8 and later answer from a day-old cache without this; MariaDB reads past it
        fresh = "/*!80000 set information_schema_stats_expiry = 0 */;" if server.name == "mysql" else ""
        length = "char_length"
        size = f"{fresh} select data_length from information_schema.tables where table_schema = '{name}' and table_name = 'lineitem'"
    digest = server.sql(DIGEST.format(length=length), name)[0]
    return Loaded(name, int(digest[0]), int(server.sql(size, name)[0][0]), digest)
