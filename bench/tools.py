"""The tools that copy the table, each as the command line that a user would type."""

import json
import platform
import subprocess
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from environment import HERE, TABLES
from lineitem import Loaded
from servers import ROOT, Server


@dataclass(frozen=True)
class Command:
    """A command line; `files` is the glob of the data files it leaves in its folder."""

    argv: list[str]
    files: str = ""
    env: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Tool:
    """`package` is the name in requirements.txt; `command` prepares a run in an empty folder."""

    name: str
    package: str
    formats: tuple[str, ...]
    command: Callable[[Server, Loaded, str, Path], Command]
    note: str = ""


def build(profile: str, *which: str) -> Path:
    """Builds tidemark, or what cargo calls `which`, and gives its program."""
    argv = ["cargo", "build", "--locked", "--profile", profile, *(which or ("--bin", "tidemark"))]
    done = subprocess.run(
        [*argv, "--message-format", "json-render-diagnostics"],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise SystemExit(f"{which[-1] if which else 'tidemark'} does not build; --bin takes a program that is there, --tools leaves it out")
    messages = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    return Path(next(message["executable"] for message in messages if message.get("executable")))


def sql_url(server: Server, table: Loaded, driver: str = "", options: str = "") -> str:
    return server.address(("postgresql" if server.name == "postgres" else "mysql") + driver, table.database, options)


def floor(server: Server, table: Loaded) -> Command:
    """The server's own client, which throws away what it gets."""
    if server.name == "postgres":
        argv = server.client(table.database, "-c", "COPY lineitem TO STDOUT (FORMAT binary)")
    else:
        argv = server.client(table.database, "--quick", "-B", "-e", "select * from lineitem")
    return Command(argv, env=server.environment())


def floor_name(server: Server) -> str:
    return {"postgres": "psql COPY binary", "mariadb": "mariadb --quick -B", "mysql": "mysql --quick -B"}[server.name]


def tidemark(binary: Path) -> Tool:
    def command(server: Server, table: Loaded, form: str, folder: Path) -> Command:
        conf = f"""[job_log]
url = sqlite:{folder}/tidemark.db

[source bench]
type = {"postgres" if server.name == "postgres" else "mysql"}
hostname = {server.host}
port = {server.port}
username = {server.user}
password = ${{BENCH_PASSWORD}}
database = {table.database}

[destination lake]
type = local
path = {folder}/out
format = {form}

[stream lineitem]
source = bench
destination = lake
table = lineitem
mode = full
"""
        (folder / "pipeline.conf").write_text(conf)
        # beside the tables' folders lie the commit log and the like, whose names begin with _
        return Command([str(binary), "run", "-c", str(folder / "pipeline.conf")], "out/[!_]*/**/*", {"BENCH_PASSWORD": server.password})

    return Tool("tidemark", "", ("parquet", "csv", "json"), command)


def connectorx(way: str) -> Callable[[Server, Loaded, str, Path], Command]:
    def command(server: Server, table: Loaded, form: str, folder: Path) -> Command:
        url = sql_url(server, table, options="?sslmode=disable" if server.name == "postgres" else "")
        what = [way, url, "lineitem", "l_orderkey", form, str(folder / f"lineitem.{form}")]
        argv = [str(TABLES.program("python")), str(HERE / "connectorx_copy.py"), *what]
        return Command(argv, f"lineitem.{form}")

    return command


def rivet(server: Server, table: Loaded, form: str, folder: Path) -> Command:
    decimals = "".join(f"      {name}: decimal(15,2)\n" for name in ("l_quantity", "l_extendedprice", "l_discount", "l_tax"))
    (folder / "rivet.yaml").write_text(f"""source:
  type: {"postgres" if server.name == "postgres" else "mysql"}
  url_env: DATABASE_URL
  tuning:
    profile: fast
exports:
  - name: lineitem
    table: lineitem
    mode: chunked
    chunk_column: l_orderkey
    chunk_size: 100000
    parallel: 2
    format: {form}
    destination:
      type: local
      path: ./out
    columns:
{decimals}""")
    return Command([str(TABLES.program("rivet")), "run", "-c", "rivet.yaml"], f"out/lineitem*.{form}", {"DATABASE_URL": sql_url(server, table)})


def sling(server: Server, table: Loaded, form: str, folder: Path) -> Command:
    architecture = {"x86_64": "amd64", "aarch64": "arm64"}[platform.machine()]
    binary = next(TABLES.python.glob(f"lib/python*/site-packages/sling_linux_{architecture}/bin/sling-linux-{architecture}"))
    url = sql_url(server, table, options="?sslmode=disable" if server.name == "postgres" else "")
    schema = "public" if server.name == "postgres" else table.database
    file = folder / f"lineitem.{form}"
    argv = [str(binary), "run", "--src-conn", "SOURCE", "--src-stream", f"{schema}.lineitem", "--tgt-object", f"file://{file}"]
    # Parquet by its own writer: the other one is a DuckDB program that it downloads
    env = {"SOURCE": url, "SLING_DUCKDB_COMPUTE": "false", "SLING_DISABLE_TELEMETRY": "true", "HOME": str(folder)}
    return Command(argv, file.name, env)


def dlt(server: Server, table: Loaded, form: str, folder: Path) -> Command:
    url = sql_url(server, table, "+psycopg2" if server.name == "postgres" else "+pymysql")
    argv = [str(TABLES.program("python")), str(HERE / "dlt_copy.py"), url, "lineitem", form, str(folder)]
    env = {"RUNTIME__DLTHUB_TELEMETRY": "false", "NORMALIZE__DATA_WRITER__DISABLE_COMPRESSION": "true", "HOME": str(folder)}
    return Command(argv, "out/bench/lineitem/*", env)


PEERS = (
    Tool(
        "connectorx",
        "connectorx",
        ("parquet", "csv"),
        connectorx("whole"),
        "two ranges of the key at once, the whole table in memory; written by pyarrow",
    ),
    Tool("connectorx-stream", "connectorx", ("parquet", "csv"), connectorx("stream"), "its arrow_stream; written by pyarrow"),
    Tool("rivet", "rivet-cli", ("parquet", "csv"), rivet, "two ranges of the key at once, tuning profile fast"),
    Tool("sling", "sling-linux-amd64", ("parquet", "csv"), sling, "Parquet by its own writer, without DuckDB"),
    Tool("dlt", "dlt", ("parquet", "csv"), dlt, "sql_table, connectorx backend, arrow_stream; text uncompressed"),
)
