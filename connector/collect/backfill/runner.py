"""Backfills of one feed: a range of time is read again on request, behind everything else.

What is missing or changed is delivered, what is known is left alone, unless all of it is asked for. A
backfill shares the walker with the live sweep, so that nothing is doubled, and is remembered in the
journal: how far it is and what it found become durable in the transaction that holds what it found. It
goes on where it was after any interruption. Those of one feed run one after another.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime

from connector.collect.backfill.job import Job, Tally
from connector.collect.backfill.queue import BackfillQueue
from connector.collect.backfill.tally import TallyRecorder
from connector.collect.checkpoints import Checkpoints
from connector.collect.feed_config import FeedConfig
from connector.collect.ingest import Slice, SliceResult
from connector.collect.slices import SliceReader
from connector.collect.windows import LIVE
from connector.errors import JournalFull, Moved
from connector.facts import BackfillEnded, BackfillProgressed, BackfillStarted, CollectionPaused
from connector.interfaces import Clock, Observe
from connector.model import Commit, Priority, Step, Window

BACKFILL = "backfill"
"""The name of the sweep, of which a feed has one at a time."""

_ROOM = 5.0
"""Seconds between two attempts to note an end in a full journal."""

_Work = Callable[[], Awaitable[None]]


@dataclass(slots=True)
class _Running:
    job: Job
    task: asyncio.Task[None]
    dropped: bool = False


class BackfillRunner:
    """Works on the backfills of one feed; see the module."""

    def __init__(
        self,
        config: FeedConfig,
        reader: SliceReader,
        checkpoints: Checkpoints,
        commit: Callable[[Commit], Awaitable[None]],
        jobs: BackfillQueue,
        *,
        observe: Observe,
        now: Clock,
    ) -> None:
        self._now = now
        self._config = config
        self._reader = reader
        self._checkpoints = checkpoints
        self._commit = commit
        self._observe = observe
        self._keepers: dict[int, TallyRecorder] = {}
        self._running: _Running | None = None
        self.jobs = jobs

    def still_needed(self) -> list[datetime]:
        """From when on what was seen is still needed: a range that is walked twice must not be told twice.

        Also for a day after the end: a backfill that ended while nobody looked is asked for again.
        """
        ended = self.jobs.recent(self._now())
        return [*map(self._reached, self.jobs.unfinished), *(job.window.start for job in ended)]

    async def run(self, job: Job, work: _Work) -> None:
        """Run *work*, which works on *job*, until it ends or *job* is dropped."""
        task = asyncio.create_task(_awaited(work))
        running = self._running = _Running(job, task)
        try:
            await asyncio.wait({task})
        finally:
            self._running = None
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        if not running.dropped:
            task.result()

    async def drop(self, number: int) -> bool:
        """Let go of *number*; what it delivered stays. Says whether there was one to let go of."""
        job = (await self.jobs.load()).find(number)
        if job is None or job.done is not None:
            return False
        if self._running is not None and self._running.job.number == number:
            self._running.dropped = True
            self._running.task.cancel()
            await asyncio.wait({self._running.task})
        tally = await self.jobs.tally(job)
        await self.jobs.remove(job)
        self._told_end(job, tally, complete=False)
        return True

    async def work(self, job: Job) -> None:
        """Read what is left of *job*. Raises ``SourceError`` and ``Moved``; call it again then."""
        keeper = await self._keeper(job)
        try:
            # What was read before an interruption, which may have come before this was noted.
            await self._repair(job, keeper.tally)
            while keeper.tally.position < job.window.end:
                await self._slice(job, keeper)
        except Moved:
            keeper.doubt()
            raise
        await self._end(job, keeper.tally)

    async def _keeper(self, job: Job) -> TallyRecorder:
        tally = await self.jobs.tally(job)
        keeper = self._keepers.get(job.number)
        if keeper is None:
            keeper = TallyRecorder(job, self.jobs.key(job.number), tally, lambda: self._checkpoints.floor)
            self._keepers[job.number] = keeper
            window = job.window
            self._observe(
                BackfillStarted(self._config.feed, job.number, window.start, window.end, tally.position)
            )
        keeper.begin(tally)
        return keeper

    async def _slice(self, job: Job, keeper: TallyRecorder) -> None:
        keeper.begin(keeper.tally)
        part = self._reader.sizing.first_slice(BACKFILL, Window(keeper.tally.position, job.window.end))
        step = Step(BACKFILL, self._checkpoints.get(BACKFILL), part.end)
        live = self._checkpoints.get(LIVE)
        known = self._checkpoints.known_before(min(live, part.end)) if live else None
        query = self._reader.query(Priority.BACKFILL)
        settled = self._config.timing.settle.total_seconds()
        walked = await self._reader.take(Slice(BACKFILL, part, step, query, known, settled, keeper))
        if isinstance(walked, SliceResult):
            self._checkpoints.moved(step)
            await self._repair(job, keeper.tally)
        elif walked > part.start:
            await self._skip(keeper, min(walked, job.window.end), walked)
        tally = keeper.tally
        self._observe(
            BackfillProgressed(self._config.feed, job.number, tally.position, tally.read, tally.revisions)
        )

    async def _repair(self, job: Job, tally: Tally) -> None:
        """What *job* has read, as far as the API had it, is a gap of the feed no more."""
        start, end = job.window.start, tally.position
        if tally.beyond is not None:
            start = min(max(start, tally.beyond), end)
        await self._checkpoints.repaired(Window(start, end))

    async def _skip(self, keeper: TallyRecorder, until: datetime, beyond: datetime) -> None:
        """Go on where the API's past begins. No gap of the feed: it may well have read that in its time."""
        step = Step(BACKFILL, self._checkpoints.get(BACKFILL), until)
        note = keeper.skip(until, beyond)
        generation = self._checkpoints.generation
        await self._commit(
            Commit(self._config.feed, self._config.fingerprint, step=step, note=note, generation=generation)
        )
        self._checkpoints.moved(step)

    async def _end(self, job: Job, tally: Tally) -> None:
        while True:
            try:
                await self.jobs.end(job, tally, self._now())
            except JournalFull as full:
                self._observe(CollectionPaused(self._config.feed, str(full), full.outputs))
                await asyncio.sleep(_ROOM)
            else:
                break
        self._told_end(job, tally, complete=True)

    def _told_end(self, job: Job, tally: Tally, *, complete: bool) -> None:
        self._keepers.pop(job.number, None)
        self._observe(
            BackfillEnded(
                self._config.feed,
                job.number,
                job.window.start,
                job.window.end,
                complete=complete,
                slices=tally.slices,
                read=tally.read,
                new=tally.new,
                changed=tally.changed,
                known=tally.known,
                again=tally.again,
            )
        )

    def _reached(self, job: Job) -> datetime:
        keeper = self._keepers.get(job.number)
        return keeper.tally.position if keeper else job.window.start


async def _awaited(work: _Work) -> None:
    await work()
