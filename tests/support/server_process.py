"""A real server as a child process on loopback: started, frozen, killed, and started again on its data."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from typing import Any

_START_SECONDS = 120.0
"""The most that a server may take to start on a busy machine."""


class ServerProcess:
    """One server; its output goes to a log beside its data.

    Args:
        command: how to start it, each time on the same ports and data.
        url: its base URL.
        health: a path that answers with 200 once the server takes requests.
        log: the file for its output.
    """

    def __init__(self, command: Sequence[str | Path], url: str, health: str, log: Path) -> None:
        self.url = url
        self._command = [str(part) for part in command]
        self._health = health
        self._log = log
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it and wait until it takes requests."""
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(self._command, stdout=log, stderr=log)
        deadline = time.monotonic() + _START_SECONDS
        while not self._healthy():
            assert self._process.poll() is None, f"the server ended: {self._tail()}"
            assert time.monotonic() < deadline, f"the server does not answer: {self._tail()}"
            time.sleep(0.05)

    def freeze(self) -> None:
        """Stop it where it is: it takes no byte from its sockets any more."""
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let a frozen one go on."""
        self._signal(signal.SIGCONT)

    def kill(self) -> None:
        """SIGKILL: what it has not written is lost. Works on a frozen one."""
        self._signal(signal.SIGKILL)
        assert self._process is not None
        self._process.wait(20)

    def stop(self) -> None:
        """End it in good order if it runs."""
        if self._process is None or self._process.poll() is not None:
            return
        self._signal(signal.SIGCONT)
        self._process.terminate()
        try:
            self._process.wait(30)
        except subprocess.TimeoutExpired:
            self.kill()

    def request(self, path: str, body: object = None, *, method: str = "") -> bytes:
        """Return the body of the answer; raises ``urllib.error.HTTPError`` for 4xx and 5xx."""
        data = None if body is None else json.dumps(body).encode()
        headers = {"content-type": "application/json"} if data else {}
        request = urllib.request.Request(
            self.url + path, data, headers, method=method or ("POST" if data else "GET")
        )
        with urllib.request.urlopen(request, timeout=60) as answer:
            content: bytes = answer.read()
        return content

    def json(self, path: str, body: object = None, *, method: str = "") -> Any:
        """Return the JSON of the answer."""
        return json.loads(self.request(path, body, method=method))

    def _healthy(self) -> bool:
        try:
            self.request(self._health)
        except (OSError, urllib.error.HTTPError):
            return False
        return True

    def _signal(self, number: signal.Signals) -> None:
        assert self._process is not None
        assert self._process.poll() is None, f"the server ended: {self._tail()}"
        os.kill(self._process.pid, number)

    def _tail(self) -> str:
        return self._log.read_text(errors="replace")[-2000:]
