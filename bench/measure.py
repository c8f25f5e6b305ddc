"""One measured run of a program."""

import os
import resource
import signal
import subprocess
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Usage:
    """What one run took. `cpu` is user and system time of the program and every process below it that it waited for;
    `peak` is the resident memory, in bytes, of the largest of those processes."""

    wall: float
    cpu: float
    peak: int
    code: int
    timed_out: bool


def own_peak() -> int:
    """This process's own peak in bytes: the kernel counts it for every program started here, so a smaller one is not seen."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def run(argv: list[str], env: dict[str, str], folder: Path, log: Path, timeout: float, discard: bool) -> Usage:
    """Runs `argv` in `folder` to its end, or ends it and all it started after `timeout` seconds. What it prints goes to
    `log`; with `discard` its standard output goes to /dev/null instead."""
    with open(log, "wb") as out:
        begin = time.monotonic()
        child = subprocess.Popen(
            argv,
            env={**os.environ, **env},
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL if discard else out,
            stderr=out,
            start_new_session=True,
        )
    late = threading.Event()

    def end() -> None:
        late.set()
        os.killpg(child.pid, signal.SIGKILL)

    timer = threading.Timer(timeout, end)
    timer.start()
    try:
        _, status, usage = os.wait4(child.pid, 0)
        wall = time.monotonic() - begin
        child.returncode = os.waitstatus_to_exitcode(status)
    finally:
        timer.cancel()
        with suppress(ProcessLookupError):  # an interrupted run, or one that left something behind
            os.killpg(child.pid, signal.SIGKILL)
    return Usage(wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024, child.returncode, late.is_set())
