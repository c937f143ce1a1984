"""Moves a feed's sweeps through time, slice by slice, and keeps their checkpoints.

The journal's checkpoints are the truth; what is held here mirrors them and is read again whenever the
journal says that somebody else moved one.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta

from connector.collect.absence import Absences
from connector.collect.plan import Plan
from connector.collect.revisions import SLACK
from connector.collect.walk import Slice, Walked, Walker
from connector.collect.windows import (
    LIVE,
    LONGEST_SLICE,
    SECOND,
    Sweep,
    live_window,
    next_slice,
    passed_by_all,
    revisit_start,
    revisit_window,
    superseded,
    sweeps_of,
    whole,
    whole_length,
)
from connector.errors import WalkAborted
from connector.facts import ClockPulledBack, SearchChanged, SliceBegun, SliceCollected, SliceHalved
from connector.interfaces import Clock, FeedLog, Observe
from connector.model import Commit, Priority, Step, Window

CHANGED = "filters_changed"
"""Name under which the point in time is kept at which a search's filters changed."""

_BUSY = 20
_CALM = 5
"""Pages in one slice above which the next is cut shorter, and below which it may grow."""

_NOISE = timedelta(seconds=5)
"""A checkpoint this far ahead is only the clocks' noise."""

_FEWEST = 50
"""Records per page below which a walk is not made smaller any more."""

_EXPIRE_EVERY = 300.0
"""Seconds between two rounds of forgetting."""


class Sweeper:
    """The sweeps of one feed; see the module."""

    def __init__(
        self, plan: Plan, walker: Walker, absences: Absences, log: FeedLog, *, observe: Observe, now: Clock
    ) -> None:
        self._plan = plan
        self._walker = walker
        self._absences = absences
        self._log = log
        self._observe = observe
        self._now = now
        self._checkpoints: dict[str, datetime] = {}
        self._floor: datetime | None = None
        self._lengths: dict[str, timedelta] = {}
        self._per_page = plan.query.per_page
        self._expired = float("-inf")
        self.revisits: tuple[Sweep, ...] = sweeps_of(plan.ages)[1:]

    @property
    def checkpoints(self) -> Mapping[str, datetime]:
        """Where the sweeps stand."""
        return self._checkpoints

    async def load(self) -> None:
        """Read the checkpoints; mend those that lie in the future; note changed filters."""
        progress = await self._log.progress(self._plan.feed)
        self._checkpoints = dict(progress.checkpoints)
        self._floor = progress.floor
        now = whole(self._now())
        for name, checkpoint in progress.checkpoints.items():
            if checkpoint > now + _NOISE:
                ahead = (checkpoint - now).total_seconds()
                self._observe(ClockPulledBack(self._plan.feed, name, ahead))
                await self._step(name, now)
        if progress.fingerprint not in (None, self._plan.fingerprint):
            self._observe(SearchChanged(self._plan.feed))
            await self._step(CHANGED, self._checkpoints.get(LIVE, now))

    async def live(self) -> None:
        """Read everything from the live checkpoint to the present."""
        checkpoint = self._checkpoints.get(LIVE)
        window = live_window(checkpoint, self._floor, self._now(), self._plan.timing)
        if window is None:
            return
        position = window.start
        while position < window.end:
            part = self._cut(LIVE, Window(position, window.end))
            since = self._checkpoints.get(LIVE)
            step = Step(LIVE, since, max(since, part.end) if since else part.end)
            query = replace(self._plan.query, per_page=self._per_page, priority=Priority.LIVE)
            settled = self._plan.timing.settle.total_seconds()
            if await self._walk(Slice(LIVE, part, step, query, checkpoint, settled)) is None:
                continue
            if self._floor is None:
                self._floor = part.start
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
            part = self._cut(sweep.name, Window(position, window.end))
            query = replace(self._plan.query, per_page=self._per_page, priority=Priority.REVISIT)
            least = self._age_before(sweep).total_seconds()
            walked = await self._walk(Slice(sweep.name, part, None, query, part.end, least))
            if walked is None:
                continue
            await self._settle_absences(part, walked)
            await self._step(sweep.name, part.end)
            position = part.end
            await self._forget()
        return True

    def _cut(self, sweep: str, window: Window) -> Window:
        return next_slice(window, self._lengths.get(sweep, LONGEST_SLICE))

    async def _walk(self, part: Slice) -> Walked | None:
        """Walk one slice; ``None`` when it was halved instead and has to be cut again."""
        feed, began = self._plan.feed, self._now()
        clock = asyncio.get_running_loop().time
        started = clock()
        self._observe(SliceBegun(feed, part.sweep, part.window.start, part.window.end))
        try:
            walked = await self._walker.walk(part)
        except WalkAborted as aborted:
            if not self._halve(part, aborted):
                raise
            return None
        self._observe(
            SliceCollected(
                feed, part.sweep, part.window.start, part.window.end, walked.records, clock() - started
            )
        )
        self._adapt(part, walked.records / part.query.per_page)
        if part.step is not None:
            self._checkpoints[part.step.sweep] = part.step.until
        for sweep, checkpoint in superseded(self.revisits, self._checkpoints, part.window, began):
            await self._step(sweep.name, part.window.end, checkpoint)
        return walked

    def _halve(self, part: Slice, aborted: WalkAborted) -> bool:
        length = part.window.length
        if length > SECOND:
            self._lengths[part.sweep] = whole_length(length / 2)
        elif self._per_page > _FEWEST:
            self._per_page = max(_FEWEST, self._per_page // 2)
        else:
            return False
        seconds = self._lengths.get(part.sweep, length).total_seconds()
        self._observe(SliceHalved(self._plan.feed, part.sweep, seconds, str(aborted)))
        return True

    def _adapt(self, part: Slice, pages: float) -> None:
        length = self._lengths.get(part.sweep, LONGEST_SLICE)
        if pages > _BUSY:
            self._lengths[part.sweep] = whole_length(part.window.length / 2)
        elif pages < _CALM and part.window.length >= length:
            self._lengths[part.sweep] = whole_length(length * 2)
            self._per_page = min(self._plan.query.per_page, self._per_page * 2)

    async def _settle_absences(self, window: Window, walked: Walked) -> None:
        changed = self._checkpoints.get(CHANGED)
        if changed is not None and window.start < changed:
            return
        settled = await self._absences.settle(window, walked.ids)
        if settled:
            await self._walker.adopt(settled)

    async def _begun(self, sweep: Sweep, age: timedelta, live: datetime) -> datetime:
        """The sweep's checkpoint; one that never walked, or fell below the floor, begins now."""
        checkpoint = self._checkpoints.get(sweep.name)
        start = revisit_start(age, self._floor, live, self._now())
        if checkpoint is None:
            checkpoint = await self._step(sweep.name, start)
        elif self._floor is not None and checkpoint < whole(self._floor):
            checkpoint = await self._step(sweep.name, min(live, whole(self._floor) + SECOND))
        return checkpoint

    def _age_before(self, sweep: Sweep) -> timedelta:
        younger = [other.age for other in self.revisits if other.age and sweep.age and other.age < sweep.age]
        return max(younger, default=self._plan.timing.settle)

    async def _step(self, name: str, until: datetime, since: datetime | None = None) -> datetime:
        step = Step(name, since or self._checkpoints.get(name), until)
        await self._walker.commit(Commit(self._plan.feed, self._plan.fingerprint, step=step))
        self._checkpoints[name] = until
        return until

    async def _forget(self) -> None:
        time = asyncio.get_running_loop().time()
        if time - self._expired < _EXPIRE_EVERY:
            return
        self._expired = time
        names = [LIVE, *(sweep.name for sweep in self.revisits)]
        if any(name not in self._checkpoints for name in names):
            return
        passed = passed_by_all((self._checkpoints[name] for name in names), self._plan.timing.overlap)
        if passed is not None:
            await self._log.expire(self._plan.feed, passed - SLACK)
