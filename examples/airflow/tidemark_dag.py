"""Runs a Tidemark pipeline, spread over the workers of Apache Airflow.

One task plans, one task runs each part of the plan: a chunk of a full load, or a whole run of a stream that grows.
Workers share nothing but the pipeline's job log and its destination. README.md beside this file says how to use it.
"""

from __future__ import annotations

import json
import os
import shlex
import subprocess
from datetime import timedelta

from airflow.sdk import dag, task
from airflow.sdk.exceptions import AirflowException, AirflowFailException

PROGRAM = os.environ.get("TIDEMARK_PROGRAM", "tidemark")
# Streams to run, by name or pattern; all where empty.
STREAMS = shlex.split(os.environ.get("TIDEMARK_STREAMS", ""))
# How many parts run at once, over all workers.
PARALLEL = int(os.environ.get("TIDEMARK_PARALLEL", "4"))
RETRIES = int(os.environ.get("TIDEMARK_RETRIES", "5"))
RETRY_DELAY = timedelta(seconds=float(os.environ.get("TIDEMARK_RETRY_SECONDS", "60")))

# Exit codes that another try may mend: 75, a server that is out of reach; 73, a part that is held, for up to a minute
# also by a worker that died; 130 and 143, a worker that was stopped; -9 and 137, one that was killed.
TRY_AGAIN = {73, 75, 130, 143, 137, -2, -9, -15}


def tidemark(*arguments: str, stdin: str = "") -> str:
    """Runs the program and gives what it printed. What it logs goes to the task's log, line by line."""
    command = [PROGRAM, *arguments]
    print("$", shlex.join(command), flush=True)
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        printed, _ = process.communicate(stdin)
    finally:
        # The task is ended: so is the program, at its next safe place.
        if process.poll() is None:
            process.terminate()
            process.wait()
    code = process.returncode
    if code == 0:
        return printed
    message = f"tidemark ended with {code}: {why(printed)}"
    if code in TRY_AGAIN:
        raise AirflowException(message)
    raise AirflowFailException(message)


def why(printed: str) -> str:
    """The errors in the last line of a run."""
    try:
        summary = json.loads(printed.splitlines()[-1])
    except (IndexError, ValueError):
        return "see the log above"
    errors = [summary["error"], *(stream["error"] for stream in summary["streams"])]
    return "; ".join(error for error in errors if error) or summary["state"]


RETRIED = {
    "retries": RETRIES,
    "retry_delay": RETRY_DELAY,
    "retry_exponential_backoff": True,
    "max_retry_delay": timedelta(minutes=10),
}


@dag(dag_id="tidemark", schedule=None, catchup=False, max_active_runs=1, default_args=RETRIED)
def pipeline():
    @task
    def plan() -> dict:
        # Takes the mode from RUN_TYPE, where that is set: `full` or `incremental`.
        planned = json.loads(tidemark("plan", "--json", *STREAMS))
        for stream in planned["streams"]:
            print(f"{stream['stream']}: {stream['what']}")
        # Nobody needs the statements to run them, and they would be in the metadata database for ever.
        for part in planned["parts"]:
            del part["sql"]
        return planned

    @task
    def numbers(planned: dict) -> list[int]:
        return [part["part"] for part in planned["parts"]]

    @task(max_active_tis_per_dagrun=PARALLEL, map_index_template="{{ part_name }}")
    def part(planned: dict, number: int) -> dict:
        from airflow.sdk import get_current_context

        of = planned["parts"][number]
        chunk = f", chunk {of['chunk']}" if of["chunk"] else ""
        get_current_context()["part_name"] = f"{number}: {of['stream']}{chunk}"
        printed = tidemark("run", "--plan", "-", "--part", str(number), stdin=json.dumps(planned))
        summary = json.loads(printed.splitlines()[-1])
        return {"rows": summary["rows"], "bytes": summary["bytes"], "seconds": summary["seconds"]}

    planned = plan()
    part.partial(planned=planned).expand(number=numbers(planned))


pipeline()
