"""The connector as a process of its own: started, asked, killed."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent.parent
TOKEN = "canary-6f1d2c5b9e"
ACCOUNT = "023e105f4ecef8ad9ca31a8372d0c353"
_PATIENCE = 60.0


def environment(**more: str) -> dict[str, str]:
    """A clean environment: nothing of the machine's own configuration."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG", "TMPDIR") if name in os.environ}
    return {**kept, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1", **more}


def command(
    *arguments: str, environ: Mapping[str, str], cwd: Path, stdin: bytes = b""
) -> tuple[int, str, str]:
    """Run one command to its end; its exit code, stdout and stderr."""
    done = subprocess.run(
        [sys.executable, "-m", "connector", *arguments],
        env=dict(environ),
        cwd=cwd,
        input=stdin,
        capture_output=True,
        timeout=_PATIENCE,
        check=False,
    )
    return done.returncode, done.stdout.decode(), done.stderr.decode()


def until(condition: Callable[[], bool], what: str, *, patience: float = _PATIENCE) -> None:
    """Wait for *condition*; fails after *patience* seconds with *what* was expected."""
    deadline = time.monotonic() + patience
    while not condition():
        assert time.monotonic() < deadline, f"waited in vain: {what}"
        time.sleep(0.02)


class Daemon:
    """``email-connector run`` in a directory of its own; stdout goes to a file."""

    def __init__(self, directory: Path, environ: Mapping[str, str], *arguments: str) -> None:
        self.stdout = directory / "stdout.ndjson"
        self.logs: list[str] = []
        with self.stdout.open("ab") as sink:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "connector", "run", *arguments],
                env=dict(environ),
                cwd=directory,
                stdout=sink,
                stderr=subprocess.PIPE,
            )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self.logs.append(line.decode())

    @property
    def url(self) -> str:
        """Where the endpoint answers, once it does."""
        until(lambda: bool(self._announced()) or self.process.poll() is not None, "the endpoint's URL")
        found = self._announced()
        assert found, "".join(self.logs)
        return found

    def _announced(self) -> str:
        found = re.search(r'(?:endpoint: +|"endpoint":")(http[^"\s]+)', "".join(self.logs))
        return found[1] if found else ""

    def get(self, path: str) -> bytes:
        """What the endpoint answers, whatever the status."""
        try:
            with urllib.request.urlopen(self.url + path, timeout=10) as answer:
                body: bytes = answer.read()
        except urllib.error.HTTPError as error:
            body = error.read()
        return body

    def status(self) -> dict[str, Any]:
        """The daemon's status."""
        status: dict[str, Any] = json.loads(self.get("/api/status"))
        return status

    def ready(self) -> bool:
        """Whether the daemon says that it is ready."""
        return bool(json.loads(self.get("/readyz"))["ready"])

    def healthy(self) -> bool:
        """Whether the endpoint answers that the daemon is alive."""
        return bool(json.loads(self.get("/healthz"))["alive"])

    def events(self) -> list[dict[str, Any]]:
        """The whole lines on stdout; a line torn by a kill is left out."""
        lines = self.stdout.read_bytes().split(b"\n")[:-1]
        return [json.loads(line) for line in lines if line.endswith(b"}") and line.startswith(b"{")]

    def kill(self) -> None:
        """SIGKILL: no chance to do anything."""
        self.process.kill()
        self._ended()

    def terminate(self) -> int:
        """SIGTERM, and wait; the exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self._ended()

    def _ended(self) -> int:
        code = self.process.wait(_PATIENCE)
        self._reader.join()
        if self.process.stderr is not None:
            self.process.stderr.close()
        return code


@contextmanager
def daemon(directory: Path, environ: Mapping[str, str], *arguments: str) -> Iterator[Daemon]:
    """A daemon that does not outlive the block."""
    running = Daemon(directory, environ, *arguments)
    try:
        yield running
    except BaseException:
        sys.stderr.write("".join(running.logs[-50:]))
        if running.process.poll() is None:
            sys.stderr.write(json.dumps(running.status(), indent=1))
        raise
    finally:
        running.kill()
