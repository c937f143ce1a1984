"""One slice at a time: walked to its end, made shorter, or found to lie beyond what the API still has."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from dataclasses import replace
from datetime import datetime, timedelta

from connector.collect.feed_config import FeedConfig
from connector.collect.ingest import Slice, SliceIngester, SliceResult
from connector.collect.windows import LONGEST_SLICE, SECOND, next_slice, whole_second, whole_seconds
from connector.errors import BadQuery, SearchIncomplete
from connector.facts import SliceCollected, SliceStarted, WindowSplit
from connector.interfaces import Clock, Observe, Source
from connector.model import Priority, Query, Window

_RECENT = timedelta(hours=1)
_YOUNGEST = timedelta(days=1)
"""A younger search is not refused for its age."""

_EXACT = timedelta(minutes=1)
"""How exactly the limit is looked for; it moves on meanwhile, so as much is left to spare."""


async def earliest(source: Source, query: Query, refused: datetime, now: datetime) -> datetime | None:
    """From when on the API takes *query*, which it refused from *refused* on.

    ``None``: the refusal is not about age. Costs one request then, about fifteen otherwise.
    """
    low, high = refused, whole_second(now - _RECENT)
    if now - refused < _YOUNGEST or not await is_taken(source, query, high):
        return None
    while high - low > _EXACT:
        middle = whole_second(low + (high - low) / 2)
        if await is_taken(source, query, middle):
            high = middle
        else:
            low = middle
    return high + _EXACT


async def is_taken(source: Source, query: Query, start: datetime) -> bool:
    """Whether the API answers *query* for the second from *start* on; costs one request."""
    small = replace(query, per_page=1)
    async with aclosing(source.search(small, Window(start, start + SECOND))) as pages:
        try:
            await anext(pages, None)
        except BadQuery:
            return False
    return True


_BUSY = 20
_CALM = 5
"""Pages in one slice above which the next is cut shorter, and below which it may grow."""

_FEWEST = 50
"""Records per page below which a walk is not made smaller any more."""


class SliceSizing:
    """Slice length per sweep and page size of one feed."""

    def __init__(self, per_page: int) -> None:
        self._most = per_page
        self._lengths: dict[str, timedelta] = {}
        self.per_page = per_page

    def length(self, sweep: str) -> timedelta:
        """How long the next slice of *sweep* may be."""
        return self._lengths.get(sweep, LONGEST_SLICE)

    def first_slice(self, sweep: str, window: Window) -> Window:
        """The slice of *window* to walk next."""
        return next_slice(window, self.length(sweep))

    def last_slice(self, sweep: str, window: Window) -> Window:
        """The slice of *window* to walk next, from its end."""
        return Window(max(window.start, window.end - self.length(sweep)), window.end)

    def halve(self, sweep: str, walked: Window) -> bool:
        """Take on half of *walked*, or smaller pages where that is a second; says whether there is less."""
        if walked.length > SECOND:
            self._lengths[sweep] = whole_seconds(walked.length / 2)
        elif self.per_page > _FEWEST:
            self.per_page = max(_FEWEST, self.per_page // 2)
        else:
            return False
        return True

    def adapt(self, sweep: str, walked: Window, records: int, per_page: int) -> None:
        """Learn from a slice that was walked to its end."""
        pages = records / per_page
        if pages > _BUSY:
            self._lengths[sweep] = whole_seconds(walked.length / 2)
        elif pages < _CALM and walked.length >= self.length(sweep):
            self._lengths[sweep] = whole_seconds(self.length(sweep) * 2)
            self.per_page = min(self._most, self.per_page * 2)


class SliceReader:
    """Walks slices of one feed at the pace that all of its sweeps share."""

    def __init__(
        self,
        config: FeedConfig,
        source: Source,
        ingester: SliceIngester,
        sizing: SliceSizing,
        *,
        observe: Observe,
        now: Clock,
    ) -> None:
        self._config = config
        self._source = source
        self._ingester = ingester
        self._observe = observe
        self._now = now
        self.sizing = sizing

    def query(self, priority: Priority) -> Query:
        """What to ask at the present pace."""
        return replace(self._config.query, per_page=self.sizing.per_page, priority=priority)

    async def take(self, part: Slice) -> SliceResult | datetime:
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
        await is_taken(self._source, self._config.query, whole_second(self._now()) - SECOND)

    async def walk(self, part: Slice) -> SliceResult | datetime:
        """Walk *part*, or return its start where the next has to be a shorter one. Raises ``SourceError``."""
        feed, clock = self._config.feed, asyncio.get_running_loop().time
        started = clock()
        self._observe(SliceStarted(feed, part.sweep, part.window.start, part.window.end))
        try:
            walked = await self._ingester.walk(part)
        except SearchIncomplete as aborted:
            if not self.sizing.halve(part.sweep, part.window):
                raise
            seconds = self.sizing.length(part.sweep).total_seconds()
            self._observe(WindowSplit(feed, part.sweep, seconds, str(aborted)))
            return part.window.start
        self._observe(
            SliceCollected(
                feed, part.sweep, part.window.start, part.window.end, walked.records, clock() - started
            )
        )
        self.sizing.adapt(part.sweep, part.window, walked.records, part.query.per_page)
        return walked
