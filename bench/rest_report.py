"""What reading the API took, as Markdown that also reads well on a terminal."""

from dataclasses import dataclass

from measure import own_peak
from report import Pair, bullets, megabytes, table
from rest_api import Job

# tidemark's targets: so many times the records a second of each peer, and its peak memory
TARGET_TIMES = 10
TARGET_PEAK = 64 << 20


@dataclass
class Line(Pair):
    """One tool's runs over `records`; `form` is what it reads into. `begin` is how long a run for the first page alone took;
    `flaw` is what is wrong with its files although all records are in them."""

    records: int = 0
    limit: int = 0
    begin: float = 0.0
    flaw: str = ""

    def rate(self) -> float:
        return self.records / self.wall()

    def rate_begun(self) -> float | None:
        """Records a second behind the first page: without the tool's start. None where that is within the noise."""
        wall = self.wall() - self.begin
        return (self.records - self.limit) / wall if wall > 0.05 * self.wall() and self.records > self.limit else None


@dataclass
class Section:
    """One job; the first line is the floor. `load` is the load average when it began."""

    job: Job
    records: int
    size: int
    load: float
    lines: list[Line]


HEAD = ["tool", "into", "records", "runs", "wall s", "min – max", "records/s", "once begun", "MB out", "CPU s", "peak MiB", "× floor"]


def figures(section: Section) -> str:
    """The table of one job."""
    rows, floor, smallest = [HEAD], section.lines[0], own_peak()
    for line in section.lines:
        if not line.runs:
            continue
        walls, begun = [run.wall for run in line.runs], line.rate_begun()
        rows.append(
            [
                line.tool,
                line.form,
                f"{line.records:,}",
                str(len(walls)),
                f"{line.wall():.2f}",
                f"{min(walls):.2f} – {max(walls):.2f}",
                f"{line.rate():,.0f}",
                f"{begun:,.0f}" if begun else "–",
                megabytes(line.size) if line.size else "–",
                f"{line.cpu():.1f}",
                f"< {smallest / 2**20:.0f}" if line.peak() <= smallest else f"{line.peak() / 2**20:,.1f}",
                f"{floor.rate() / line.rate():.2f}" if floor.runs else "–",
            ]
        )
    return table(rows, 2)


def targets(section: Section) -> list[str]:
    """Whether tidemark met its targets with this job: against dlt into Parquet, against Singer into JSON Lines."""
    lines = []
    for ours in section.lines:
        if ours.tool != "tidemark" or not ours.runs:
            continue
        for peer in section.lines[1:]:
            if peer.tool == "tidemark" or not peer.runs or (peer.form == "parquet") != (ours.form == "parquet"):
                continue
            times = ours.rate() / peer.rate()
            text = f"{ours.form}: {times:.1f} times the records/s of {peer.tool} into {peer.form}"
            if (mine := ours.rate_begun()) and (theirs := peer.rate_begun()):
                text += f" ({mine / theirs:.1f} once both have begun)"
            lines.append(f"{text}, target {TARGET_TIMES}: {'met' if times >= TARGET_TIMES else 'missed'}")
        met = "met" if ours.peak() < TARGET_PEAK else "missed"
        lines.append(f"{ours.form}: peak {ours.peak() / 2**20:.1f} MiB, target below {TARGET_PEAK >> 20} MiB: {met}")
    return lines


INTRODUCTION = """# Reading an API

What reading pages of JSON over HTTP takes, measured by `bench/rest.py` (`bench/README.md` says how, and how to read the tables). Every tool
asked for each page once, one after the other, and its files were read back by DuckDB: all records, once each."""


def write(head: list[str], sections: list[Section]) -> str:
    parts = [INTRODUCTION, bullets(head)]
    for section in sections:
        job = section.job
        parts.append(f"## {job.name}")
        bodies = f"bodies in {', '.join(job.encodings)}" if job.encodings else "bodies not compressed"
        each = f"{section.size / max(section.records, 1):.0f} bytes each"
        pages = -(-section.records // job.limit)
        about = f"{job.about[0].upper()}{job.about[1:]}: {section.records:,} records, {each}, in {pages:,} pages"
        parts.append(f"{about}; {bodies}; load average {section.load:.1f}.")
        parts.append(figures(section))
        if met := targets(section):
            parts += ["Targets:", bullets(met)]
        if flaws := [f"{line.tool} into {line.form}: {line.flaw}" for line in section.lines if line.flaw]:
            parts += ["Measured, but not as it should be:", bullets(flaws)]
        if failed := [f"{line.tool} into {line.form}: {line.failure}" for line in section.lines if line.failure]:
            parts += ["Not measured:", bullets(failed)]
    return "\n\n".join(parts) + "\n"


def told(line: Line) -> str:
    """The last run, for whoever watches."""
    run = line.runs[-1]
    return f"{line.tool} into {line.form}: {run.wall:.2f} s (median {line.wall():.2f}), CPU {run.cpu:.1f} s, peak {run.peak / 2**20:.0f} MiB"
