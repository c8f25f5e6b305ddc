#!/usr/bin/env python3
"""Times incremental runs on a table of 5 million rows with an index on the cursor: the first one, those that find nothing new, and
those that find 1,000 rows. README.md beside this file tells the rest."""

import argparse
import json
import os
import shutil
import statistics
import tempfile
from pathlib import Path

import measure
import report
import servers
import tools
from servers import Server

DATABASE = "bench_incremental"

MAKE = {
    "postgres": [
        "CREATE TABLE events (id bigint PRIMARY KEY, customer int NOT NULL, note text, updated_at timestamptz NOT NULL)",
        "INSERT INTO events SELECT n, n % 9973, 'note ' || n, timestamptz '2024-01-01' + n * interval '7 milliseconds' "
        "FROM generate_series(1, {rows}) AS n",
        "CREATE INDEX events_by_time ON events (updated_at)",
        "VACUUM ANALYZE events",
    ],
    "mysql": [
        "CREATE TABLE events (id bigint PRIMARY KEY, customer int NOT NULL, note varchar(40), updated_at timestamp(6) NOT NULL, "
        "KEY (updated_at))",
        "SET SESSION cte_max_recursion_depth = 100000000, SESSION time_zone = '+00:00'",
        "INSERT INTO events WITH RECURSIVE n AS (SELECT 1 AS n UNION ALL SELECT n + 1 FROM n WHERE n < {rows}) "
        "SELECT n, n % 9973, concat('note ', n), timestamp'2024-01-01 00:00:00' + interval n * 7000 microsecond FROM n",
        "ANALYZE TABLE events",
    ],
    "mariadb": [
        "CREATE TABLE events (id bigint PRIMARY KEY, customer int NOT NULL, note varchar(40), updated_at timestamp(6) NOT NULL, "
        "KEY (updated_at))",
        "SET SESSION time_zone = '+00:00'",
        "INSERT INTO events SELECT seq, seq % 9973, concat('note ', seq), timestamp'2024-01-01 00:00:00' + interval seq * 7000 microsecond "
        "FROM seq_1_to_{rows}",
        "ANALYZE TABLE events",
    ],
}
TOUCH = {
    "postgres": "UPDATE events SET updated_at = clock_timestamp() WHERE id BETWEEN {at} AND {at} + 999",
    "mysql": "UPDATE events SET updated_at = now(6) WHERE id BETWEEN {at} AND {at} + 999",
    "mariadb": "UPDATE events SET updated_at = now(6) WHERE id BETWEEN {at} AND {at} + 999",
}


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0], formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument("--rows", type=int, default=5_000_000, help="rows of the table")
    parser.add_argument("--rounds", type=int, default=9, metavar="N", help="runs of each kind")
    parser.add_argument("--servers", nargs="+", choices=servers.NAMES, default=list(servers.NAMES), metavar="NAME")
    parser.add_argument("--profile", default="release", help="cargo profile that tidemark is built with")
    parser.add_argument("--bin", type=Path, metavar="PATH", help="use this tidemark instead of building one")
    parser.add_argument("--data", type=Path, metavar="DIR", help="keep the data of the servers it starts here, for the next time")
    return parser.parse_args()


def make(server: Server, rows: int) -> None:
    """The table, unless it is there with so many rows. The server's own words differ in each statement."""
    if server.name == "postgres":
        if [DATABASE] not in server.sql("SELECT datname FROM pg_database"):
            server.sql(f"CREATE DATABASE {DATABASE}")
        there = server.sql("SELECT count(*) FROM pg_class WHERE relname = 'events_by_time'", DATABASE) == [["1"]]
    else:
        server.sql(f"CREATE DATABASE IF NOT EXISTS {DATABASE}")
        there = server.sql("SHOW TABLES LIKE 'events'", DATABASE) != []
    if there and server.sql("SELECT count(*) FROM events", DATABASE) == [[str(rows)]]:
        return
    server.sql("DROP TABLE IF EXISTS events", DATABASE)
    separate = server.name == "postgres"  # VACUUM runs in no transaction
    statements = [statement.format(rows=rows) for statement in MAKE[server.name]]
    for batch in [[statement] for statement in statements] if separate else [statements]:
        server.sql(";\n".join(batch) + ";", DATABASE)


def config(server: Server, folder: Path) -> None:
    kind = "postgres" if server.name == "postgres" else "mysql"
    (folder / "pipeline.conf").write_text(
        f"""[job_log]
url = sqlite:{folder}/log.db
[source s]
type = {kind}
hostname = {server.host}
port = {server.port}
username = {server.user}
password = ${{BENCH_PASSWORD}}
database = {DATABASE}
tls = off
[destination d]
type = local
path = {folder}/out
format = parquet
[stream events]
source = s
destination = d
table = events
mode = incremental
cursor = updated_at
"""
    )


def main() -> None:
    options = arguments()
    binary = (options.bin or tools.build(options.profile)).resolve()
    print(f"{report.machine()}; {options.rows:,} rows; medians of {options.rounds} (least to most); load average {os.getloadavg()[0]:.1f}")
    with servers.up(options.servers, options.data) as (there, unavailable):
        for name, why in unavailable.items():
            print(f"{name}: {why}")
        for server in there:
            make(server, options.rows)
            folder = Path(tempfile.mkdtemp(prefix="tidemark-incremental."))
            try:
                bench(server, folder, binary, options.rounds)
            finally:
                shutil.rmtree(folder, ignore_errors=True)


def bench(server: Server, folder: Path, binary: Path, rounds: int) -> None:
    config(server, folder)
    argv = [str(binary), "run", "-c", str(folder / "pipeline.conf")]
    log = folder / "run.log"

    def once(rows: int) -> measure.Usage:
        usage = measure.run(argv, {"BENCH_PASSWORD": server.password}, folder, log, 600, discard=False)
        told = [line for line in log.read_text().splitlines() if line.startswith("{")]
        if usage.code != 0 or not told or json.loads(told[-1])["rows"] != rows:
            raise SystemExit(f"{server.name}: {rows} rows were expected:\n{log.read_text()}")
        return usage

    total = int(server.sql("SELECT count(*) FROM events", DATABASE)[0][0])
    first = once(total)
    print(f"{server.version():20} first run  {first.wall:7.2f} s, peak {first.peak >> 20} MiB")
    tell(server, "nothing new", [once(0) for _ in range(rounds)])
    news = []
    for at in range(rounds):
        server.sql(TOUCH[server.name].format(at=at * 1000 + 1), DATABASE)
        news.append(once(1000))
    tell(server, "1,000 rows", news)


def tell(server: Server, what: str, usages: list[measure.Usage]) -> None:
    walls = sorted(usage.wall for usage in usages)
    peak = max(usage.peak for usage in usages) >> 20
    print(f"{server.version():20} {what:11} {statistics.median(walls):6.3f} s ({walls[0]:.3f} to {walls[-1]:.3f}), peak {peak} MiB")


if __name__ == "__main__":
    main()
