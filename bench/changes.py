#!/usr/bin/env python3
"""Reads a piece of the log of PostgreSQL, MariaDB and MySQL with tidemark and with other tools, in turns, and prints what each took.

Two pieces: changes by transactions of 1,000 rows, and by transactions of one row. README.md beside this file tells the rest."""

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from datetime import date
from pathlib import Path
from typing import Any

import changes_log_tools
import changes_report
import changes_tools
import changes_wal_tools
import measure
import report
import servers
import tools
from changes_piece import Piece
from changes_report import Line, Section
from changes_tools import Reader, Source
from environment import CHANGES, HERE, TABLES
from run import reason, say
from servers import Server

FORMATS = ("parquet", "json")
OURS = ("tidemark", "tidemark-from")
SOURCES: dict[str, Source[Any]] = {
    "postgres": changes_wal_tools.SOURCE,
    "mariadb": changes_log_tools.SOURCE,
    "mysql": changes_log_tools.SOURCE,
}
# rows a transaction of the two pieces
EACH = {"batches": 1000, "singles": 1}


def names() -> list[str]:
    return [*OURS, *dict.fromkeys(peer.name for source in SOURCES.values() for peer in source.peers)]


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0], formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument("--rows", type=int, default=2_000_000, help="changes in transactions of 1,000 rows, in tens of thousands")
    parser.add_argument("--singles", type=int, default=200_000, help="transactions of one row, in tens")
    parser.add_argument("--pieces", nargs="+", choices=EACH, default=list(EACH), metavar="NAME", help=", ".join(EACH))
    parser.add_argument("--rounds", type=int, default=3, metavar="N", help="runs of each tool")
    parser.add_argument("--once-above", type=float, metavar="SECONDS", help="do not repeat a tool whose first run took longer")
    parser.add_argument("--timeout", type=float, default=1800, metavar="SECONDS", help="end a run that takes longer")
    parser.add_argument("--servers", nargs="+", choices=SOURCES, default=list(SOURCES), metavar="NAME", help=", ".join(SOURCES))
    parser.add_argument("--tools", nargs="+", choices=names(), default=names(), metavar="NAME", help=", ".join(names()))
    parser.add_argument("--formats", nargs="+", choices=FORMATS, default=list(FORMATS), metavar="NAME", help="tidemark's: " + ", ".join(FORMATS))
    parser.add_argument("--profile", default="release", help="cargo profile that tidemark is built with")
    parser.add_argument("--bin", type=Path, metavar="PATH", help="use this tidemark instead of building one")
    parser.add_argument("--data", type=Path, metavar="DIR", help="keep the data of the servers it starts here, for the next time")
    parser.add_argument("--out", type=Path, metavar="FILE", help="write the report to this file too")
    chosen = parser.parse_args()
    if chosen.rows % 10_000 or chosen.singles % 10 or min(chosen.rows, chosen.singles, chosen.rounds) < 1:
        parser.error("--rows counts in tens of thousands, --singles in tens; --rounds is at least 1")
    return chosen


def check(reader: Reader, line: Line, piece: Piece, files: list[Path], log: Path) -> str:
    """What is wrong with what a run left; nothing where that holds what the piece holds."""
    if reader.check == "said":
        told = json.loads([text for text in log.read_text().splitlines() if text.startswith('{"rows"')][-1])
        line.told.append(told["seconds"])
        return "" if told["rows"] == piece.changes else f"counted {told['rows']} changes of {piece.changes}"
    form = "json" if reader.into == "json" else "parquet"
    argv = [str(TABLES.program("python")), str(HERE / "changes_check.py"), reader.check, form, *map(str, files)]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        return f"what it wrote cannot be read: {(done.stderr.strip().splitlines() or [''])[-1]}"
    found = json.loads(done.stdout)
    if found["rows"] != piece.changes:
        return f"wrote {found['rows']} changes of {piece.changes}"
    if found.get("kinds", piece.kinds) != piece.kinds:
        return f"wrote other changes: {found['kinds']} instead of {piece.kinds}"
    if found.get("digest", piece.digest) != piece.digest:
        return f"the table behind its changes differs: {' '.join(found['digest'])} instead of {' '.join(piece.digest)}"
    return ""


def run_once(reader: Reader, line: Line, piece: Piece, folder: Path, timeout: float) -> None:
    """One run and its check; what went wrong is left in the line."""
    log = folder / "run.log"
    command = reader.command(piece, folder)
    usage = measure.run(command.argv, command.env, folder, log, timeout, discard=reader.check == "exit")
    if usage.timed_out:
        line.failure = f"ended after {timeout:.0f} s"
    elif usage.code != 0:
        line.failure = reason(log, folder, usage.code)
    elif reader.check != "exit":
        files = sorted(path for path in folder.glob(command.files) if path.is_file()) if command.files else []
        line.size = sum(path.stat().st_size for path in files)
        line.failure = check(reader, line, piece, files, log)
    if not line.failure:
        line.runs.append(usage)
        say(f"  {line.tool} into {line.form}: {usage.wall:.2f} s, CPU {usage.cpu:.1f} s, peak {usage.peak / 1e6:.0f} MB")
    else:
        say(f"  {line.tool} into {line.form}: {line.failure}")


def bench(section: Section, readers: list[Reader], options: argparse.Namespace) -> None:
    """Runs the tools in turns, so that what disturbs the machine disturbs all of them."""
    for turn in range(options.rounds):
        say(f"{section.title}: round {turn + 1} of {options.rounds}")
        for reader, line in zip(readers, section.lines, strict=True):
            slow = options.once_above and line.runs and line.runs[0].wall > options.once_above
            if line.failure or slow:
                continue
            folder = Path(tempfile.mkdtemp(prefix="tidemark-changes."))
            try:
                run_once(reader, line, section.piece, folder, options.timeout)
            finally:
                section.piece.leave()
                shutil.rmtree(folder, ignore_errors=True)


def prepare(server: Server, which: str, chosen: list[Reader], missing: dict[str, str], options: argparse.Namespace) -> tuple[Section, list[Reader]]:
    """Makes the piece, and says what is to be measured with it: the floor first."""
    source = SOURCES[server.name]
    changes = options.rows if which == "batches" else options.singles
    say(f"{server.name}: making {changes:,} changes, {EACH[which]:,} a transaction")
    source.begin(server)
    for reader in chosen:
        if reader.begin:
            reader.begin(server)
    piece = source.make(server, changes, EACH[which])
    readers = [source.floor(server), *(reader for reader in chosen if reader.reads(server))]
    lines = [Line(reader.name, reader.into, failure=missing.get(reader.package, "")) for reader in readers]
    each = f"{EACH[which]:,} rows" if EACH[which] > 1 else "one row"
    unread = [f"{reader.name} into {reader.into}: {reader.unread[server.name]}" for reader in chosen if not reader.reads(server)]
    return Section(f"{server.version()}, {each} a transaction", piece, EACH[which], lines, unread, source.aims), readers


def command_line(options: argparse.Namespace) -> str:
    """How to measure the same again; where things lie is left out."""
    words = [f"bench/changes.py --rows {options.rows} --singles {options.singles} --rounds {options.rounds}"]
    if options.once_above:
        words.append(f"--once-above {options.once_above:g}")
    everything = (("pieces", EACH), ("servers", SOURCES), ("tools", names()), ("formats", FORMATS))
    for name, all_of_them in everything:
        if set(getattr(options, name)) != set(all_of_them):
            words.append(f"--{name} {' '.join(getattr(options, name))}")
    return " ".join(words)


def readers_of(source: Source[Any], options: argparse.Namespace, binary: Path | None, begun: Path) -> list[Reader]:
    """The chosen tools."""
    forms = [form for form in FORMATS if form in options.formats]
    ours = [source.ours(binary, form, begun / form) for form in forms] if binary else []
    # one way in all formats, then the other
    all_of_them = [*(reader for way in zip(*ours, strict=True) for reader in way), *source.peers]
    return [reader for reader in all_of_them if reader.name in options.tools]


def main() -> None:
    options = arguments()
    busy = os.getloadavg()[0]
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # stops what was started, as an interrupt does
    say("installing the tools")
    missing = {**TABLES.install(), **CHANGES.install()}
    if "duckdb" in missing:
        raise SystemExit(f"cannot be installed: duckdb: {missing['duckdb']}")
    head = [f"{date.today()}: {report.machine()}", f"`{command_line(options)}`"]
    with tempfile.TemporaryDirectory(prefix="tidemark-changes-begun.") as begun:
        binary = None
        if set(OURS) & set(options.tools):
            binary = (options.bin or tools.build(options.profile)).resolve()
            name = subprocess.run([binary, "--version"], capture_output=True, text=True, check=True).stdout.strip()
            head.append(f"{name}, " + ("built beforehand" if options.bin else f"cargo profile {options.profile}"))
        chosen = {name: readers_of(SOURCES[name], options, binary, Path(begun)) for name in options.servers}
        told = [reader for readers in chosen.values() for reader in readers]
        head += dict.fromkeys(f"{' '.join([reader.name, *changes_tools.version(reader)])}: {reader.note}" for reader in told)
        head.append("one run of each tool" if options.rounds == 1 else f"{options.rounds} rounds of all tools in turn; medians")
        head.append(f"load average at the start: {busy:.1f}" + ("; other work disturbed these figures" if busy > 0.5 else ""))
        sections: list[Section] = []
        with servers.up(options.servers, options.data) as (there, unavailable):
            head += [f"{name} was not read: {why}" for name, why in unavailable.items()]
            try:
                for server in there:
                    for which in options.pieces:
                        try:
                            section, readers = prepare(server, which, chosen[server.name], missing, options)
                            sections.append(section)
                            bench(section, readers, options)
                        finally:
                            SOURCES[server.name].remove(server)
            finally:  # an interrupted one says what it has
                text = changes_report.write(head, sections)
                if options.out:
                    options.out.write_text(text)
                print(text)


if __name__ == "__main__":
    main()
