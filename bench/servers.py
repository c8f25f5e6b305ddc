"""The servers that are read from: where they are, and their own clients."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

ROOT = Path(__file__).resolve().parent.parent
SCRIPTS = ROOT / "tests" / "servers"
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "tidemark"

NAMES = ("postgres", "mariadb", "mysql")
# what up.sh may leave out, and the bench does not read
UNREAD = ("postgres_new", "gcs", "mongo")
# holds the table up to about scale 2
POOL = 2 << 30


@dataclass(frozen=True)
class Server:
    """A server under test. `ours` says that the bench started it."""

    name: str
    url: str
    ours: bool

    @property
    def host(self) -> str:
        return urlsplit(self.url).hostname or "127.0.0.1"

    @property
    def port(self) -> int:
        return urlsplit(self.url).port or (5432 if self.name == "postgres" else 3306)

    @property
    def user(self) -> str:
        return unquote(urlsplit(self.url).username or "")

    @property
    def password(self) -> str:
        return unquote(urlsplit(self.url).password or "")

    def address(self, scheme: str, database: str, options: str = "") -> str:
        """This server's URL in the scheme that some tool expects, for another database."""
        return f"{scheme}://{urlsplit(self.url).netloc}/{database}{options}"

    def environment(self) -> dict[str, str]:
        """What the server's own client reads: the password, and that nothing is encrypted on loopback."""
        if self.name == "postgres":
            return {"PGPASSWORD": self.password, "PGSSLMODE": "disable"}
        return {"MYSQL_PWD": self.password}

    def client(self, database: str, *options: str) -> list[str]:
        """The server's own client, over TCP and in clear as every tool here."""
        if self.name == "postgres":
            at = ["-h", self.host, "-p", str(self.port), "-U", self.user, "-d", database or "postgres"]
            return ["psql", "-X", *at, *options]
        at = [f"--host={self.host}", f"--port={self.port}", f"--user={self.user}", "--protocol=tcp", "--local-infile=1"]
        if self.name == "mysql":
            program, clear = mysql_client(), ["--ssl-mode=DISABLED", "--get-server-public-key"]
        else:
            program, clear = "mariadb", ["--skip-ssl"]
        return [program, "--no-defaults", *at, *clear, *options, *([database] if database else [])]

    def sql(self, statement: str, database: str = "") -> list[list[str]]:
        """Runs statements as they are, and gives the rows they return as text."""
        if self.name == "postgres":
            options, fed = ["-q", "-A", "-t", "-F", "\t", "-v", "ON_ERROR_STOP=1"], statement
        else:
            options, fed = ["-B", "-N"], statement
        done = subprocess.run(
            self.client(database, *options), input=fed, env={**os.environ, **self.environment()}, capture_output=True, text=True, check=False
        )
        if done.returncode != 0:
            raise RuntimeError(f"{self.name}: {done.stderr.strip()}")
        return [line.split("\t") for line in done.stdout.splitlines()]

    def version(self) -> str:
        """The product and its version, for people."""
        if self.name == "postgres":
            return "PostgreSQL " + self.sql("show server_version")[0][0].split(" ")[0]
        number = self.sql("select version()")[0][0].split("-")[0]
        return ("MySQL " if self.name == "mysql" else "MariaDB ") + number

    def memory(self) -> str:
        """How much memory the server gives to its pages, for people."""
        if self.name == "postgres":
            return "shared_buffers " + self.sql("show shared_buffers")[0][0]
        return f"buffer pool {int(self.sql('select @@innodb_buffer_pool_size')[0][0]) >> 20} MiB"


def mysql_client() -> str:
    """Oracle's client where install.sh put it: the `mysql` on the PATH may be MariaDB's."""
    cache = Path(os.environ.get("TIDEMARK_SERVERS") or CACHE / "servers")
    ours = cache / "mysql" / "bin" / "mysql"
    return str(ours) if ours.exists() else "mysql"


def variable(name: str) -> str:
    return f"TIDEMARK_TEST_{name.upper()}"


@contextmanager
def up(names: list[str], data: Path | None) -> Iterator[tuple[list[Server], dict[str, str]]]:
    """The named servers, and of those that cannot be had the reason. Those with an address in the environment are taken
    as they are; for the others tests/servers/up.sh starts its servers, with their data under `data` or a temporary
    folder, and they are stopped at the end."""
    given = {name: os.environ[variable(name)] for name in names if os.environ.get(variable(name))}
    missing = [name for name in names if name not in given]
    if not missing:
        yield [Server(name, given[name], False) for name in names], {}
        return
    if not (SCRIPTS / "up.sh").exists():
        raise SystemExit(f"no tests/servers/up.sh here, and no address in {', '.join(map(variable, missing))}")
    folder = data or Path(tempfile.mkdtemp(prefix="tidemark-bench-servers."))
    without = [*UNREAD, *(["mysql"] if "mysql" not in names else [])]
    try:
        subprocess.run(
            [SCRIPTS / "up.sh", folder],
            env={**os.environ, "TIDEMARK_SERVERS_WITHOUT": " ".join(without)},
            stdout=subprocess.DEVNULL,
            check=True,
        )
        found = {**addresses(folder / "env"), **given}
        there = [Server(name, found[name], name not in given) for name in names if name in found]
        for server in there:
            if server.ours and server.name != "postgres":
                # the table shall come from the server's memory, not from the disk
                server.sql(f"set global innodb_buffer_pool_size = {POOL}")
        yield there, {name: "up.sh could not install or start it" for name in names if name not in found}
    finally:
        subprocess.run([SCRIPTS / "down.sh", folder], check=False)
        if data is None:
            shutil.rmtree(folder, ignore_errors=True)


def addresses(env: Path) -> dict[str, str]:
    """The servers' addresses in the file that up.sh wrote."""
    script = 'set -a; . "$1"; env -0'
    done = subprocess.run(["bash", "-c", script, "bash", env], capture_output=True, text=True, check=True)
    values = dict(entry.split("=", 1) for entry in done.stdout.split("\0") if "=" in entry)
    return {name: values[variable(name)] for name in NAMES if values.get(variable(name))}
