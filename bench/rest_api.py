"""The API that is read: examples/api.rs, on loopback, with what a job reads of it."""

import json
import subprocess
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from environment import HERE, TABLES

# Pages are kept once they are made, up to so many bytes: more than a job has.
KEPT_BYTES = 4 << 30


@dataclass(frozen=True)
class Job:
    """What is read: records of a shape in pages of `limit`; `share` of the number of records that is asked for. `amount` is the decimal
    field whose sum is looked at. `encodings` are what bodies are offered in, the first that a client accepts is taken."""

    name: str
    shape: str
    limit: int
    share: float
    amount: str
    encodings: tuple[str, ...] = ()
    about: str = ""


JOBS = {
    job.name: job
    for job in (
        Job("small", "small", 1000, 1.0, "amount", about="records of five fields"),
        Job("short-pages", "small", 100, 1.0, "amount", about="the same in ten times as many pages"),
        Job("gzip", "small", 1000, 1.0, "amount", ("gzip",), about="pages of `small`, compressed"),
        Job("rich", "rich", 1000, 0.25, "balance", about="records with records and lists, and numbers beyond 64 bits"),
    )
}


@dataclass(frozen=True)
class Api:
    """The server while it has a job. By the number of records, `digests` are what must arrive (see rest_check.py), `sizes` the bytes of all
    pages before they are compressed."""

    url: str
    job: Job
    digests: dict[int, dict[str, int]] = field(default_factory=dict)
    sizes: dict[int, int] = field(default_factory=dict)

    def pages(self, records: int) -> int:
        return -(-records // self.job.limit)

    def order(self, **what: object) -> None:
        body = json.dumps(what).encode()
        with urllib.request.urlopen(urllib.request.Request(f"{self.url}/_control", body)) as answer:
            answer.read()

    def begin(self, records: int) -> None:
        """Has so many records, and forgets who asked for them."""
        self.order(forget=True, settings={"records": records})

    def complaint(self, records: int) -> str:
        """What was asked for otherwise than once each page, one after the other."""
        with urllib.request.urlopen(f"{self.url}/_control") as answer:
            seen = json.load(answer)
        served = sum(page["served"] for page in seen["pages"].values())
        wanted = self.pages(records)
        if (seen["requests"], len(seen["pages"]), served) != (wanted, wanted, wanted):
            return f"asked {seen['requests']} times for {len(seen['pages'])} pages of {wanted}"
        return f"had {seen['most_at_once']} requests under way at once" if seen["most_at_once"] > 1 else ""

    def expect(self, records: int) -> None:
        """Reads what must arrive of so many records, unless that is known; all pages are made and kept with it."""
        if records in self.digests:
            return
        self.begin(records)
        argv = [TABLES.program("python"), HERE / "rest_pages.py", self.url, str(self.job.limit), self.job.amount]
        done = subprocess.run(argv, capture_output=True, text=True, check=True)
        digest = json.loads(done.stdout)
        self.sizes[records] = digest.pop("bytes")
        if (digest["rows"], digest["ids"], digest["sum of ids"]) != (records, records, records * (records + 1) // 2):
            raise SystemExit(f"the server does not have the records 1 to {records}, once each: {digest}")
        self.digests[records] = digest


@contextmanager
def serve(program: Path, job: Job) -> Iterator[Api]:
    settings = {"shape": job.shape, "page_most": job.limit, "encodings": job.encodings, "kept_bytes": KEPT_BYTES}
    argv = [program, "--order", json.dumps({"settings": settings})]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as child:
        try:
            line = child.stdout.readline() if child.stdout else ""
            if not line.startswith("http://"):
                raise SystemExit("the server of examples/api.rs does not start")
            yield Api(line.strip().rstrip("/"), job)
        finally:
            child.kill()
