"""Keeps one feed current: the live sweep on its schedule, revisits behind it, each failure classed.

Both run beside each other and neither twice at once. A failure leaves the checkpoint where it was; the
same time is asked again, with a patience that fits the error, until it succeeds.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime, timedelta
from functools import partial
from typing import Protocol

from connector.collect.audit import AUDIT, Auditor
from connector.collect.backfill.job import Job
from connector.collect.backfill.queue import BackfillQueue
from connector.collect.backfill.runner import BACKFILL, BackfillRunner
from connector.collect.backoff import FailureBackoff
from connector.collect.checkpoints import Checkpoints
from connector.collect.disappeared import DisappearedRecords
from connector.collect.feed_config import FeedConfig
from connector.collect.gap_repair import REPAIR, GapRepair
from connector.collect.gaps import RETRY_EVERY
from connector.collect.ingest import SliceIngester
from connector.collect.resume import FeedResume
from connector.collect.schedule import Schedule
from connector.collect.slices import SliceReader, SliceSizing
from connector.collect.sweeper import Sweeper
from connector.collect.windows import LIVE, Sweep
from connector.errors import JournalBroken, Moved, SourceError
from connector.facts import FeedCaughtUp
from connector.interfaces import Clock, Enricher, FeedLog, KeyValueStore, Lookup, Observe, Source

_LOOK = (1.0, 60.0)
_LOOKS = 20
"""Seconds between two looks whether a revisit is due: at least, at most; and how many in its age."""

_AS_GOOD_AS_NOW = timedelta(minutes=5)
"""A checkpoint this close to the present has reached it: clocks differ, and a walk takes time."""


class FeedJournal(FeedLog, KeyValueStore, Protocol):
    """The journal as this module uses it."""


class Collector:
    """Collects one feed; see the module."""

    def __init__(
        self,
        config: FeedConfig,
        source: Source,
        lookup: Lookup,
        log: FeedJournal,
        *,
        observe: Observe,
        clock: Clock,
        refresh: Callable[[], bool] = lambda: False,
        enricher: Enricher | None = None,
    ) -> None:
        self._config = config
        self._source = source
        self._observe = observe
        self._clock = clock
        self._refresh = refresh
        ingester = SliceIngester(
            config.feed,
            config.fingerprint,
            source,
            log,
            watched=config.watched,
            observe=observe,
            clock=self.present,
            enricher=enricher,
            ages=config.ages,
            generation=lambda: self._checkpoints.generation,
        )
        absences = DisappearedRecords(
            config.feed, lookup, log, watched=config.watched, observe=observe, clock=self.present
        )
        self._checkpoints = Checkpoints(
            config, log, ingester.commit, ingester.patiently, observe=observe, present=source.now
        )
        reader = SliceReader(
            config, source, ingester, SliceSizing(config.query.per_page), observe=observe, now=self.present
        )
        self._sweeper = Sweeper(
            config,
            reader,
            ingester,
            absences,
            self._checkpoints,
            FeedResume(config, log, self._checkpoints),
            now=self.present,
            still_needed=self._still_needed,
        )
        self._repairs = GapRepair(reader, self._sweeper, self._checkpoints, now=self.present)
        self._auditor = (
            Auditor(config, config.audit, reader, self._sweeper, self._checkpoints, now=self.present)
            if config.audit
            else None
        )
        self.jobs = BackfillQueue(config.feed, log)
        self._backfills = BackfillRunner(
            config, reader, self._checkpoints, ingester.commit, self.jobs, observe=observe, now=self.present
        )
        self._revisiting = asyncio.Lock()

    @property
    def checkpoints(self) -> Mapping[str, datetime]:
        """Where the feed's sweeps stand."""
        return self._checkpoints.all

    @property
    def floor(self) -> datetime | None:
        """From when on all that was seen is remembered."""
        return self._checkpoints.floor

    def present(self) -> datetime:
        """The earlier of both clocks: a watermark never passes what either believes to be now."""
        return min(self._source.now(), self._clock())

    async def run(self, schedule: Schedule) -> None:
        """Collect until cancelled. Raises what nobody expected, ``JournalBroken`` by itself."""
        await self._load()
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._live(schedule))
                for sweep in self._sweeper.revisits:
                    group.create_task(self._revisits(sweep))
                if self._auditor is not None:
                    group.create_task(self._audits(self._auditor))
                group.create_task(self._repairing())
                group.create_task(self._on_request())
        except BaseExceptionGroup as failed:
            broken = _first(failed, JournalBroken)
            if broken is None:
                raise
            raise broken from None

    async def once(self) -> None:
        """Walk the feed to now, with the revisits that are due; returns when all of it is durable."""
        await self._load()
        await self._persist(LIVE, self._sweeper.live)
        for sweep in self._sweeper.revisits:
            await self._persist(sweep.name, partial(self._sweeper.revisit, sweep))
        if self._auditor is not None:
            await self._persist(AUDIT, self._auditor.walk)
        await self._persist(REPAIR, self._repairs.walk)

    async def backfill(self, job: Job) -> None:
        """Do *job*, which was submitted to ``jobs``, and nothing else; returns when it ended."""
        await self._load()
        await self._do(job)

    async def drop(self, number: int) -> bool:
        """Let go of backfill *number*; says whether there was one to let go of."""
        return await self._backfills.drop(number)

    async def _load(self) -> None:
        await self.jobs.load()
        await self._sweeper.load()

    def _still_needed(self) -> list[datetime]:
        audit = [self._auditor.still_needed()] if self._auditor else []
        return [*audit, *self._backfills.still_needed(), *self._repairs.still_needed()]

    async def _live(self, schedule: Schedule) -> None:
        while True:
            await schedule.wait()
            # The later of both clocks: one that is behind must not make a feed look fresh.
            present = max(self._source.now(), self._clock()) - self._config.timing.settle
            await self._persist(LIVE, self._sweeper.live)
            checkpoint = self._checkpoints.get(LIVE)
            if checkpoint is not None and checkpoint >= present - _AS_GOOD_AS_NOW:
                self._observe(FeedCaughtUp(self._config.feed, checkpoint))

    async def _revisits(self, sweep: Sweep) -> None:
        age = sweep.age.total_seconds() if sweep.age else 0.0
        pause = min(max(age / _LOOKS, _LOOK[0]), _LOOK[1])
        while True:
            await asyncio.sleep(pause)
            await self._persist(sweep.name, partial(self._in_turn, sweep))

    async def _audits(self, auditor: Auditor) -> None:
        pause = min(max(auditor.looks.total_seconds() / _LOOKS, _LOOK[0]), _LOOK[1])
        while True:
            await asyncio.sleep(pause)
            await self._persist(AUDIT, auditor.walk)

    async def _repairing(self) -> None:
        while True:
            await asyncio.sleep(RETRY_EVERY.total_seconds())
            await self._persist(REPAIR, self._repairs.walk)

    async def _on_request(self) -> None:
        while True:
            await self._do(await self.jobs.next())

    async def _do(self, job: Job) -> None:
        work = partial(self._persist, BACKFILL, partial(self._backfills.work, job))
        await self._backfills.run(job, work)

    async def _in_turn(self, sweep: Sweep) -> None:
        """One revisit after the other; one that fails waits outside, so that the others go on."""
        async with self._revisiting:
            await self._sweeper.revisit(sweep)

    async def _persist(self, name: str, walk: Callable[[], Awaitable[object]]) -> None:
        """Run *walk* until it succeeds."""
        backoff = FailureBackoff(self._config.feed, name, self._observe, self._refresh)
        reached, moved = self._checkpoints.get(name), 0
        while True:
            try:
                await walk()
            except Moved:
                await asyncio.sleep(min(moved, _LOOK[1]))
                moved += 1
                await self._sweeper.load()
            except SourceError as error:
                if self._checkpoints.get(name) != reached:
                    backoff.reset()
                reached = self._checkpoints.get(name)
                await backoff.wait(error)
            else:
                backoff.succeeded()
                return


def _first(failed: BaseExceptionGroup[BaseException], kind: type[JournalBroken]) -> JournalBroken | None:
    """The first error of *kind* in *failed*, however deep."""
    for error in failed.exceptions:
        found = _first(error, kind) if isinstance(error, BaseExceptionGroup) else error
        if isinstance(found, kind):
            return found
    return None
