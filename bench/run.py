#!/usr/bin/env python3
"""Copies TPC-H lineitem out of PostgreSQL, MariaDB and MySQL with tidemark and with other tools, in turns, and prints what each took.

Needs only Python 3.11 and what tests/servers/install.sh installs; README.md beside this file tells the rest."""

import argparse
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from datetime import date
from pathlib import Path

import lineitem
import measure
import report
import servers
import tools
from environment import HERE, TABLES
from report import Pair, Section
from servers import Server

FORMATS = ("parquet", "csv", "json")


def names() -> list[str]:
    return ["tidemark", *(tool.name for tool in tools.PEERS)]


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0], formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument("--scale", default="1", help="TPC-H scale factor: 1 is 6 million rows, 0.1 a smoke test")
    parser.add_argument("--rounds", type=int, default=3, metavar="N", help="runs of each tool")
    parser.add_argument("--once-above", type=float, metavar="SECONDS", help="do not repeat a tool whose first run took longer")
    parser.add_argument("--timeout", type=float, default=1800, metavar="SECONDS", help="end a run that takes longer")
    parser.add_argument("--servers", nargs="+", choices=servers.NAMES, default=list(servers.NAMES), metavar="NAME", help=", ".join(servers.NAMES))
    parser.add_argument("--tools", nargs="+", choices=names(), default=names(), metavar="NAME", help=", ".join(names()))
    parser.add_argument("--formats", nargs="+", choices=FORMATS, default=list(FORMATS), metavar="NAME", help=", ".join(FORMATS))
    parser.add_argument("--profile", default="release", help="cargo profile that tidemark is built with")
    parser.add_argument("--bin", type=Path, metavar="PATH", help="use this tidemark instead of building one")
    parser.add_argument("--data", type=Path, metavar="DIR", help="keep the data of the servers it starts here, for the next time")
    parser.add_argument("--load-only", action="store_true", help="install and load, measure nothing")
    parser.add_argument("--out", type=Path, metavar="FILE", help="write the report to this file too")
    chosen = parser.parse_args()
    if not re.fullmatch(r"\d+(\.\d+)?", chosen.scale) or float(chosen.scale) == 0 or chosen.rounds < 1:
        parser.error("--scale is a number above 0, --rounds at least 1")
    return chosen


def say(text: str) -> None:
    print(f"{time.strftime('%H:%M:%S')} {text}", file=sys.stderr, flush=True)


def load(there: list[Server], scale: str) -> None:
    """Loads the table into those servers that do not have it at this scale."""
    empty = [server for server in there if not lineitem.there(server, scale)]
    if not empty:
        return
    with tempfile.TemporaryDirectory(prefix="tidemark-bench.") as folder:
        say(f"making lineitem at scale {scale}")
        csv = lineitem.make(TABLES.program("tpchgen-cli"), scale, Path(folder))
        for server in empty:
            say(f"loading {server.name}")
            lineitem.load(server, scale, csv)


def reason(log: Path, folder: Path, code: int) -> str:
    """The line of a failed run's output that most likely says why, without colours, paths and passwords."""
    text = re.sub(r"\x1b\[[0-9;]*m", "", log.read_text(errors="replace"))
    text = re.sub(r"://[^@\s/]*@", "://", text.replace(str(folder), ".").replace(str(Path.home()), "~"))
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    telling = [line for line in lines if re.search(r"error|fatal|unable|cannot|failed", line, re.I)]
    return ((telling or lines or ["no output"])[-1][:200]) + f" (exit {code})"


def run_once(pair: Pair, command: tools.Command, table: lineitem.Loaded, folder: Path, timeout: float) -> None:
    """One run, and the check that the files hold what the table holds; what went wrong is left in the pair."""
    log = folder / "run.log"
    usage = measure.run(command.argv, command.env, folder, log, timeout, discard=not command.files)
    if usage.timed_out:
        pair.failure = f"ended after {timeout:.0f} s"
        return
    if usage.code != 0:
        pair.failure = reason(log, folder, usage.code)
        return
    if command.files:
        files = sorted(path for path in folder.glob(command.files) if path.is_file())
        if not files:
            pair.failure = f"ended well, but left no {command.files}"
            return
        pair.size = sum(path.stat().st_size for path in files)
        argv = [str(TABLES.program("python")), str(HERE / "check.py"), pair.form, *map(str, files)]
        check = subprocess.run(argv, capture_output=True, text=True, check=False)
        if check.returncode != 0:
            pair.failure = f"what it wrote cannot be read: {(check.stderr.strip().splitlines() or [''])[-1]}"
            return
        found = json.loads(check.stdout)
        pair.shown = found["shown"]
        if found["digest"] != table.digest:
            pair.failure = f"wrote {found['digest'][0]} rows of {table.rows}" if found["digest"][0] != str(table.rows) else "its values differ"
            pair.failure += f": {' '.join(found['digest'])} instead of {' '.join(table.digest)}"
            return
    pair.runs.append(usage)
    say(f"  {pair.tool} {pair.form}: {usage.wall:.2f} s, CPU {usage.cpu:.1f} s, peak {usage.peak / 1e6:.0f} MB")


def bench(server: Server, section: Section, chosen: list[tools.Tool], options: argparse.Namespace) -> None:
    """Runs the tools of one server in turns, so that what disturbs the machine disturbs all of them."""
    makers = {tool.name: tool.command for tool in chosen}
    for turn in range(options.rounds):
        say(f"{server.name}: round {turn + 1} of {options.rounds}")
        for pair in section.pairs:
            slow = options.once_above and pair.runs and pair.runs[0].wall > options.once_above
            if pair.failure or slow:
                continue
            folder = Path(tempfile.mkdtemp(prefix="tidemark-bench."))
            try:
                command = makers[pair.tool](server, section.table, pair.form, folder) if pair.form else tools.floor(server, section.table)
                run_once(pair, command, section.table, folder, options.timeout)
            finally:
                shutil.rmtree(folder, ignore_errors=True)
            if pair.failure:
                say(f"  {pair.tool} {pair.form}: {pair.failure}")


def prepare(server: Server, chosen: list[tools.Tool], missing: dict[str, str], options: argparse.Namespace) -> Section:
    """What is to be measured on one server: the floor, then each tool in each of its formats."""
    pairs = [Pair(tools.floor_name(server), "")]
    for tool in chosen:
        pairs += [Pair(tool.name, form, failure=missing.get(tool.package, "")) for form in tool.formats if form in options.formats]
    # asking for the digest reads the whole table, so that the first tool finds it in memory as the others do
    table = lineitem.describe(server, options.scale)
    return Section(server.name, server.version(), server.memory(), table, pairs)


def command_line(options: argparse.Namespace) -> str:
    """How to measure the same again; where things lie is left out."""
    words = [f"bench/run.py --scale {options.scale} --rounds {options.rounds}"]
    if options.once_above:
        words.append(f"--once-above {options.once_above:g}")
    for name, all_of_them in (("servers", servers.NAMES), ("tools", names()), ("formats", FORMATS)):
        if set(getattr(options, name)) != set(all_of_them):
            words.append(f"--{name} {' '.join(getattr(options, name))}")
    return " ".join(words)


def main() -> None:
    options = arguments()
    busy = os.getloadavg()[0]
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # stops what was started, as an interrupt does
    say("installing the tools")
    missing = TABLES.install()
    if gone := {"duckdb", "pyarrow", "tpchgen-cli"} & missing.keys():
        raise SystemExit(f"cannot be installed: {', '.join(f'{name}: {missing[name]}' for name in gone)}")
    chosen = [tool for tool in tools.PEERS if tool.name in options.tools]
    binary: Path | None = None
    if "tidemark" in options.tools and not options.load_only:
        binary = (options.bin or tools.build(options.profile)).resolve()
        chosen.insert(0, tools.tidemark(binary))

    head = [f"{date.today()}: {report.machine()}", f"`{command_line(options)}`"]
    if binary:
        name = subprocess.run([binary, "--version"], capture_output=True, text=True, check=True).stdout.strip()
        head.append(f"{name}, " + ("built beforehand" if options.bin else f"cargo profile {options.profile}"))
    head += [f"{tool.name} {TABLES.version(tool.package)}: {tool.note}" for tool in chosen if tool.package]
    head.append("one run of each tool" if options.rounds == 1 else f"{options.rounds} rounds of all tools in turn; medians")
    head.append(f"load average at the start: {busy:.1f}" + ("; other work disturbed these figures" if busy > 0.5 else ""))

    sections: list[Section] = []
    with servers.up(options.servers, options.data) as (there, unavailable):
        load(there, options.scale)
        if options.load_only:
            return
        head += [f"{name} was not read: {why}" for name, why in unavailable.items()]
        try:
            for server in there:
                section = prepare(server, chosen, missing, options)
                sections.append(section)
                bench(server, section, chosen, options)
                if options.out:
                    options.out.write_text(report.write(head, sections))
        finally:  # an interrupted one says what it has
            text = report.write(head, sections)
            if options.out:
                options.out.write_text(text)
            print(text)


if __name__ == "__main__":
    main()
