"""A real PostgreSQL on loopback, from Debian's packages, one per test run."""

from __future__ import annotations

import itertools
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psycopg

from tests.support.collectors import free_port
from tests.support.programs import missing

_START_SECONDS = 60
_SCHEMAS = itertools.count()


def programs() -> Path | None:
    """The directory of the newest PostgreSQL, if one is installed."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(path.parent.name))
    on_path = shutil.which("pg_ctl")
    return found[-1] if found else Path(on_path).parent if on_path else None


class PostgresServer:
    """A server that can be stopped, killed and started again."""

    def __init__(self, binaries: Path, directory: Path, *, settings: tuple[str, ...] = ()) -> None:
        self._binaries = binaries
        self.directory = directory
        self._settings = settings
        self.port = free_port()
        self._user = "postgres" if os.getuid() == 0 else None
        if self._user:
            owner = pwd.getpwnam(self._user)
            os.chown(directory, owner.pw_uid, owner.pw_gid)

    @property
    def data(self) -> Path:
        """The data directory."""
        return self.directory / "data"

    def url(self, user: str = "postgres", database: str = "postgres") -> str:
        """A URL of the server."""
        return f"postgresql://{user}@127.0.0.1:{self.port}/{database}"

    def initialise(self) -> None:
        """Make an empty cluster."""
        self.run("initdb", "-D", str(self.data), "-A", "trust", "-U", "postgres", "--no-sync")

    def copy_of(self, primary: PostgresServer) -> None:
        """Make a standby of *primary*, which replicates asynchronously once it is started."""
        self.run(
            "pg_basebackup", "-D", str(self.data), "-R", "--no-sync", "-c", "fast", "-d", primary.url(),
        )  # fmt: skip

    def promote(self) -> None:
        """Make a standby the primary."""
        self.run("pg_ctl", "-D", str(self.data), "-w", "promote")

    def start(self) -> None:
        """Start and wait until it answers."""
        options = [
            "listen_addresses=127.0.0.1",
            f"port={self.port}",
            "unix_socket_directories=",
        ]
        text = " ".join(f"-c {option}" for option in (*options, *self._settings))
        log = str(self.directory / "log")
        self.run(
            "pg_ctl", "-D", str(self.data), "-w", "-t", str(_START_SECONDS), "-o", text, "-l", log, "start"
        )

    def stop(self, mode: str = "fast") -> None:
        """Stop; *mode* ``immediate`` is like a crash."""
        self.run("pg_ctl", "-D", str(self.data), "-w", "-m", mode, "stop")

    def kill(self) -> None:
        """Kill the postmaster and everything of it, as if the power went."""
        pid = int((self.data / "postmaster.pid").read_text().splitlines()[0])
        children = subprocess.run(
            ["ps", "-o", "pid=", "--ppid", str(pid)], capture_output=True, text=True, check=False
        ).stdout.split()
        everything = (pid, *map(int, children))
        for one in everything:
            with suppress(ProcessLookupError):
                os.kill(one, signal.SIGKILL)
        deadline = time.monotonic() + _START_SECONDS
        # Until the last one is gone, its shared memory keeps a new server from starting.
        while any(_is_alive(one) for one in everything) and time.monotonic() < deadline:
            time.sleep(0.05)
        # A process that nobody reaps would look to a new server as if the old one still ran.
        (self.data / "postmaster.pid").unlink(missing_ok=True)

    def execute(self, text: str, database: str = "postgres") -> list[tuple[object, ...]]:
        """The rows of one statement, as the superuser."""
        with psycopg.connect(self.url(database=database), autocommit=True) as connection:
            cursor = connection.execute(text.encode())
            return cursor.fetchall() if cursor.description else []

    def schema(self) -> str:
        """A name of a schema that no other test of this server uses."""
        return f"journal_{os.getpid()}_{next(_SCHEMAS)}"

    def run(self, program: str, *arguments: str) -> None:
        """Run one of PostgreSQL's programs as the server's user."""
        command = [str(self._binaries / program), *arguments]
        if self._user:
            command = ["runuser", "-u", self._user, "--", *command]
        done = subprocess.run(
            command, cwd="/", stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, check=False,
            timeout=2 * _START_SECONDS, text=True,
        )  # fmt: skip
        assert done.returncode == 0, f"{program}: {done.stdout}"


@contextmanager
def standby_of(primary: PostgresServer) -> Iterator[PostgresServer]:
    """A running standby of *primary*, for the block."""
    binaries = programs()
    assert binaries is not None
    with tempfile.TemporaryDirectory(prefix="email-connector-standby-") as name:
        directory = Path(name)
        directory.chmod(0o755)
        server = PostgresServer(binaries, directory)
        server.copy_of(primary)
        server.start()
        try:
            yield server
        finally:
            if (server.data / "postmaster.pid").exists():
                server.stop("immediate")


@contextmanager
def postgres_server(*settings: str) -> Iterator[PostgresServer]:
    """A server of its own for the block. Skips where PostgreSQL is not installed; in CI that is a failure."""
    binaries = programs()
    if binaries is None:
        missing("PostgreSQL is not installed (Debian: postgresql)")
    with tempfile.TemporaryDirectory(prefix="email-connector-postgres-") as name:
        directory = Path(name)
        directory.chmod(0o755)
        server = PostgresServer(binaries, directory, settings=settings)
        server.initialise()
        server.start()
        try:
            yield server
        finally:
            if (server.data / "postmaster.pid").exists():
                server.stop("immediate")


def _is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
