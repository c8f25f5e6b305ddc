"""What reads the API, each as the command line that a user would type."""

import json
import shlex
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from environment import HERE, SINGER, SINGER_TARGET, TABLES, Environment
from rest_api import Api
from tools import Command

# what a tap's messages go to where they are looked at
MESSAGES = "messages.jsonl"


@dataclass(frozen=True)
class Reader:
    """A tool and where its records go. `form` says how rest_check.py reads its files; one without files is held to what the server was asked
    for, and in the run of one page to the files of `seen`. `package` is the name in the requirements of `environment`."""

    name: str
    into: str
    form: str
    command: Callable[[Api, Path], Command]
    note: str = ""
    package: str = ""
    environment: Environment = TABLES
    seen: Callable[[Api, Path], Command] | None = None

    def missing(self, missing: dict[Environment, dict[str, str]]) -> str:
        return missing[self.environment].get(self.package, "")


def floor() -> Reader:
    def command(api: Api, folder: Path) -> Command:
        return Command([str(TABLES.program("python")), str(HERE / "rest_pages.py"), api.url, str(api.job.limit)])

    return Reader("the pages alone", "nothing", "", command)


def tidemark(binary: Path, form: str) -> Reader:
    def command(api: Api, folder: Path) -> Command:
        (folder / "pipeline.conf").write_text(f"""[job_log]
url = sqlite:{folder}/tidemark.db

[source bench]
type = rest
base_url = {api.url}

[destination lake]
type = local
path = {folder}/out
format = {form}
{"compression = none" if form == "json" else ""}

[stream copy]
source = bench
destination = lake
path = /cursor
records = data
pagination = cursor
next_cursor = meta.next_cursor
page_size_param = limit
page_size = {api.job.limit}
""")
        # beside the tables' folders lie the commit log and the like, whose names begin with _
        return Command([str(binary), "run", "-c", str(folder / "pipeline.conf")], "out/[!_]*/**/*")

    return Reader("tidemark", form, form, command)


def dlt(api: Api, folder: Path) -> Command:
    argv = [str(TABLES.program("python")), str(HERE / "rest_dlt.py"), api.url, str(api.job.limit), api.job.shape, str(folder)]
    return Command(argv, "out/bench/copy/*.parquet", {"RUNTIME__DLTHUB_TELEMETRY": "false", "HOME": str(folder)})


def tap(api: Api, folder: Path, writer: str) -> list[str]:
    config = folder / "tap.json"
    config.write_text(json.dumps({"url": api.url, "limit": api.job.limit, "shape": api.job.shape}))
    return [str(SINGER.program("python")), str(HERE / "rest_singer.py"), writer, "--config", str(config)]


def alone(writer: str) -> Callable[[Api, Path], Command]:
    """Standard output goes to /dev/null."""
    return lambda api, folder: Command(tap(api, folder, writer), env={"HOME": str(folder)})


def seen(writer: str) -> Callable[[Api, Path], Command]:
    def command(api: Api, folder: Path) -> Command:
        return piped(f"{shlex.join(tap(api, folder, writer))} > {MESSAGES}", MESSAGES, folder)

    return command


def target(writer: str) -> Callable[[Api, Path], Command]:
    def command(api: Api, folder: Path) -> Command:
        (folder / "out").mkdir()
        (folder / "target.json").write_text(json.dumps({"destination_path": str(folder / "out")}))
        into = [str(SINGER_TARGET.program("target-jsonl")), "--config", str(folder / "target.json")]
        return piped(f"{shlex.join(tap(api, folder, writer))} | {shlex.join(into)}", "out/*.jsonl", folder)

    return command


def piped(line: str, files: str, folder: Path) -> Command:
    return Command(["bash", "-o", "pipefail", "-c", line], files, {"HOME": str(folder)})


def peers() -> list[Reader]:
    def singer(name: str, writer: str, note: str) -> Reader:
        return Reader(name, "/dev/null", "singer", alone(writer), note, "singer-sdk", SINGER, seen(writer))

    return [
        Reader("dlt", "parquet", "parquet", dlt, "its rest_api source, filesystem destination; nothing nested is made a table", "dlt"),
        singer("singer-sdk", "default", "a tap of RESTStream; its messages go to /dev/null"),
        singer("singer-msgspec", "msgspec", "the same with the SDK's faster writer"),
        Reader(
            "singer-target",
            "json",
            "json",
            target("msgspec"),
            "the tap with the faster writer, piped into target-jsonl",
            "target-jsonl",
            SINGER_TARGET,
        ),
    ]


PEERS = ("dlt", "singer-sdk", "singer-msgspec", "singer-target")
