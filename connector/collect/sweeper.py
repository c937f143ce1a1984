"""Moves a feed's live sweep and its revisits through time, slice by slice.

The live sweep reads up to the present; each revisit reads the same time again at its age. A slice that was
read late (in a catch-up, by a repair) needs no revisit at the ages it had already reached: what the revisit
would find then, that read has found. A revisit whose checkpoint lies inside such a slice moves over it at
once; ``_reads`` remembers the slice for the others, and costs them one more read after a restart. After a
slice that is a record's second sight, records that did not come back are asked for; no revisit passes a slice
before that.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import aclosing, suppress
from datetime import datetime, timedelta

from connector.collect.checkpoints import CHANGED, Checkpoints
from connector.collect.disappeared import DisappearedRecords
from connector.collect.feed_config import FeedConfig
from connector.collect.gaps import holes
from connector.collect.ingest import Slice, SliceIngester, SliceResult
from connector.collect.resume import FeedResume
from connector.collect.seen_expiry import SeenExpiry
from connector.collect.slices import SliceReader
from connector.collect.windows import (
    LIVE,
    SECOND,
    ReadRange,
    Sweep,
    first_unread,
    is_worth_revisiting,
    live_window,
    merge_reads,
    revisit_start,
    revisit_window,
    sweeps_of,
    whole_second,
)
from connector.errors import SourceError, Unavailable
from connector.interfaces import Clock
from connector.model import Gap, GapCause, Priority, Step, Window

_LATE_READ = Sweep("", timedelta(0))
"""Stands for a read behind the live sweep that has already looked up the records that disappeared."""


class Sweeper:
    """The live sweep and the revisits of one feed."""

    def __init__(
        self,
        config: FeedConfig,
        reader: SliceReader,
        ingester: SliceIngester,
        disappeared: DisappearedRecords,
        checkpoints: Checkpoints,
        resume: FeedResume,
        expiry: SeenExpiry,
        *,
        now: Clock,
        forget_time: Callable[[], None],
    ) -> None:
        self._forget_time = forget_time
        self._config = config
        self._reader = reader
        self._ingester = ingester
        self._disappeared = disappeared
        self._checkpoints = checkpoints
        self._resume = resume
        self._expiry = expiry
        self._now = now
        self._reads: tuple[ReadRange, ...] = ()
        self._settled: datetime | None = None
        self._live, *revisits = sweeps_of(config.ages)
        self.revisits: tuple[Sweep, ...] = tuple(revisits)

    async def load(self) -> None:
        """Read again from the journal where the sweeps are."""
        self._reads = ()
        self._reader.reload()
        await self._checkpoints.load()
        await self._resume.load()

    async def live(self) -> None:
        """Read everything from the live checkpoint to the present."""
        try:
            await self._checkpoints.pull_back_from_future()
        except Unavailable:
            # No window is left to ask for, so no response would ever correct a wrong clock of the API.
            self._forget_time()
            raise
        begun = await self._live_checkpoint()
        if begun is None:
            return
        window = live_window(begun, self._checkpoints.lowest(begun), self._now(), self._config.timing)
        if window is None:
            return
        settled = self._config.timing.settle.total_seconds()
        position = window.start
        while position < window.end:
            part = await self._reader.first_slice(LIVE, Window(position, window.end))
            since = self._checkpoints.at(LIVE)
            step = Step(LIVE, since, max(since, part.end))
            query, known = self._reader.query(Priority.LIVE), self._checkpoints.known_before(begun)
            try:
                self._settled = since
                result = await self._read(Slice(LIVE, part, step, query, known, settled), window.end)
                if not isinstance(result, SliceResult):
                    position = result
                    continue
                self._checkpoints.moved(step)
                if since < part.end:
                    await self._note_read(self._live, Window(max(since, part.start), part.end), result)
            finally:
                self._settled = None
            position = part.end
            await self._expiry.expire_when_due()

    async def revisit(self, sweep: Sweep) -> bool:
        """Read what *sweep* has to read by now; returns whether there was anything."""
        live = self._checkpoints.get(LIVE)
        if live is None or sweep.age is None:
            return False
        checkpoint = await self._revisit_checkpoint(sweep, sweep.age, live)
        # Not beyond the slice that the live sweep is at: what of it needs no revisit is not known yet.
        window = revisit_window(checkpoint, min(live, self._settled or live), self._now(), sweep.age)
        if window is None:
            return False
        position = window.start
        while position < window.end:
            reads = (*self._reads, *holes(self._checkpoints.gaps))
            left = first_unread(Window(position, window.end), sweep.age, reads)
            if left.start > position:
                position = await self._checkpoints.step(sweep.name, left.start)
                if not is_worth_revisiting(window.end - position, sweep.age):
                    break
                continue
            part = await self._reader.first_slice(sweep.name, left)
            position = await self._revisit_slice(sweep, part, left.end)
            await self._expiry.expire_when_due()
        return True

    async def _revisit_slice(self, sweep: Sweep, part: Window, limit: datetime) -> datetime:
        """Read one slice of the time before *limit* again; returns where the sweep continues."""
        least = self._age_before(sweep).total_seconds()
        query = self._reader.query(Priority.REVISIT)
        known = self._checkpoints.known_before(part.end)
        result = await self._read(Slice(sweep.name, part, None, query, known, least), limit)
        if not isinstance(result, SliceResult):
            return result
        await self.look_up_disappeared(part, result)
        await self._note_read(sweep, part, result)
        reached = await self._checkpoints.step(sweep.name, part.end)
        await self._reader.finish(sweep.name)
        return reached

    async def _read(self, part: Slice, limit: datetime) -> SliceResult | datetime:
        """Read one slice, or return where to continue: at its start, or behind time that is not retained."""
        result = await self._reader.read_within_retention(part)
        if isinstance(result, datetime) and result > part.window.start:
            return await self._skip(part, min(result, limit))
        return result

    async def _skip(self, part: Slice, begin: datetime) -> datetime:
        """Continue at *begin*, before which the API retains nothing; the time skipped is a gap."""
        since = self._checkpoints.at(part.sweep)
        if since < begin:
            gap = Gap(Window(since, begin), GapCause.RETENTION, part.sweep)
            await self._checkpoints.step(part.sweep, begin, gap=gap)
        return begin

    async def _note_read(self, sweep: Sweep, part: Window, result: SliceResult) -> None:
        """Remember a slice that was read so late that some ages need not read it again."""
        ages = [age for age in self._ages() if sweep.age is None or age > sweep.age]
        reads = merge_reads(self._reads, part, result.began, ages)
        if reads == self._reads:
            return
        if sweep.age is None:
            await self.look_up_disappeared(part, result)
        self._reads = reads
        if sweep.age is None:
            await self._move_revisits(part)
        self._reads = tuple(read for read in self._reads if self._is_useful(read))

    async def _move_revisits(self, part: Window) -> None:
        """Move revisits that have reached *part*, which the live sweep read, over what they need not read.

        None of them is reading then: it has come as far as the live sweep was.
        """
        for sweep in self.revisits:
            at = self._checkpoints.get(sweep.name)
            if sweep.age is not None and at is not None and at in part:
                read = first_unread(Window(at, part.end), sweep.age, self._reads).start
                if read > at:
                    await self._checkpoints.step(sweep.name, read)

    def _is_useful(self, read: ReadRange) -> bool:
        """Whether a revisit is still to come that *read* makes shorter."""
        checkpoints = [
            self._checkpoints.get(sweep.name)
            for sweep in self.revisits
            if sweep.age and sweep.age <= read.age
        ]
        return any(checkpoint is None or checkpoint < read.window.end for checkpoint in checkpoints)

    async def look_up_disappeared(
        self, window: Window, result: SliceResult, *, is_audit: bool = False
    ) -> None:
        """Ask for and store the records of *window* that *result* no longer returned.

        Those that were found to have left before are asked for once more where no younger read is to come,
        unless *is_audit*: audits repeat, and would ask every time.
        """
        changed = self._checkpoints.get(CHANGED)
        if changed is not None and window.start < changed:
            return  # the filters changed: absence proves nothing
        oldest = max(self._ages(), default=timedelta(0))
        final = window.end <= self._now() - oldest and not is_audit
        found = self._disappeared.look_up(window, result.ids, records=result.records, final=final)
        async with aclosing(found) as parts:
            async for rows in parts:
                if rows:
                    await self._ingester.store_disappeared(window, rows)

    async def note_late_read(self, part: Window, result: SliceResult) -> None:
        """Note that *part*, which no sweep had read, was read to its end."""
        await self.look_up_disappeared(part, result)
        await self._note_read(_LATE_READ, part, result)

    async def _live_checkpoint(self) -> datetime | None:
        """The live checkpoint. A new feed's is set before anything is read: the floor is there."""
        if self._checkpoints.get(LIVE) is None or self._resume.is_back:
            # The start is decided once, so not by a local clock where the API can contradict it.
            with suppress(SourceError):
                await self._reader.learn_time()
            await self._resume.begin(self._config.timing.beginning(self._now()))
        live = self._checkpoints.get(LIVE)
        if live is None:
            return None
        for sweep in self.revisits:
            # Before anything is read: all of it has to be read again at every age, also after a crash.
            if sweep.age is not None and self._checkpoints.get(sweep.name) is None:
                await self._revisit_checkpoint(sweep, sweep.age, live)
        return live

    async def _revisit_checkpoint(self, sweep: Sweep, age: timedelta, live: datetime) -> datetime:
        """The sweep's checkpoint. One that never ran, or fell below the floor, starts now."""
        checkpoint, floor = self._checkpoints.get(sweep.name), self._checkpoints.floor
        if checkpoint is None:
            start = revisit_start(age, floor, live, self._now())
            checkpoint = await self._checkpoints.step(sweep.name, start)
        elif floor is not None and checkpoint < whole_second(floor):
            checkpoint = await self._checkpoints.step(sweep.name, min(live, whole_second(floor) + SECOND))
        return checkpoint

    def _ages(self) -> list[timedelta]:
        return [sweep.age for sweep in self.revisits if sweep.age is not None]

    def _age_before(self, sweep: Sweep) -> timedelta:
        younger = [age for age in self._ages() if sweep.age and age < sweep.age]
        return max(younger, default=self._config.timing.settle)
