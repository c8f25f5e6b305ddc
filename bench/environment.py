"""A Python environment of the bench's own, with pinned packages in it."""

import json
import os
import platform
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from servers import CACHE

HERE = Path(__file__).resolve().parent


@dataclass(frozen=True)
class Environment:
    """What the file `requirements` beside this one lists, installed in the folder `name` of the cache."""

    name: str
    requirements: str

    @property
    def home(self) -> Path:
        return CACHE / self.name

    @property
    def python(self) -> Path:
        return self.home / "python"

    def program(self, name: str) -> Path:
        return self.python / "bin" / name

    def install(self) -> dict[str, str]:
        """Installs it, once; gives the requirements that could not be had, with the reason."""
        file = HERE / self.requirements
        wanted = f"{platform.python_version()} {platform.machine()}\n{file.read_text()}"
        stamp, missing = self.home / "python.ok", self.home / "missing.json"
        if not stamp.exists() or stamp.read_text() != wanted:
            stamp.unlink(missing_ok=True)
            shutil.rmtree(self.python, ignore_errors=True)
            subprocess.run(["python3", "-m", "venv", self.python], check=True)
            failed: dict[str, str] = {}
            if self.pip("-r", str(file)):
                for one in self.pins().values():
                    if reason := self.pip(one):
                        failed[package(one)] = reason
            missing.write_text(json.dumps(failed))
            stamp.write_text(wanted)
        return {str(name): str(reason) for name, reason in json.loads(missing.read_text()).items()}

    def pip(self, *what: str) -> str:
        """Installs, and gives the error where that failed."""
        done = subprocess.run(
            [self.program("pip"), "-q", "install", *what],
            env={**os.environ, "PIP_DISABLE_PIP_VERSION_CHECK": "1", "PIP_ROOT_USER_ACTION": "ignore"},
            capture_output=True,
            text=True,
            check=False,
        )
        return "" if done.returncode == 0 else (done.stderr.strip().splitlines() or ["pip failed"])[-1]

    def pins(self) -> dict[str, str]:
        """The requirements by package."""
        lines = [line.strip() for line in (HERE / self.requirements).read_text().splitlines()]
        return {package(line): line for line in lines if line and not line.startswith("#")}

    def version(self, name: str) -> str:
        return self.pins()[name].split("==")[1].split(";")[0]


def package(requirement: str) -> str:
    return re.split(r"[\[=;]", requirement)[0]


# the peers that copy tables, the data's maker, and what checks files
TABLES = Environment("bench", "requirements.txt")
# those that read change logs; rivet is among the others
CHANGES = Environment("bench-changes", "requirements-changes.txt")
# taps, and targets: each in an environment of its own, as Singer has it
SINGER = Environment("bench-singer", "requirements-singer.txt")
SINGER_TARGET = Environment("bench-singer-target", "requirements-singer-target.txt")
