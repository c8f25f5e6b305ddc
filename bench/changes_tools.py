"""What reads a piece of a log: tools as the command lines that a user would type, and what each kind of log has of them."""

import os
import shutil
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Generic, TypeVar

from changes_piece import DATABASE, TABLE, Piece
from changes_report import Aims
from environment import CHANGES, HERE, TABLES
from servers import Server
from tools import Command

P = TypeVar("P", bound=Piece)

# beside the tables' folders lie the commit log and the like, whose names begin with _
FILES = "out/[!_]*/**/*"


@dataclass(frozen=True)
class Reader(Generic[P]):
    """A tool and where its changes go: into files of a format, or into nothing. `package` is the name in the requirements;
    `command` prepares a run in an empty folder. `check` is what is asked of it: the `whole` of its rows and the table behind them,
    the `count` of its rows, how many it `said` there were, or that it came to its `exit` well. `unread` says why it
    does not read a server, by the server's name. `begin` is run before there are changes."""

    name: str
    into: str
    package: str
    command: Callable[[P, Path], Command]
    note: str = ""
    check: str = "said"
    unread: Mapping[str, str] = field(default_factory=dict)
    begin: Callable[[Server], None] | None = None

    def reads(self, server: Server) -> bool:
        return server.name not in self.unread


@dataclass(frozen=True, eq=False)
class Source(Generic[P]):
    """A kind of log: how a piece of it comes and goes, and who reads it. `begin` makes an empty table, `make` so many changes of it, so
    many a transaction. `ours` gives tidemark's ways, by its program, the format, and the folder for what a first run leaves."""

    begin: Callable[[Server], None]
    make: Callable[[Server, int, int], P]
    remove: Callable[[Server], None]
    floor: Callable[[Server], Reader[P]]
    ours: Callable[[Path, str, Path], tuple[Reader[P], ...]]
    peers: tuple[Reader[P], ...]
    aims: Aims


def pipeline(server: Server, kind: str, form: str, more: str = "") -> str:
    """Tidemark's configuration, in which nothing depends on the folder that it lies in; `more` are lines of the stream."""
    return f"""[job_log]
url = sqlite:tidemark.db

[source bench]
type = {kind}
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
{more}"""


def first_run(binary: Path, server: Server, configuration: str, folder: Path) -> None:
    """Has tidemark begin, in a folder that is made anew."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    (folder / "pipeline.conf").write_text(configuration)
    environment = {**os.environ, **password(server)}
    done = subprocess.run([binary, "run", "changes"], cwd=folder, env=environment, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise SystemExit(f"tidemark does not begin: {done.stderr.strip()}")


def next_run(binary: Path, server: Server, first: Path, folder: Path) -> Command:
    """Has it go on in a copy of that folder."""
    shutil.copytree(first, folder, dirs_exist_ok=True)
    return Command([str(binary), "run", "changes"], FILES, password(server))


def run_from(binary: Path, server: Server, configuration: str, place: str, folder: Path) -> Command:
    """Has it begin at a place that is named."""
    (folder / "pipeline.conf").write_text(configuration)
    return Command([str(binary), "run", "changes", "--from", place], FILES, password(server))


def password(server: Server) -> dict[str, str]:
    return {"BENCH_PASSWORD": server.password}


def counter(script: str, server: Server, *more: str) -> Command:
    """A script beside this one that counts changes; it finds the server, the database and the table before all else."""
    at = [server.host, str(server.port), server.user, DATABASE, TABLE, *more]
    java = shutil.which("java")
    home = {"JAVA_HOME": str(Path(java).resolve().parent.parent)} if java else {}
    return Command([str(CHANGES.program("python")), str(HERE / script), *at], env={**password(server), **home})


def version(reader: Reader) -> list[str]:
    """The version of a peer."""
    environment = TABLES if reader.package in TABLES.pins() else CHANGES
    return [environment.version(reader.package)] if reader.package else []
