#!/usr/bin/env python3
"""Reads an API page by page with tidemark, dlt and taps of the Singer SDK, in turns, and prints what each took.

The API is examples/api.rs on loopback. README.md beside this file tells the rest."""

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

import measure
import report
import rest_report
import rest_tools
import tools
from environment import HERE, SINGER, SINGER_TARGET, TABLES, Environment
from rest_api import JOBS, Api, serve
from rest_report import Line, Section
from rest_tools import Reader
from run import reason, say

FORMATS = ("parquet", "json")
NAMES = ("tidemark", *rest_tools.PEERS)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0], formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument("--records", type=int, default=1_000_000, help="of each job; `rich` has a quarter of them")
    parser.add_argument("--peer-records", type=int, metavar="N", help="peers read the first pages only, up to so many records")
    parser.add_argument("--jobs", nargs="+", choices=JOBS, default=list(JOBS), metavar="NAME", help=", ".join(JOBS))
    parser.add_argument("--rounds", type=int, default=3, metavar="N", help="runs of each tool")
    parser.add_argument("--once-above", type=float, metavar="SECONDS", help="do not repeat a tool whose first run took longer")
    parser.add_argument("--timeout", type=float, default=1800, metavar="SECONDS", help="end a run that takes longer")
    parser.add_argument("--tools", nargs="+", choices=NAMES, default=list(NAMES), metavar="NAME", help=", ".join(NAMES))
    parser.add_argument("--formats", nargs="+", choices=FORMATS, default=list(FORMATS), metavar="NAME", help="tidemark's: " + ", ".join(FORMATS))
    parser.add_argument("--profile", default="release", help="cargo profile that tidemark and the API are built with")
    parser.add_argument("--bin", type=Path, metavar="PATH", help="use this tidemark instead of building one")
    parser.add_argument("--api", type=Path, metavar="PATH", help="use this program of examples/api.rs instead of building it")
    parser.add_argument("--out", type=Path, metavar="FILE", help="write the report to this file too")
    chosen = parser.parse_args()
    for records in (chosen.records, chosen.peer_records or chosen.records):
        if records < 4000 or records % 4000:
            parser.error("--records and --peer-records count in 4,000, so that all pages are whole")
    if chosen.rounds < 1:
        parser.error("--rounds is at least 1")
    return chosen


def check(reader: Reader, line: Line, api: Api, records: int, files: list[Path]) -> str:
    """What is wrong with what a run left; nothing where these are all records, once each."""
    if complaint := api.complaint(records):
        return complaint
    if not files:
        return ""
    argv = [str(TABLES.program("python")), str(HERE / "rest_check.py"), reader.form, api.job.amount, *map(str, files)]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        return f"what it wrote cannot be read: {(done.stderr.strip().splitlines() or [''])[-1]}"
    found = json.loads(done.stdout)
    if empty := found["without columns"]:
        line.flaw = f"{empty} of {len(files)} files without columns, which DuckDB and others refuse; the rest was read without"
    return "" if found["digest"] == api.digests[records] else f"left {found['digest']} instead of {api.digests[records]}"


def run_once(reader: Reader, line: Line, api: Api, first: bool, timeout: float) -> measure.Usage | None:
    """One run and its check, of the `first` page or of all; what went wrong is left in the line."""
    records = api.job.limit if first else line.records
    folder = Path(tempfile.mkdtemp(prefix="tidemark-rest."))
    try:
        api.expect(records)
        command = (reader.seen if first and reader.seen else reader.command)(api, folder)
        api.begin(records)
        log = folder / "run.log"
        usage = measure.run(command.argv, command.env, folder, log, timeout, discard=not command.files)
        if usage.timed_out:
            line.failure = f"ended after {timeout:.0f} s"
        elif usage.code != 0:
            line.failure = reason(log, folder, usage.code)
        else:
            files = sorted(path for path in folder.glob(command.files) if path.is_file()) if command.files else []
            line.size = sum(path.stat().st_size for path in files)
            nothing = bool(command.files) and not files
            line.failure = f"ended well, but left no {command.files}" if nothing else check(reader, line, api, records, files)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    if line.failure:
        say(f"  {line.tool} into {line.form}: {line.failure}")
        return None
    return usage


def bench(section: Section, readers: list[Reader], api: Api, options: argparse.Namespace) -> None:
    """Runs the tools in turns, so that what disturbs the machine disturbs all of them. The first turn is for one page."""
    for turn in range(options.rounds + 1):
        say(f"{section.job.name}: round {turn} of {options.rounds}" if turn else f"{section.job.name}: the first page")
        for reader, line in zip(readers, section.lines, strict=True):
            slow = options.once_above and line.runs and line.runs[0].wall > options.once_above
            if line.failure or slow:
                continue
            usage = run_once(reader, line, api, turn == 0, options.timeout)
            if usage and turn == 0:
                line.begin = usage.wall
            elif usage:
                line.runs.append(usage)
                say(f"  {rest_report.told(line)}")


def prepare(api: Api, readers: list[Reader], missing: dict[Environment, dict[str, str]], options: argparse.Namespace) -> Section:
    """What is to be measured with one job: the floor first. Every page is made meanwhile, and kept."""
    load = os.getloadavg()[0]
    records = int(options.records * api.job.share)
    of_peers = min(records, int((options.peer_records or options.records) * api.job.share))
    say(f"{api.job.name}: making {records:,} records")
    api.expect(records)
    lines = []
    for reader in readers:
        count = of_peers if reader.name in rest_tools.PEERS else records
        lines.append(Line(reader.name, reader.into, failure=reader.missing(missing), records=count, limit=api.job.limit))
    return Section(api.job, records, api.sizes[records], load, lines)


def command_line(options: argparse.Namespace) -> str:
    """How to measure the same again; where things lie is left out."""
    words = [f"bench/rest.py --records {options.records} --rounds {options.rounds}"]
    if options.peer_records:
        words.append(f"--peer-records {options.peer_records}")
    if options.once_above:
        words.append(f"--once-above {options.once_above:g}")
    for name, all_of_them in (("jobs", JOBS), ("tools", NAMES), ("formats", FORMATS)):
        if set(getattr(options, name)) != set(all_of_them):
            words.append(f"--{name} {' '.join(getattr(options, name))}")
    return " ".join(words)


def main() -> None:
    options = arguments()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # stops what was started, as an interrupt does
    say("installing the tools")
    missing = {environment: environment.install() for environment in (TABLES, SINGER, SINGER_TARGET)}
    if gone := {"duckdb", "pyarrow"} & missing[TABLES].keys():
        raise SystemExit(f"cannot be installed: {', '.join(f'{name}: {missing[TABLES][name]}' for name in gone)}")
    readers = [reader for reader in rest_tools.peers() if reader.name in options.tools]
    head = [f"{date.today()}: {report.machine()}", f"`{command_line(options)}`"]
    if "tidemark" in options.tools:
        binary = (options.bin or tools.build(options.profile)).resolve()
        readers = [*(rest_tools.tidemark(binary, form) for form in FORMATS if form in options.formats), *readers]
        name = subprocess.run([binary, "--version"], capture_output=True, text=True, check=True).stdout.strip()
        head.append(f"{name}, " + ("built beforehand" if options.bin else f"cargo profile {options.profile}"))
    program = (options.api or tools.build(options.profile, "--example", "api")).resolve()
    head += [f"{reader.name} ({reader.package} {reader.environment.version(reader.package)}): {reader.note}" for reader in readers if reader.package]
    head.append("one run of each tool" if options.rounds == 1 else f"{options.rounds} rounds of all tools in turn; medians")
    busy = os.getloadavg()[0]
    head.append(f"load average at the start: {busy:.1f}" + ("; other work disturbed these figures" if busy > 0.5 else ""))
    readers.insert(0, rest_tools.floor())
    sections: list[Section] = []
    try:
        for name in options.jobs:
            with serve(program, JOBS[name]) as api:
                sections.append(prepare(api, readers, missing, options))
                bench(sections[-1], readers, api, options)
    finally:  # an interrupted one says what it has
        text = rest_report.write(head, sections)
        if options.out:
            options.out.write_text(text)
        print(text)


if __name__ == "__main__":
    main()
