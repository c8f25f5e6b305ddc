"""What reading changes took, as Markdown that also reads well on a terminal."""

from dataclasses import dataclass, field
from statistics import median

from changes_piece import Piece
from measure import own_peak
from report import TARGET_PEAK, Pair, bullets, megabytes, table


@dataclass(frozen=True)
class Aims:
    """Tidemark's targets into Parquet, of which a kind of log has some: how many times as fast as the fastest peer it is, how many times
    as long as the floor it takes, changes and transactions a second."""

    times: float | None = None
    floor: float | None = None
    changes: int | None = None
    transactions: int | None = None


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
    aims: Aims

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
    lines, best, piece, aims, floor = [], section.best(), section.piece, section.aims, section.lines[0]

    def tell(what: str, is_met: bool) -> None:
        lines.append(f"{what}: {'met' if is_met else 'missed'}")

    for line in section.lines:
        if not line.tool.startswith("tidemark") or not line.runs:
            continue
        if line.form == "parquet":
            name, wall = f"{line.tool} into parquet", line.wall()
            if best and aims.times:
                times = best.seconds() / wall
                tell(f"{name}: {times:.1f} times as fast as {best.tool} into {best.form}, target {aims.times:g}", times >= aims.times)
            if floor.runs and aims.floor:
                times = wall / floor.wall()
                tell(f"{name}: {times:.2f} × {floor.tool}, target {aims.floor:.2f}", times <= aims.floor)
            if section.rows_each == 1 and aims.transactions:
                rate = piece.transactions / wall
                tell(f"{name}: {rate:,.0f} transactions/s, target {aims.transactions:,}", rate >= aims.transactions)
            if section.rows_each > 1 and aims.changes:
                rate = piece.changes / wall
                tell(f"{name}: {rate:,.0f} changes/s, aimed at {aims.changes:,}", rate >= aims.changes)
        tell(f"{line.tool} into {line.form}: peak {line.peak() / 1e6:.0f} MB, target below {TARGET_PEAK / 1e6:.0f} MB", line.peak() < TARGET_PEAK)
    return lines


INTRODUCTION = """# Reading changes

What reading a piece of a server's log takes, measured by `bench/changes.py` (`bench/README.md` says how, and how to read the tables). What
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
