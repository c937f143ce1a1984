"""One slice at a time: walked to its end, made shorter, or found to lie beyond what the API still has."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import datetime

from connector.collect.feed_config import Plan
from connector.collect.ingest import Slice, Walked, Walker
from connector.collect.pace import Pace
from connector.collect.retention import earliest, is_taken
from connector.collect.windows import SECOND, whole
from connector.errors import BadQuery, WalkAborted
from connector.facts import SliceBegun, SliceCollected, SliceHalved
from connector.interfaces import Clock, Observe, Source
from connector.model import Priority, Query


class Strides:
    """Walks slices of one feed at the pace that all of its sweeps share."""

    def __init__(
        self, plan: Plan, source: Source, walker: Walker, pace: Pace, *, observe: Observe, now: Clock
    ) -> None:
        self._plan = plan
        self._source = source
        self._walker = walker
        self._observe = observe
        self._now = now
        self.pace = pace

    def query(self, priority: Priority) -> Query:
        """What to ask at the present pace."""
        return replace(self._plan.query, per_page=self.pace.per_page, priority=priority)

    async def take(self, part: Slice) -> Walked | datetime:
        """Walk *part*, or say where to go on instead.

        That is its own start where the next slice has to be a shorter one, and a later time where the API
        has nothing before that any more. Raises ``SourceError`` for anything else.
        """
        try:
            return await self.walk(part)
        except BadQuery:
            begin = await earliest(self._source, part.query, part.window.start, self._now())
            if begin is None or begin <= part.window.start:
                raise
            return begin

    async def learn_time(self) -> None:
        """Ask for next to nothing, so that the API's clock is known. Raises ``SourceError``."""
        await is_taken(self._source, self._plan.query, whole(self._now()) - SECOND)

    async def walk(self, part: Slice) -> Walked | datetime:
        """Walk *part*, or return its start where the next has to be a shorter one. Raises ``SourceError``."""
        feed, clock = self._plan.feed, asyncio.get_running_loop().time
        started = clock()
        self._observe(SliceBegun(feed, part.sweep, part.window.start, part.window.end))
        try:
            walked = await self._walker.walk(part)
        except WalkAborted as aborted:
            if not self.pace.halve(part.sweep, part.window):
                raise
            seconds = self.pace.length(part.sweep).total_seconds()
            self._observe(SliceHalved(feed, part.sweep, seconds, str(aborted)))
            return part.window.start
        self._observe(
            SliceCollected(
                feed, part.sweep, part.window.start, part.window.end, walked.records, clock() - started
            )
        )
        self.pace.adapt(part.sweep, part.window, walked.records, part.query.per_page)
        return walked
