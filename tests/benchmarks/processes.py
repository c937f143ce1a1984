"""What a benchmark runs beside itself: the API, the collectors and the connector, each in its own process.

Nothing here outlives its block. CPU times and sizes are read from ``/proc``.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.support.process import ROOT, environment

_TICK = os.sysconf("SC_CLK_TCK")
_START = 120.0
MIB = 1 << 20


def cpu(pid: int) -> float:
    """Seconds of CPU that the process used so far, in all its threads."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICK


def rss(pid: int) -> float:
    """MiB that the process has in memory."""
    return _memory(pid, "VmRSS")


def peak(pid: int) -> float:
    """The most MiB that the process ever had in memory."""
    return _memory(pid, "VmHWM")


def _memory(pid: int, name: str) -> float:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(name):
            return int(line.split()[1]) / 1024
    return 0.0


@contextmanager
def started(*arguments: str, environ: Mapping[str, str] | None = None) -> Iterator[tuple[int, str]]:
    """A module as a process: its pid, and the first line that it prints."""
    process = subprocess.Popen(
        [sys.executable, "-m", *arguments],
        env=dict(environ or environment()),
        cwd=ROOT,
        stdout=subprocess.PIPE,
    )
    try:
        assert process.stdout is not None
        yield process.pid, process.stdout.readline().decode().strip()
    finally:
        process.kill()
        process.wait()
        if process.stdout is not None:
            process.stdout.close()


@contextmanager
def api(messages: int, *, span: float = 3600.0, rate: float = 0.0, limited: bool = False) -> Iterator[str]:
    """The simulator with so many *messages* of the last *span* seconds; its URL."""
    numbers = (str(messages), str(span), str(rate), str(int(limited)))
    with started("tests.benchmarks.api", *numbers) as (_, url):
        yield url


@contextmanager
def static_api(records: int, *, span: float = 3600.0, era: str = "current") -> Iterator[str]:
    """An API with *records* of the last *span* seconds, no address twice, as fast as can be; its URL."""
    with started("tests.benchmarks.static_api", str(records), str(span), era) as (_, url):
        yield url


def floor(rounds: int = 60, *, era: str = "current") -> float:
    """What JSON alone costs a record, in microseconds, in a process that is tuned like the daemon."""
    with started("tests.benchmarks.floor", str(rounds), era) as (_, line):
        return float(line)


@dataclass(frozen=True)
class Collectors:
    """Ports by name, and how many events each took."""

    ports: Mapping[str, int]

    def counts(self) -> dict[str, int]:
        """How many events each of them took so far."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.ports['control']}/counts", timeout=60) as answer:
            counts: dict[str, int] = json.loads(answer.read())
        return counts


@contextmanager
def collectors(wanted: Mapping[str, str]) -> Iterator[Collectors]:
    """Collectors by name and kind; see ``collector``."""
    arguments = [f"{name}={kind}" for name, kind in wanted.items()]
    with started("tests.benchmarks.collector", *arguments) as (_, line):
        yield Collectors(json.loads(line))


@dataclass
class Connector:
    """``email-connector run`` as a process."""

    process: subprocess.Popen[bytes]
    directory: Path
    begun: float
    tree: Path = ROOT
    url: str = ""
    ready: float = 0.0
    cpu_at_start: float = 0.0
    heard: threading.Event = field(default_factory=threading.Event)
    lines: list[str] = field(default_factory=list)

    @property
    def pid(self) -> int:
        return self.process.pid

    def spent(self) -> float:
        """Seconds of CPU since it was ready."""
        return cpu(self.pid) - self.cpu_at_start

    def get(self, path: str) -> bytes:
        """What the endpoint answers."""
        with urllib.request.urlopen(self.url + path, timeout=60) as answer:
            body: bytes = answer.read()
        return body

    def status(self) -> dict[str, Any]:
        """The daemon's status."""
        status: dict[str, Any] = json.loads(self.get("/api/status"))
        return status

    def command(self, *arguments: str, **environ: str) -> None:
        """Run ``email-connector`` with *arguments* beside the daemon, to its end."""
        subprocess.run(
            [*_python(self.tree), *arguments, "-c", str(self.directory / "connector.yaml")],
            env=environment(**{"PYTHONPATH": str(self.tree), **environ}), cwd=self.directory, check=True,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip

    def listen(self) -> None:
        """Read stderr: where the endpoint is, and what went wrong."""
        assert self.process.stderr is not None
        for raw in self.process.stderr:
            line = raw.decode()
            self.lines = [*self.lines[-50:], line]
            if '"daemon_started"' in line:
                self.ready = time.monotonic()
                self.cpu_at_start = cpu(self.pid)
                self.url = json.loads(line)["endpoint"]
                self.heard.set()
        self.heard.set()


def _python(tree: Path) -> list[str]:
    own = tree / ".venv/bin/python"
    return [str(own) if own.exists() else sys.executable, "-m", "connector"]


@contextmanager
def connector(
    directory: Path, config: Mapping[str, Any], tree: Path = ROOT, **environ: str
) -> Iterator[Connector]:
    """The daemon with *config*, its state below *directory*; ended with SIGTERM, then SIGKILL.

    *tree* is the checkout that it runs from, with the interpreter of its own environment if there is one.
    """
    directory.mkdir(parents=True, exist_ok=True)
    whole = {
        "state": {"directory": str(directory / "state")},
        "server": {"listen": "127.0.0.1:0"},
        "log": {"level": "info", "format": "json"},
        **config,
    }
    path = directory / "connector.yaml"
    path.write_text(json.dumps(whole))
    begun = time.monotonic()
    process = subprocess.Popen(
        [*_python(tree), "run", "-c", str(path)],
        env=environment(**{"PYTHONPATH": str(tree), **environ}), cwd=directory, stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )  # fmt: skip
    running = Connector(process, directory, begun, tree)
    reader = threading.Thread(target=running.listen, daemon=True)
    reader.start()
    try:
        if not running.heard.wait(_START) or not running.url:
            raise RuntimeError("the connector did not start:\n" + "".join(running.lines))
        yield running
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        reader.join()
        if process.stderr is not None:
            process.stderr.close()


ACCOUNT = "023e105f4ecef8ad9ca31a8372d0c353"


def plain_feed(url: str, *, start: str = "2h", **search: Any) -> dict[str, Any]:
    """Accounts and searches of a configuration that reads everything of one API once."""
    return {
        "accounts": {
            "prod": {
                "account_id": ACCOUNT,
                "api_token": "${env:BENCH_TOKEN}",
                "base_url": url,
                "budget": {"requests": 1_000_000},
            }
        },
        "searches": {
            "all": {
                "every": "60s",
                "start": start,
                "revisit": [],
                "filters": {"detections_only": False},
                **search,
            }
        },
    }


def outputs(collected: Collectors, wanted: Mapping[str, str]) -> dict[str, Any]:
    """Outputs of a configuration for the collectors of *wanted*, by the same names."""
    return {name: _output(kind.partition(":")[0], collected.ports[name]) for name, kind in wanted.items()}


def _output(kind: str, port: int) -> dict[str, Any]:
    url = f"http://127.0.0.1:{port}"
    if kind == "hec":
        return {"type": "splunk_hec", "url": url, "token": "${env:BENCH_TOKEN}", "ack": "off"}
    if kind == "bulk":
        return {"type": "elasticsearch", "url": url}
    if kind in {"tcp", "udp"}:
        return {"type": "syslog", "address": f"{kind}://127.0.0.1:{port}"}
    return {"type": "http", "url": url}


def wait_for(condition: Callable[[], bool], seconds: float, every: float = 0.05) -> bool:
    """Look until *condition* holds; says whether it did within *seconds*."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(every)
    return True


def all_took(collected: Collectors, names: Sequence[str], count: int) -> Callable[[], bool]:
    """Whether each of *names* has *count* events."""
    return lambda: all(collected.counts().get(name, 0) >= count for name in names)
