"""Keeps one feed current: the live sweep on its schedule, with revisits, audits, repairs and backfills.

They run at the same time, but no sweep twice at once. A failure leaves the checkpoint where it was: the same
time is read again, after a wait that fits the error, until it succeeds.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime, timedelta
from functools import partial
from typing import Protocol

from connector.broadcast import Broadcast
from connector.collect.audit import AUDIT, Auditor
from connector.collect.backfill.job import Job
from connector.collect.backfill.queue import BackfillQueue
from connector.collect.backfill.runner import BACKFILL, BackfillRunner
from connector.collect.backoff import FailureBackoff
from connector.collect.checkpoints import Checkpoints
from connector.collect.disappeared import DisappearedRecords
from connector.collect.feed_config import FeedConfig
from connector.collect.feed_writer import FeedWriter
from connector.collect.gap_repair import REPAIR, GapRepair
from connector.collect.gaps import RETRY_EVERY
from connector.collect.ingest import SliceIngester
from connector.collect.partial_slices import PartialSlices
from connector.collect.resume import FeedResume
from connector.collect.schedule import Schedule
from connector.collect.seen_expiry import SeenExpiry
from connector.collect.slices import SliceReader, SliceSizing
from connector.collect.sweeper import Sweeper
from connector.collect.windows import LIVE, Sweep, sweeps_of
from connector.errors import JournalBroken, Moved, SourceError
from connector.facts import FeedCaughtUp
from connector.interfaces import Clock, Enricher, FeedLog, Lookup, Observe, SharedValueStore, Source

_CHECKS_PER_AGE = 20
_SHORTEST_PAUSE, _LONGEST_PAUSE = 1.0, 60.0
"""A sweep checks whether it is due twenty times within its age, so that it is at most 5 % late; in seconds
at least and at most. A check costs no request."""

_CAUGHT_UP = timedelta(minutes=5)
"""A checkpoint this close to the present has caught up: clocks differ, and a sweep takes time."""


class FeedJournal(FeedLog, SharedValueStore, Protocol):
    """The journal as this module uses it."""


class Collector:
    """Collects one feed."""

    def __init__(
        self,
        config: FeedConfig,
        source: Source,
        lookup: Lookup | None,
        log: FeedJournal,
        *,
        observe: Observe,
        clock: Clock,
        refresh: Callable[[], bool] = lambda: False,
        forget_time: Callable[[], None] = lambda: None,
        enricher: Enricher | None = None,
    ) -> None:
        """*lookup* finds single records, where the API can.

        *refresh* reads the account's secrets again; it is called after the API refused them.
        *forget_time* has the source learn the API's clock anew.
        """
        self._config = config
        self._source = source
        self._observe = observe
        self._clock = clock
        self._refresh = refresh
        feed, now = config.feed, self.present
        writer = FeedWriter(feed, config.fingerprint, log, observe=observe)
        self._checkpoints = Checkpoints(config, log, writer, observe=observe, present=source.now)
        partials = PartialSlices(log, writer, config.fingerprint)
        ingester = SliceIngester(
            source,
            log,
            writer,
            partials,
            watched=config.watched,
            observe=observe,
            clock=now,
            enricher=enricher,
            ages=config.ages,
        )
        reader = SliceReader(
            config,
            source,
            ingester,
            partials,
            SliceSizing(config.query.per_page, config.longest_slice),
            observe=observe,
            now=now,
        )
        names = [sweep.name for sweep in sweeps_of(config.ages)]
        expiry = SeenExpiry(self._checkpoints, names, config.timing.overlap)
        self._sweeper = Sweeper(
            config,
            reader,
            ingester,
            DisappearedRecords(config, source, lookup, log, observe=observe, clock=now),
            self._checkpoints,
            FeedResume(config, log, self._checkpoints),
            expiry,
            now=now,
            forget_time=forget_time,
        )
        self._repair = GapRepair(reader, self._sweeper, self._checkpoints, now=now)
        self.jobs = BackfillQueue(feed, log)
        self._backfills = BackfillRunner(
            config, reader, self._checkpoints, writer, self.jobs, observe=observe, now=now
        )
        expiry.keep_for(self._repair)
        expiry.keep_for(self._backfills)
        self._auditor: Auditor | None = None
        if config.audit:
            self._auditor = Auditor(config, config.audit, reader, self._sweeper, self._checkpoints, now=now)
            expiry.keep_for(self._auditor)
        self._revisiting = asyncio.Lock()
        self._resumed = Broadcast()

    @property
    def checkpoints(self) -> Mapping[str, datetime]:
        """The checkpoints of the feed's sweeps."""
        return self._checkpoints.all

    @property
    def floor(self) -> datetime | None:
        """From when on every record seen is remembered."""
        return self._checkpoints.floor

    def present(self) -> datetime:
        """The earlier of both clocks: a checkpoint never passes what either takes for the present."""
        return min(self._source.now(), self._clock())

    def resume(self) -> None:
        """End the waits after failures: every sweep tries again now."""
        self._resumed.notify()

    async def run(self, schedule: Schedule) -> None:
        """Collect until cancelled. Raises unexpected errors in a group, ``JournalBroken`` as such."""
        await self._load()
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._run_live(schedule))
                for sweep in self._sweeper.revisits:
                    group.create_task(self._run_revisits(sweep))
                if self._auditor is not None:
                    group.create_task(self._run_audits(self._auditor))
                group.create_task(self._run_repairs())
                group.create_task(self._run_backfills())
        except BaseExceptionGroup as failed:
            broken = _first(failed, JournalBroken)
            if broken is None:
                raise
            raise broken from None

    async def once(self) -> None:
        """Read up to the present, with the revisits that are due; returns when all of it is durable."""
        await self._load()
        await self._until_done(LIVE, self._sweeper.live)
        for sweep in self._sweeper.revisits:
            await self._until_done(sweep.name, partial(self._sweeper.revisit, sweep))
        if self._auditor is not None:
            await self._until_done(AUDIT, self._auditor.run_due)
        await self._until_done(REPAIR, self._repair.run_due)

    async def backfill(self, job: Job) -> None:
        """Do *job*, which was submitted to ``jobs``, and nothing else; returns when it ended."""
        await self._load()
        await self._backfill(job)

    async def drop(self, number: int) -> bool:
        """Cancel backfill *number*; returns whether it was queued or running."""
        return await self._backfills.drop(number)

    async def _load(self) -> None:
        await self.jobs.load()
        await self._sweeper.load()

    async def _run_live(self, schedule: Schedule) -> None:
        checkpoint = self._checkpoints.get(LIVE)
        if checkpoint is not None:
            # The checkpoint trails the last poll by the settling time.
            schedule.catch_up(checkpoint + self._config.timing.settle)
        while True:
            await schedule.wait()
            # The later of both clocks: a clock that is behind must not make a feed look fresh.
            present = max(self._source.now(), self._clock()) - self._config.timing.settle
            await self._until_done(LIVE, self._sweeper.live)
            checkpoint = self._checkpoints.get(LIVE)
            if checkpoint is not None and checkpoint >= present - _CAUGHT_UP:
                self._observe(FeedCaughtUp(self._config.feed, checkpoint))

    async def _run_revisits(self, sweep: Sweep) -> None:
        while True:
            await _pause_within(sweep.age or timedelta(0))
            await self._until_done(sweep.name, partial(self._revisit, sweep))

    async def _run_audits(self, auditor: Auditor) -> None:
        while True:
            await _pause_within(auditor.every)
            await self._until_done(AUDIT, auditor.run_due)

    async def _run_repairs(self) -> None:
        while True:
            await asyncio.sleep(RETRY_EVERY.total_seconds())
            await self._until_done(REPAIR, self._repair.run_due)

    async def _run_backfills(self) -> None:
        while True:
            await self._backfill(await self.jobs.next())

    async def _backfill(self, job: Job) -> None:
        work = partial(self._until_done, BACKFILL, partial(self._backfills.work, job))
        await self._backfills.run(job, work)

    async def _revisit(self, sweep: Sweep) -> None:
        """One revisit at a time. One that fails waits outside the lock, so that the others continue."""
        async with self._revisiting:
            await self._sweeper.revisit(sweep)

    async def _until_done(self, name: str, sweep: Callable[[], Awaitable[object]]) -> None:
        """Run *sweep* until it succeeds."""
        backoff = FailureBackoff(self._config.feed, name, self._observe, self._refresh, self._resumed)
        reached, moved = self._checkpoints.get(name), 0
        while True:
            try:
                await sweep()
            except Moved:
                await asyncio.sleep(min(moved, _LONGEST_PAUSE))
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


async def _pause_within(age: timedelta) -> None:
    pause = age.total_seconds() / _CHECKS_PER_AGE
    await asyncio.sleep(min(max(pause, _SHORTEST_PAUSE), _LONGEST_PAUSE))


def _first(failed: BaseExceptionGroup[BaseException], kind: type[JournalBroken]) -> JournalBroken | None:
    """The first error of *kind* in *failed*, however deep."""
    for error in failed.exceptions:
        cause = _first(error, kind) if isinstance(error, BaseExceptionGroup) else error
        if isinstance(cause, kind):
            return cause
    return None
