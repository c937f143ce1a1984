"""The journal on PostgreSQL beside SQLite, in one run: ``python -m tests.benchmarks.postgres [PAGES]``.

Prints microseconds of CPU per record of each step, of this process and of the database server, and the time
that a
page of a thousand takes, also where a round trip to the server takes a millisecond. Exits with 1 over the
budget.
"""

from __future__ import annotations

import asyncio
import os
import socket
import sys
import tempfile
import threading
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, fields
from multiprocessing import get_context
from pathlib import Path

from connector.interfaces import Journal
from connector.journal import Journal as SqliteJournal
from connector.journal.postgres import PostgresJournal, Server
from connector.model import Backlog
from connector.secret import Secret
from tests.benchmarks.journals import Times, content, turn
from tests.benchmarks.page import COLLECTED
from tests.support.postgres import PostgresServer, postgres_server

PAGE = 1000
CPU_RATIO = 1.3
"""Most CPU of this process per record, as a multiple of SQLite's."""

PAGE_MS = 60.0
"""Longest that a page may take where a round trip takes a millisecond."""

_HALF_MS = 0.0005
_HZ = os.sysconf("SC_CLK_TCK")


@dataclass
class Figures:
    """Of one journal: CPU in this process, CPU of the server (µs per record), and ms per page."""

    cpu: Times
    server: float
    page_ms: float
    commit_ms: float


async def compare(pages: int) -> dict[str, Figures]:
    """Commit, read and acknowledge *pages* pages in each journal in turn."""
    with tempfile.TemporaryDirectory() as place, postgres_server() as server, _far(server.port) as port:
        far = f"postgresql://postgres@127.0.0.1:{port}/postgres"
        async with AsyncExitStack() as stack:
            opened: dict[str, Journal] = {
                "SQLite": await stack.enter_async_context(_sqlite(Path(place))),
                "PostgreSQL": await stack.enter_async_context(_postgres(server.url(), "near")),
                "PostgreSQL, 1 ms away": await stack.enter_async_context(_postgres(far, "far")),
            }
            return await _measure(opened, server, pages)


async def _measure(opened: dict[str, Journal], server: PostgresServer, pages: int) -> dict[str, Figures]:
    positions = {
        name: await one.attach("siem", "head", Backlog(max_bytes=1 << 40)) for name, one in opened.items()
    }
    taken: dict[str, list[Figures]] = {name: [] for name in opened}
    for number in range(pages):
        revisions, seen = content(number)
        for name, journal in opened.items():
            spent, began = _cpu_of(server), time.perf_counter()
            times, commit = await turn(journal, positions[name], revisions, seen)
            elapsed = (time.perf_counter() - began) * 1000
            used = (_cpu_of(server) - spent) * 1e6 / PAGE
            taken[name].append(Figures(times, used, elapsed, commit * 1000))
            positions[name] += PAGE
    return {name: _best(figures[len(figures) // 4 :]) for name, figures in taken.items()}


def _best(figures: list[Figures]) -> Figures:
    """The best of each: what else runs on the machine disturbs them."""
    cpu = min((one.cpu for one in figures), key=lambda one: one.whole)
    return Figures(
        cpu,
        sum(one.server for one in figures) / len(figures),
        min(one.page_ms for one in figures),
        min(one.commit_ms for one in figures),
    )


@asynccontextmanager
async def _sqlite(directory: Path) -> AsyncIterator[Journal]:
    async with SqliteJournal.open(directory, observe=lambda _: None, clock=lambda: COLLECTED) as journal:
        yield journal


@asynccontextmanager
async def _postgres(url: str, schema: str) -> AsyncIterator[Journal]:
    server = Server(Secret(url), schema)
    async with PostgresJournal.open(server, observe=lambda _: None, clock=lambda: COLLECTED) as journal:
        yield journal


def _cpu_of(server: PostgresServer) -> float:
    """Seconds of CPU of the server's processes so far."""
    postmaster = (server.data / "postmaster.pid").read_text().split()[0]
    total = 0
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError, IndexError):
            words = stat.read_text().rpartition(")")[2].split()
            if postmaster in {words[1], stat.parent.name}:
                total += int(words[11]) + int(words[12])
    return total / _HZ


@contextmanager
def _far(target: int) -> Iterator[int]:
    """A proxy in a process of its own that keeps everything for half a millisecond each way; yields its
    port."""
    context = get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_delay, args=(target, theirs), daemon=True)
    process.start()
    try:
        yield int(ours.recv())
    finally:
        process.kill()
        process.join()


def _delay(target: int, pipe: object) -> None:
    listener = socket.create_server(("127.0.0.1", 0))
    pipe.send(listener.getsockname()[1])  # type: ignore[attr-defined]
    while True:
        client, _ = listener.accept()
        server = socket.create_connection(("127.0.0.1", target))
        for one, other in ((client, server), (server, client)):
            one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            threading.Thread(target=_pass, args=(one, other), daemon=True).start()


def _pass(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(1 << 20):
            time.sleep(_HALF_MS)
            target.sendall(data)


def main(pages: int) -> bool:
    """Print the figures; says whether they are within the budget."""
    figures = asyncio.run(compare(pages))
    names = [field.name for field in fields(Times)]
    header = f"{'':24}" + "".join(f"{name:>13}" for name in [*names, "all", "server", "ms/page", "ms/commit"])
    print(header)  # noqa: T201, a command that reports
    for name, one in figures.items():
        values = [
            *(getattr(one.cpu, field) for field in names),
            one.cpu.whole,
            one.server,
            one.page_ms,
            one.commit_ms,
        ]
        print(f"{name:24}" + "".join(f"{value:13.1f}" for value in values))  # noqa: T201
    ratio = figures["PostgreSQL"].cpu.whole / figures["SQLite"].cpu.whole
    far = figures["PostgreSQL, 1 ms away"].commit_ms
    print(f"CPU per record: {ratio:.2f} times SQLite's (budget {CPU_RATIO})")  # noqa: T201
    print(f"a page of {PAGE} at 1 ms: {far:.0f} ms (budget {PAGE_MS:.0f})")  # noqa: T201
    return ratio <= CPU_RATIO and far <= PAGE_MS


if __name__ == "__main__":
    sys.exit(0 if main(int(sys.argv[1]) if len(sys.argv) > 1 else 20) else 1)
