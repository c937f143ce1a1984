"""Runs the backfills of one feed: reads a range of time again on request, at the lowest priority.

What is missing or changed is delivered; what is known is left alone, unless everything is asked for. A
backfill shares the ingester with the live sweep, so that nothing is delivered twice. How far it is and what
it found become durable in the transaction that holds what it found, so that it continues there after any
interruption. Backfills of one feed run one after another.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime
from functools import partial

from connector.collect.backfill.job import Job, Tally
from connector.collect.backfill.queue import BackfillQueue
from connector.collect.backfill.tally import TallyRecorder
from connector.collect.checkpoints import Checkpoints
from connector.collect.feed_config import FeedConfig
from connector.collect.feed_writer import FeedWriter
from connector.collect.ingest import Slice, SliceResult
from connector.collect.slices import SliceReader
from connector.collect.windows import LIVE
from connector.errors import Moved
from connector.facts import BackfillEnded, BackfillProgressed, BackfillStarted
from connector.interfaces import Clock, Observe
from connector.model import Priority, Step, Window
from connector.values import dataclass

BACKFILL = "backfill"
"""The name of the sweep, of which a feed has one at a time."""

_Work = Callable[[], Awaitable[None]]


@dataclass(slots=True)
class _Running:
    job: Job
    task: asyncio.Task[None]
    dropped: bool = False


class BackfillRunner:
    """Works on the backfills of one feed."""

    def __init__(
        self,
        config: FeedConfig,
        reader: SliceReader,
        checkpoints: Checkpoints,
        writer: FeedWriter,
        jobs: BackfillQueue,
        *,
        observe: Observe,
        now: Clock,
    ) -> None:
        self._now = now
        self._config = config
        self._reader = reader
        self._checkpoints = checkpoints
        self._writer = writer
        self._observe = observe
        self._recorders: dict[int, TallyRecorder] = {}
        self._running: _Running | None = None
        self.jobs = jobs

    def still_needed(self) -> list[datetime]:
        """From when on seen rows must stay: a range that is read twice must not be delivered twice.

        Also for a day after the end: a backfill that ended unnoticed may be requested again.
        """
        ended = self.jobs.recent(self._now())
        return [*map(self._reached, self.jobs.unfinished), *(job.window.start for job in ended)]

    async def run(self, job: Job, work: _Work) -> None:
        """Run *work*, which works on *job*, until it ends or *job* is dropped."""
        task = asyncio.create_task(_awaited(work))
        removed = asyncio.create_task(self.jobs.removed(job.number))
        running = self._running = _Running(job, task)
        try:
            # Another process that shares the journal can only remove it from the queue.
            await asyncio.wait({task, removed}, return_when=asyncio.FIRST_COMPLETED)
            if removed.done() and removed.exception() is not None:
                await asyncio.wait({task})
            is_removed = not task.done()
        finally:
            self._running = None
            task.cancel()
            removed.cancel()
            await asyncio.gather(task, removed, return_exceptions=True)
        if is_removed and not running.dropped:
            await self._remove(job)
        elif not running.dropped:
            task.result()

    async def drop(self, number: int) -> bool:
        """Cancel backfill *number*; what it delivered stays. Returns whether it was queued or running."""
        job = (await self.jobs.load()).find(number)
        if job is None or job.done is not None:
            return False
        if self._running is not None and self._running.job.number == number:
            self._running.dropped = True
            self._running.task.cancel()
            await asyncio.wait({self._running.task})
        await self._remove(job)
        return True

    async def _remove(self, job: Job) -> None:
        tally = await self.jobs.tally(job)
        await self.jobs.remove(job)
        self._report_end(job, tally, complete=False)

    async def work(self, job: Job) -> None:
        """Read the rest of *job*. Raises ``SourceError`` and ``Moved``; call it again then."""
        recorder = await self._recorder(job)
        try:
            # What was read before an interruption, which may have come before this was noted.
            await self._note_repaired(job, recorder.tally)
            while recorder.tally.position < job.window.end:
                await self._read_slice(job, recorder)
        except Moved:
            recorder.forget_delivered()
            raise
        await self._end(job, recorder.tally)

    async def _recorder(self, job: Job) -> TallyRecorder:
        tally = await self.jobs.tally(job)
        recorder = self._recorders.get(job.number)
        if recorder is None:
            recorder = TallyRecorder(job, self.jobs.key(job.number), tally, lambda: self._checkpoints.floor)
            self._recorders[job.number] = recorder
            window = job.window
            self._observe(
                BackfillStarted(self._config.feed, job.number, window.start, window.end, tally.position)
            )
        recorder.begin_slice(tally)
        return recorder

    async def _read_slice(self, job: Job, recorder: TallyRecorder) -> None:
        left = Window(recorder.tally.position, job.window.end)
        task = str(job.number)
        part = await self._reader.first_slice(BACKFILL, left, task)
        recorder.begin_slice(recorder.tally, part.end)
        step = Step(BACKFILL, self._checkpoints.get(BACKFILL), part.end)
        live = self._checkpoints.get(LIVE)
        known = self._checkpoints.known_before(min(live, part.end)) if live else None
        query = self._reader.query(Priority.BACKFILL)
        settled = self._config.timing.settle.total_seconds()
        result = await self._reader.read_within_retention(
            Slice(BACKFILL, part, step, query, known, settled, recorder, task)
        )
        if isinstance(result, SliceResult):
            self._checkpoints.moved(step)
            await self._note_repaired(job, recorder.tally)
        elif result > part.start:
            await self._skip(recorder, min(result, job.window.end), result)
        tally = recorder.tally
        self._observe(
            BackfillProgressed(self._config.feed, job.number, tally.position, tally.read, tally.revisions)
        )

    async def _note_repaired(self, job: Job, tally: Tally) -> None:
        """What *job* has read, as far as the API retained it, is no longer a gap of the feed."""
        start, end = job.window.start, tally.position
        if tally.beyond is not None:
            start = min(max(start, tally.beyond), end)
        await self._checkpoints.note_repaired(Window(start, end))

    async def _skip(self, recorder: TallyRecorder, until: datetime, beyond: datetime) -> None:
        """Continue where the API's retention begins. Not a gap: the feed may have read that in time."""
        step = Step(BACKFILL, self._checkpoints.get(BACKFILL), until)
        key_value = recorder.skip(until, beyond)
        await self._writer.commit(generation=self._writer.generation, step=step, key_value=key_value)
        self._checkpoints.moved(step)

    async def _end(self, job: Job, tally: Tally) -> None:
        await self._writer.when_room(partial(self.jobs.end, job, tally, self._now()))
        self._report_end(job, tally, complete=True)

    def _report_end(self, job: Job, tally: Tally, *, complete: bool) -> None:
        self._recorders.pop(job.number, None)
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
        recorder = self._recorders.get(job.number)
        return recorder.tally.position if recorder else job.window.start


async def _awaited(work: _Work) -> None:
    await work()
