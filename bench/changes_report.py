"""What reading changes took, as Markdown that also reads well on a terminal."""

from dataclasses import dataclass, field
from statistics import median

from changes_log import Piece
from measure import own_peak
from report import TARGET_PEAK, Pair, bullets, megabytes, table

# tidemark's targets: how many times as fast as the fastest peer it writes Parquet; changes and transactions a second
TIMES = 5
CHANGES = 1_000_000
TRANSACTIONS = 100_000


@dataclass
class Line(Pair):
    """One tool's runs; `form` is what it reads into. `told` is how many seconds each run says it read once it had begun."""

    told: list[float] = field(default_factory=list)

    def seconds(self) -> float:
        """What a peer is compared by: where it tells when its reading began, its start is left out."""
        return min(self.wall(), median(self.told)) if self.told else self.wall()


@dataclass
class Section:
    """One piece of one server's log; the first line is the floor. `unread` names the tools that do not read this server."""

    title: str
    piece: Piece
    rows_each: int
    lines: list[Line]
    unread: list[str]

    def best(self) -> Line | None:
        peers = [line for line in self.lines[1:] if not line.tool.startswith("tidemark") and line.runs]
        return min(peers, key=Line.seconds, default=None)


HEAD = ["tool", "into", "runs", "wall s", "min – max", "changes/s", "once begun", "MB out", "CPU s", "peak MB", "× floor", "× best peer"]


def figures(section: Section) -> str:
    """The table of one piece."""
    rows, changes = [HEAD], section.piece.changes
    floor, best, smallest = section.lines[0], section.best(), own_peak()
    for line in section.lines:
        if not line.runs:
            continue
        walls = [run.wall for run in line.runs]
        is_floor = line is floor
        rows.append(
            [
                line.tool,
                line.form,
                str(len(walls)),
                f"{line.wall():.2f}",
                f"{min(walls):.2f} – {max(walls):.2f}",
                f"{changes / line.wall():,.0f}",
                f"{changes / median(line.told):,.0f}" if line.told else "–",
                megabytes(line.size) if line.size else "–",
                f"{line.cpu():.1f}",
                f"< {smallest / 1e6:.0f}" if line.peak() <= smallest else f"{line.peak() / 1e6:,.0f}",
                f"{line.wall() / floor.wall():.2f}" if floor.runs else "–",
                f"{best.seconds() / line.seconds():.2f}" if best and not is_floor else "–",
            ]
        )
    return table(rows, 2)


def targets(section: Section) -> list[str]:
    """Whether tidemark met its targets with this piece."""
    lines, best, piece = [], section.best(), section.piece

    def tell(what: str, is_met: bool) -> None:
        lines.append(f"{what}: {'met' if is_met else 'missed'}")

    for line in section.lines:
        if not line.tool.startswith("tidemark") or not line.runs:
            continue
        if line.form == "parquet":
            if best:
                times = best.seconds() / line.wall()
                tell(f"{line.tool} into parquet: {times:.1f} times as fast as {best.tool} into {best.form}, target {TIMES}", times >= TIMES)
            if section.rows_each == 1:
                rate = piece.transactions / line.wall()
                tell(f"{line.tool} into parquet: {rate:,.0f} transactions/s, target {TRANSACTIONS:,}", rate >= TRANSACTIONS)
            else:
                rate = piece.changes / line.wall()
                tell(f"{line.tool} into parquet: {rate:,.0f} changes/s, aimed at {CHANGES:,}", rate >= CHANGES)
        tell(f"{line.tool} into {line.form}: peak {line.peak() / 1e6:.0f} MB, target below {TARGET_PEAK / 1e6:.0f} MB", line.peak() < TARGET_PEAK)
    return lines


INTRODUCTION = """# Reading changes

What reading a piece of a binary log takes, measured by `bench/changes.py` (`bench/README.md` says how, and how to read the tables). What
tidemark wrote was read back by DuckDB after every run: as many changes of each kind as were made, and behind them the table."""


def write(head: list[str], sections: list[Section]) -> str:
    parts = [INTRODUCTION, bullets(head)]
    for section in sections:
        piece = section.piece
        kinds = f"{piece.kinds['c']:,} inserts, {piece.kinds['u']:,} updates, {piece.kinds['d']:,} deletes"
        about = f"{piece.changes:,} changes ({kinds}) in {piece.transactions:,} transactions; {megabytes(piece.size)} MB of log."
        parts += [f"## {section.title}", about, figures(section)]
        if met := targets(section):
            parts += ["Targets:", bullets(met)]
        failed = [f"{line.tool} into {line.form}: {line.failure}" for line in section.lines if line.failure]
        if left := failed + section.unread:
            parts += ["Not measured:", bullets(left)]
    return "\n\n".join(parts) + "\n"
