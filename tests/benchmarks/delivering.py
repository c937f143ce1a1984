"""Delivery alone: revisions in memory, a mapping that is done already, and a collector that only counts.

What is left is the machinery of every output: reading, batching, encoding, posting, acknowledging, freeing.
``python -m tests.benchmarks.delivering`` prints microseconds of CPU per record by type of output.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import subprocess
import sys
import time
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from types import MappingProxyType

import orjson

from connector.app.runtime import run
from connector.delivery import Deliverer, DeliveryOptions
from connector.facts import Fact
from connector.interfaces import Mapper, Start
from connector.mapping import Library, build_mapper
from connector.model import Backlog, DeadLetter, Entry, Event, Gap, Revision
from connector.outputs import settings_class
from connector.outputs.common import OutputSettings
from tests.benchmarks.figures import Report, at_most
from tests.benchmarks.page import ACCOUNTS, pages, revision
from tests.benchmarks.processes import collectors, outputs
from tests.support.process import ROOT, environment

_PAGE = 1000
_ENTRY = 125
"""Revisions that the journal keeps and hands out together."""

KINDS = {"http": "ecs", "hec": "ecs", "bulk": "ecs", "tcp": "cef"}
"""Kinds of collectors (see ``collector``), and what is mapped for them."""


_MOST = 15.0
"""Microseconds at most of the http output."""


def delivering(report: Report, rounds: int) -> None:
    """Every kind, in a process of its own that is tuned like the daemon."""
    command = [sys.executable, "-m", "tests.benchmarks.delivering", "--rounds", str(rounds)]
    done = subprocess.run(command, env=environment(), cwd=ROOT, capture_output=True, text=True, check=True)
    for line in done.stdout.splitlines():
        kind, microseconds = line.split()[:2]
        report.add(
            "delivery", f"without the mapping, {kind}", float(microseconds), "µs/record",
            budget=at_most(_MOST) if kind == "http" else None,
        )  # fmt: skip


class _Memory:
    """A journal of one output that hands out *entries* once and forgets them."""

    def __init__(self, entries: list[Entry]) -> None:
        self._entries = deque(entries)
        self.done = asyncio.Event()
        self._last = entries[-1].last

    async def attach(self, output: str, start: Start, backlog: Backlog) -> int:
        return 0

    async def detach(self, output: str) -> None: ...

    async def read(self, output: str, after: int) -> Entry:
        if self._entries:
            return self._entries.popleft()
        await asyncio.get_running_loop().create_future()
        raise AssertionError

    async def emitted(self, output: str, keys: Sequence[str]) -> Mapping[str, str]:
        return {}

    async def acknowledge(
        self,
        output: str,
        *,
        after: int,
        upto: int,
        dead: Sequence[DeadLetter] = (),
        emitted: Mapping[str, str] = MappingProxyType({}),
        suspects: Sequence[DeadLetter] | None = None,
    ) -> None:
        if upto >= self._last:
            self.done.set()

    async def suspects(self, output: str) -> Sequence[DeadLetter]:
        return ()

    async def skipped(self, output: str) -> Gap | None:
        return None


def _observe(fact: Fact) -> None:
    """Take a fact; what telemetry makes of it is measured elsewhere."""


class Supply:
    """*records* records, decoded anew for every run, and what a mapping made of each."""

    def __init__(self, records: int) -> None:
        self._pages = pages(-(-records // _PAGE), _PAGE)
        self._made: dict[str, list[tuple[bytes, datetime, int, str, tuple[str, ...]]]] = {}

    def entries(self) -> Iterator[Entry]:
        """Revisions as the journal hands them out, each with a record of its own."""
        sequence = 1
        for page in self._pages:
            revisions = [revision(record) for record in orjson.loads(page)]
            for start in range(0, _PAGE, _ENTRY):
                yield Entry(sequence, tuple(revisions[start : start + _ENTRY]))
                sequence += _ENTRY

    def mapper(self, pack: str) -> Mapper:
        """A mapper that returns in order what *pack* makes of the records."""
        if pack not in self._made:
            mapper = build_mapper(Library().load(pack), accounts=ACCOUNTS)
            events = (mapper(one) for entry in self.entries() for one in entry.revisions)
            self._made[pack] = [
                (one.payload, one.time, one.severity, one.code, one.notes) for one in events if one
            ]
        ready = iter(self._made[pack])

        def again(revision: Revision) -> Event:
            return Event(revision, *next(ready))

        return again


async def deliver(kind: str, supply: Supply, rounds: int) -> float:
    """Microseconds of CPU per record to bring *supply* to a collector of *kind*; the least of *rounds*."""
    wanted = {"siem": kind}
    with collectors(wanted) as collected:
        config = outputs(collected, wanted)["siem"]
        settings = settings_class(config["type"]).model_validate({**config, **_plain(config)})
        return min([await _once(settings, supply, KINDS[kind]) for _ in range(rounds)])


async def _once(settings: OutputSettings, supply: Supply, pack: str) -> float:
    entries = list(supply.entries())
    memory, last = _Memory(entries), entries[-1].last
    deliverer = Deliverer(
        "siem",
        settings.build("siem", _observe),
        memory,
        supply.mapper(pack),
        _observe,
        lambda: datetime.now(UTC),
        options=DeliveryOptions(start="beginning"),
    )
    del entries
    gc.collect()
    gc.freeze()
    began = time.process_time_ns()
    running = asyncio.create_task(deliverer.run())
    await memory.done.wait()
    spent = time.process_time_ns() - began
    await deliverer.drain(0)
    await running
    return spent / 1000 / last


def _plain(config: Mapping[str, str]) -> dict[str, str]:
    """The secrets of *config*, which no environment provides here."""
    return {"token": "benchmark"} if "token" in config else {}


async def _main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("kinds", nargs="*", default=list(KINDS))
    parser.add_argument("--records", type=int, default=3000)
    parser.add_argument("--rounds", type=int, default=15)
    options = parser.parse_args()
    supply = Supply(options.records)
    for kind in options.kinds:
        least = await deliver(kind, supply, options.rounds)
        sys.stdout.write(f"{kind:6} {least:6.2f} us\n")
        sys.stdout.flush()


if __name__ == "__main__":
    run(_main())
