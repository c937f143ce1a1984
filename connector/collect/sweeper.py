"""Moves a feed's sweeps through time, slice by slice."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from contextlib import suppress
from datetime import datetime, timedelta

from connector.collect.checkpoints import CHANGED, Checkpoints
from connector.collect.disappeared import DisappearedRecords
from connector.collect.feed_config import FeedConfig
from connector.collect.gaps import holes
from connector.collect.ingest import Slice, SliceIngester, SliceResult
from connector.collect.resume import FeedResume
from connector.collect.revisions import SLACK
from connector.collect.slices import SliceReader
from connector.collect.windows import (
    LIVE,
    SECOND,
    ReadRange,
    Sweep,
    first_unread,
    live_window,
    merge_reads,
    passed_by_every_sweep,
    revisit_start,
    revisit_window,
    sweeps_of,
    whole_second,
)
from connector.errors import SourceError
from connector.interfaces import Clock
from connector.model import Gap, GapCause, Priority, Step, Window

_EXPIRE_EVERY = 300.0
"""Seconds between two rounds of forgetting."""

_AFTERWARDS = Sweep("", timedelta(0))
"""A walk behind the live one that sees to absences itself."""


class Sweeper:
    """The sweeps of one feed; see the module."""

    def __init__(
        self,
        config: FeedConfig,
        reader: SliceReader,
        ingester: SliceIngester,
        absences: DisappearedRecords,
        checkpoints: Checkpoints,
        returning: FeedResume,
        *,
        now: Clock,
        still_needed: Callable[[], Iterable[datetime]] = tuple,
    ) -> None:
        """*holds* are times from which on somebody else still needs what was seen."""
        self._config = config
        self._reader = reader
        self._sizing = reader.sizing
        self._ingester = ingester
        self._absences = absences
        self._checkpoints = checkpoints
        self._returning = returning
        self._now = now
        self._still_needed = still_needed
        self._reads: tuple[ReadRange, ...] = ()
        self._expired = float("-inf")
        self._newest, *revisits = sweeps_of(config.ages)
        self.revisits: tuple[Sweep, ...] = tuple(revisits)

    async def load(self) -> None:
        """Read again where the sweeps stand."""
        self._reads = ()
        await self._checkpoints.load()
        await self._returning.load()

    async def live(self) -> None:
        """Read everything from the live checkpoint to the present."""
        await self._checkpoints.mend()
        begun = await self._begun_live()
        if begun is None:
            return
        window = live_window(begun, self._checkpoints.lowest(begun), self._now(), self._config.timing)
        if window is None:
            return
        settled = self._config.timing.settle.total_seconds()
        position = window.start
        while position < window.end:
            part = self._sizing.first_slice(LIVE, Window(position, window.end))
            since = self._checkpoints.at(LIVE)
            step = Step(LIVE, since, max(since, part.end))
            query, known = self._reader.query(Priority.LIVE), self._checkpoints.known_before(begun)
            slice_ = Slice(LIVE, part, step, query, known, settled)
            began = self._now()
            walked = await self._walk(slice_, window.end)
            if not isinstance(walked, SliceResult):
                position = walked
                continue
            self._checkpoints.moved(step)
            if since < part.end:
                await self._note(self._newest, Window(max(since, part.start), part.end), walked, began)
            position = part.end
            await self._forget()

    async def revisit(self, sweep: Sweep) -> bool:
        """Read what *sweep* has to read by now; says whether there was anything."""
        live = self._checkpoints.get(LIVE)
        if live is None or sweep.age is None:
            return False
        checkpoint = await self._begun(sweep, sweep.age, live)
        window = revisit_window(checkpoint, live, self._now(), sweep.age)
        if window is None:
            return False
        position = window.start
        while position < window.end:
            reads = (*self._reads, *holes(self._checkpoints.gaps))
            left = first_unread(Window(position, window.end), sweep.age, reads)
            if left.start > position:
                position = await self._checkpoints.step(sweep.name, left.start)
                continue
            position = await self._revisit(sweep, self._sizing.first_slice(sweep.name, left), left.end)
            await self._forget()
        return True

    async def _revisit(self, sweep: Sweep, part: Window, limit: datetime) -> datetime:
        """Read one slice of what lies before *limit* again; returns where the sweep goes on."""
        least = self._age_before(sweep).total_seconds()
        query, began = self._reader.query(Priority.REVISIT), self._now()
        known = self._checkpoints.known_before(part.end)
        walked = await self._walk(Slice(sweep.name, part, None, query, known, least), limit)
        if not isinstance(walked, SliceResult):
            return walked
        await self.settle_absences(part, walked)
        await self._note(sweep, part, walked, began)
        return await self._checkpoints.step(sweep.name, part.end)

    async def _walk(self, part: Slice, limit: datetime) -> SliceResult | datetime:
        """Walk one slice, or say where to go on: halved, or beyond what it no longer has before *limit*."""
        walked = await self._reader.take(part)
        if isinstance(walked, datetime) and walked > part.window.start:
            return await self._skip(part, min(walked, limit))
        return walked

    async def _skip(self, part: Slice, begin: datetime) -> datetime:
        """Go on from *begin*, before which the API has nothing any more; what that skips is a gap."""
        since = self._checkpoints.at(part.sweep)
        if since < begin:
            gap = Gap(Window(since, begin), GapCause.RETENTION, part.sweep)
            await self._checkpoints.step(part.sweep, begin, gap=gap)
        return begin

    async def _note(self, sweep: Sweep, part: Window, walked: SliceResult, began: datetime) -> None:
        """Remember a slice that was read so late that it needs no revisit at some ages."""
        ages = [age for age in self._ages() if sweep.age is None or age > sweep.age]
        reads = merge_reads(self._reads, part, began, ages)
        if reads == self._reads:
            return
        if sweep.age is None:
            await self.settle_absences(part, walked)
        self._reads = tuple(read for read in reads if self._saves(read))

    def _saves(self, read: ReadRange) -> bool:
        """Whether a revisit is still to come that *read* makes shorter."""
        stands = [self._checkpoints.get(one.name) for one in self.revisits if one.age and one.age <= read.age]
        return any(checkpoint is None or checkpoint < read.window.end for checkpoint in stands)

    async def settle_absences(self, window: Window, walked: SliceResult) -> None:
        """See what became of records of *window* that *walked* did not return any more."""
        changed = self._checkpoints.get(CHANGED)
        if changed is not None and window.start < changed:
            return
        settled = await self._absences.settle(window, walked.ids)
        if settled:
            await self._ingester.adopt(window, settled)

    async def read_late(self, part: Window, walked: SliceResult, began: datetime) -> None:
        """Note that *part*, which no sweep had read, was read to its end by a walk that began at *began*."""
        await self.settle_absences(part, walked)
        await self._note(_AFTERWARDS, part, walked, began)

    async def _begun_live(self) -> datetime | None:
        """The live checkpoint. A new feed's is set before anything is read: the floor lies there."""
        if self._checkpoints.get(LIVE) is None or self._returning.is_back:
            # Where it begins is decided once: not by a local clock where the API can contradict it.
            with suppress(SourceError):
                await self._reader.learn_time()
            await self._returning.begin(self._config.timing.beginning(self._now()))
        live = self._checkpoints.get(LIVE)
        if live is None:
            return None
        for sweep in self.revisits:
            # Before anything is read: all of it has to be read again at every age, also after a crash.
            if sweep.age is not None and self._checkpoints.get(sweep.name) is None:
                await self._begun(sweep, sweep.age, live)
        return live

    async def _begun(self, sweep: Sweep, age: timedelta, live: datetime) -> datetime:
        """The sweep's checkpoint; one that never walked, or fell below the floor, begins now."""
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

    async def _forget(self) -> None:
        time = asyncio.get_running_loop().time()
        if time - self._expired < _EXPIRE_EVERY:
            return
        self._expired = time
        stands = [self._checkpoints.get(sweep.name) for sweep in (self._newest, *self.revisits)]
        reached = [checkpoint for checkpoint in stands if checkpoint is not None]
        if len(reached) < len(stands):
            return
        passed = passed_by_every_sweep(reached, self._config.timing.overlap)
        if passed is not None:
            await self._checkpoints.expire(min((passed, *self._still_needed())) - SLACK)
