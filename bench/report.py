"""What was measured, as Markdown that also reads well on a terminal."""

import os
import platform
import re
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

from lineitem import Loaded
from measure import Usage, own_peak

# tidemark's targets: its wall time against the floor's, by server and format, and its peak memory
TARGETS = {"postgres": 1.1, "mysql": 1.0}
TARGET_FORMATS = ("parquet", "csv")
TARGET_PEAK = 128 * 1000 * 1000


@dataclass
class Pair:
    """One tool and format on one server: its runs, the bytes it wrote, how values arrived, or why it could not."""

    tool: str
    form: str
    runs: list[Usage] = field(default_factory=list)
    size: int = 0
    shown: str = ""
    failure: str = ""

    def wall(self) -> float:
        return median(run.wall for run in self.runs)

    def cpu(self) -> float:
        return median(run.cpu for run in self.runs)

    def peak(self) -> int:
        return max(run.peak for run in self.runs)


@dataclass
class Section:
    """One server's figures; the first pair is the floor."""

    name: str
    title: str
    memory: str
    table: Loaded
    pairs: list[Pair]


def machine() -> str:
    """The machine, as far as figures depend on it."""
    cpu = re.search(r"^model name\s*:\s*(.*)$", Path("/proc/cpuinfo").read_text(), re.M)
    kib = re.search(r"^MemTotal:\s*(\d+)", Path("/proc/meminfo").read_text(), re.M)
    system = re.search(r'^PRETTY_NAME="?([^"\n]*)', Path("/etc/os-release").read_text(), re.M)
    parts = [
        f"{os.cpu_count()} cores" + (f" ({cpu[1]})" if cpu else ""),
        f"{int(kib[1]) / (1 << 20):.0f} GiB of memory" if kib else "",
        system[1] if system else "",
        f"Linux {platform.release().split('-')[0]}",
        f"Python {platform.python_version()}",
    ]
    return ", ".join(part for part in parts if part)


def table(rows: list[list[str]], left: int) -> str:
    """A Markdown table; the first `left` columns are text, the others figures."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]

    def line(row: list[str]) -> str:
        cells = [cell.ljust(width) if column < left else cell.rjust(width) for column, (cell, width) in enumerate(zip(row, widths, strict=True))]
        return "| " + " | ".join(cells) + " |"

    rule = ["-" * width if column < left else "-" * (width - 1) + ":" for column, width in enumerate(widths)]
    return "\n".join([line(rows[0]), line(rule), *map(line, rows[1:])])


def megabytes(size: float) -> str:
    return f"{size / 1e6:,.1f}" if size < 99.5e6 else f"{size / 1e6:,.0f}"


def figures(section: Section) -> str:
    """The table of one server."""
    rows = [
        [
            "tool",
            "format",
            "price, date as",
            "runs",
            "wall s",
            "min – max",
            "rows/s",
            "MB out",
            "MB/s out",
            "MB/s table",
            "CPU s",
            "peak MB",
            "× floor",
        ]
    ]
    floor = section.pairs[0]
    smallest = own_peak()
    for pair in section.pairs:
        if not pair.runs:
            continue
        wall = pair.wall()
        peak = f"< {smallest / 1e6:.0f}" if pair.peak() <= smallest else f"{pair.peak() / 1e6:,.0f}"
        walls = [run.wall for run in pair.runs]
        rows.append(
            [
                pair.tool,
                pair.form or "–",
                pair.shown or "–",
                str(len(pair.runs)),
                f"{wall:.2f}",
                f"{min(walls):.2f} – {max(walls):.2f}",
                f"{section.table.rows / wall:,.0f}",
                megabytes(pair.size) if pair.size else "–",
                megabytes(pair.size / wall) if pair.size else "–",
                megabytes(section.table.size / wall),
                f"{pair.cpu():.1f}",
                peak,
                f"{wall / floor.wall():.2f}" if floor.runs else "–",
            ]
        )
    return table(rows, 3)


def targets(section: Section) -> list[str]:
    """Whether tidemark met its targets here."""
    floor, lines = section.pairs[0], []
    for pair in section.pairs:
        if pair.tool != "tidemark" or not pair.runs or not floor.runs:
            continue
        ratio = pair.wall() / floor.wall()
        if section.name in TARGETS and pair.form in TARGET_FORMATS:
            limit = TARGETS[section.name]
            lines.append(f"{pair.form}: {ratio:.2f} × {floor.tool}, target {limit:.2f}: {'met' if ratio <= limit else 'missed'}")
        met = "met" if pair.peak() < TARGET_PEAK else "missed"
        lines.append(f"{pair.form}: peak {pair.peak() / 1e6:.0f} MB, target below {TARGET_PEAK / 1e6:.0f} MB: {met}")
    return lines


def losses(section: Section) -> list[str]:
    """Where a peer was faster, smaller, or wrote fewer bytes than tidemark in the same format."""
    lines = []
    for ours in section.pairs:
        if ours.tool != "tidemark" or not ours.runs:
            continue
        for other in section.pairs[1:]:
            if other.tool == "tidemark" or other.form != ours.form or not other.runs:
                continue
            worse = [
                f"{what} ({mine} against {theirs})"
                for what, lost, mine, theirs in (
                    ("slower", other.wall() < ours.wall(), f"{ours.wall():.1f} s", f"{other.wall():.1f} s"),
                    ("more CPU", other.cpu() < ours.cpu(), f"{ours.cpu():.1f} s", f"{other.cpu():.1f} s"),
                    ("more memory", other.peak() < ours.peak(), f"{ours.peak() / 1e6:.0f} MB", f"{other.peak() / 1e6:.0f} MB"),
                    ("larger files", other.size * 1.02 < ours.size, f"{megabytes(ours.size)} MB", f"{megabytes(other.size)} MB"),
                )
                if lost
            ]
            if worse:
                lines.append(f"{ours.form}, against {other.tool}: {', '.join(worse)}")
    return lines


def bullets(lines: list[str]) -> str:
    return "\n".join(f"- {line}" for line in lines)


INTRODUCTION = """# Benchmarks

What copying TPC-H lineitem out of a server takes, measured by `bench/run.py` (`bench/README.md` says how, and how to read the tables).
The floor is the server's own client throwing away what it gets. Every run's files were read back by DuckDB and held the table's rows."""


def write(head: list[str], sections: list[Section]) -> str:
    """The whole report, as docs/benchmarks.md holds it."""
    parts = [INTRODUCTION, bullets(head)]
    for section in sections:
        parts.append(f"## {section.title}")
        size = f"{section.table.rows:,} rows, {megabytes(section.table.size)} MB in the table without its indexes; {section.memory}."
        parts += [size, figures(section)]
        if met := targets(section):
            parts += ["Targets:", bullets(met)]
        measured = {pair.tool for pair in section.pairs[1:] if pair.runs}
        if "tidemark" in measured and len(measured) > 1:
            parts += ["Where tidemark loses to a peer:", bullets(losses(section) or ["nowhere in this table"])]
        if failed := [f"{pair.tool} to {pair.form}: {pair.failure}" for pair in section.pairs if pair.failure]:
            parts += ["Not measured:", bullets(failed)]
    return "\n\n".join(parts) + "\n"
