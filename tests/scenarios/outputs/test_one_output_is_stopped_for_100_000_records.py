"""One output is stopped while 100 000 records come in: the other gets them all, and then it catches up.

The journal is the real one. With ``pause`` collection waits at the limit and nothing is ever skipped; with
``skip`` it does not wait, what was skipped is a recorded gap, and a rewind repairs it.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from connector.delivery import Deliverer, DeliveryOptions
from connector.errors import JournalFull, Retryable
from connector.facts import BacklogSkipped, EventDeadLettered
from connector.journal import Journal, JournalOptions
from connector.model import Backlog, Commit, Event, GapCause, Limits, Receipt, WhenFull
from tests.scenarios.outputs.delivering import POLICY
from tests.support.sampling import slow
from tests.unit.delivery.fakes import FEED, FactRecorder, plain, revisions

PAGE = 1000
RECORDS = [20_000, slow(100_000)]
ROOM = 50_000
"""A limit in bytes of the journal that a part of the records fills."""

FLAT = 40 << 20
"""Bytes that the process may grow by while it works off a backlog; 100 000 revisions would take more."""

PATIENCE = 120.0


class Collector:
    """An output that keeps numbers only; while ``stopped`` it takes nothing."""

    def __init__(self) -> None:
        self.taken: list[int] = []
        self.stopped = False
        self.limits = Limits(events=500, linger=0.01)

    async def open(self) -> None:
        """Nothing to do."""

    async def send(self, events: Sequence[Event]) -> Receipt:
        """Take *events*, or say that nobody is there."""
        if self.stopped:
            raise Retryable("connection refused")
        self.taken += [int(event.payload) for event in events]
        return Receipt()

    async def close(self) -> None:
        """Nothing to do."""


class Feed:
    """The journal with two outputs, and what is collected into it."""

    def __init__(self, journal: Journal, facts: FactRecorder) -> None:
        self.journal = journal
        self.facts = facts
        self.collected = 0
        self.pauses = 0

    async def collect(self, count: int) -> None:
        """Commit page after page; wait while the journal has no room, as collection does."""
        while self.collected < count:
            page = revisions(PAGE, first=self.collected + 1)
            try:
                await self.journal.commit(Commit(FEED, "f", page))
            except JournalFull:
                self.pauses += 1
                await asyncio.sleep(0.02)
            else:
                self.collected += PAGE

    async def backlog(self, output: str) -> int:
        """How many revisions wait for *output*."""
        return next(one.backlog for one in (await self.journal.outline()).outputs if one.output == output)

    async def done(self, output: str) -> None:
        """Wait until *output* has everything."""
        async with asyncio.timeout(PATIENCE):
            while await self.backlog(output):  # noqa: ASYNC110, the journal tells nobody
                await asyncio.sleep(0.02)


@asynccontextmanager
async def feeding(directory: Path, room: Backlog, **outputs: Collector) -> AsyncIterator[Feed]:
    """Deliver to *outputs*, of which each may leave *room*, while the block runs."""
    facts = FactRecorder()

    def clock() -> datetime:
        return datetime.now(UTC)

    keeping = JournalOptions(retain=timedelta(hours=24))
    async with Journal.open(directory, observe=facts, clock=clock, options=keeping) as journal:
        for name in outputs:
            await journal.attach(name, "head", room)
        # The outage is shorter than what lets later events overtake, however slow the machine.
        policy = replace(POLICY, overtake_after=3600.0)
        options = DeliveryOptions(backlog=room, policy=policy)
        tasks = [
            asyncio.create_task(Deliverer(name, output, journal, plain, facts, clock, options=options).run())
            for name, output in outputs.items()
        ]
        try:
            yield Feed(journal, facts)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


def resident() -> int:
    """Bytes of memory of this process."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


@pytest.mark.parametrize("records", RECORDS)
async def test_with_room_for_all_the_other_is_done_first_and_the_stopped_one_catches_up_in_order(
    tmp_path: Path, records: int
) -> None:
    stopped, healthy = Collector(), Collector()
    stopped.stopped = True
    async with feeding(tmp_path, Backlog(), stopped=stopped, healthy=healthy) as feed:
        await feed.collect(records // 5)
        await feed.done("healthy")
        before = resident()
        await feed.collect(records)
        await feed.done("healthy")
        assert (feed.pauses, len(stopped.taken), await feed.backlog("stopped")) == (0, 0, records)

        stopped.stopped = False
        await feed.done("stopped")
        assert resident() - before < FLAT

    assert healthy.taken == stopped.taken == list(range(1, records + 1))
    assert feed.facts.of(EventDeadLettered) == []


async def test_with_pause_collection_waits_at_the_limit_and_nothing_is_skipped(tmp_path: Path) -> None:
    stopped, healthy = Collector(), Collector()
    stopped.stopped = True
    count = 20_000
    async with feeding(tmp_path, Backlog(ROOM), stopped=stopped, healthy=healthy) as feed:
        collecting = asyncio.create_task(feed.collect(count))
        async with asyncio.timeout(PATIENCE):
            while feed.pauses < 3:  # noqa: ASYNC110, the journal tells nobody
                await asyncio.sleep(0.02)
        await feed.done("healthy")
        assert 0 < len(healthy.taken) == feed.collected < count

        stopped.stopped = False
        await collecting
        await feed.done("stopped")
        await feed.done("healthy")

    assert healthy.taken == stopped.taken == list(range(1, count + 1))
    assert feed.facts.of(BacklogSkipped) == []


@pytest.mark.parametrize("records", RECORDS)
async def test_with_skip_nobody_waits_the_gap_is_recorded_and_a_rewind_repairs_it(
    tmp_path: Path, records: int
) -> None:
    stopped, healthy = Collector(), Collector()
    stopped.stopped = True
    room = Backlog(ROOM, WhenFull.SKIP)
    async with feeding(tmp_path, room, stopped=stopped, healthy=healthy) as feed:
        for count in range(PAGE, records + 1, PAGE):
            await feed.collect(count)
            await feed.done("healthy")  # the limit is everybody's: only the stopped one is ever over it
        assert feed.pauses == 0
        assert healthy.taken == list(range(1, records + 1))

        gap = await feed.journal.skipped("stopped")
        assert gap is not None
        assert gap.cause is GapCause.BACKLOG_FULL
        lost = sum(fact.revisions for fact in feed.facts.of(BacklogSkipped))
        assert {fact.output for fact in feed.facts.of(BacklogSkipped)} == {"stopped"}
        assert await feed.backlog("stopped") == records - lost
        kept = list(range(lost + 1, records + 1))

        stopped.stopped = False
        await feed.done("stopped")
        # One batch may have been in flight when its revisions were skipped; it is sent all the same.
        in_flight, rest = stopped.taken[: -len(kept)], stopped.taken[-len(kept) :]
        assert rest == kept
        assert len(in_flight) <= stopped.limits.events
        assert in_flight == list(range(in_flight[0], in_flight[0] + len(in_flight))) if in_flight else True
        assert max(in_flight, default=0) <= lost

        stopped.taken.clear()
        assert await feed.journal.rewind("stopped", 0) == 0
        assert await feed.journal.skipped("stopped") is None
        await feed.collect(records + PAGE)
        await feed.done("stopped")

    assert stopped.taken == list(range(1, records + PAGE + 1))
    assert sum(fact.revisions for fact in feed.facts.of(BacklogSkipped)) == lost
