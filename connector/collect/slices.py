"""Reads one slice at a time: adapts its size, splits it after errors, finds the API's retention limit.

``SliceSizing`` decides how long the next slice of a sweep is; ``SliceReader`` reads it and says where to
continue.
"""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from dataclasses import replace
from datetime import datetime, timedelta

from connector.collect.feed_config import FeedConfig
from connector.collect.ingest import Slice, SliceIngester, SliceResult
from connector.collect.partial_slices import PartialSlices
from connector.collect.windows import (
    FIRST_SLICE,
    LONGEST_SLICE,
    SECOND,
    next_slice,
    whole_second,
    whole_seconds,
)
from connector.errors import BadQuery, SearchIncomplete
from connector.facts import SliceCollected, SliceStarted, WindowSplit
from connector.interfaces import Clock, Observe, Source
from connector.model import Priority, Query, Window

_NEVER_REFUSED = timedelta(hours=1)
"""A window this recent is within any retention: if it is refused too, the refusal is not about age."""

_YOUNGEST_REFUSED = timedelta(days=1)
"""A refusal of a younger window is not about age: no plan of Cloudflare's retains less than a day."""

_EXACT = timedelta(minutes=1)
"""How exactly the start of the retention is searched for. It moves on meanwhile, so as much is left to
spare."""


async def find_retention_start(
    source: Source, query: Query, refused: datetime, now: datetime
) -> datetime | None:
    """Return the earliest time that the API accepts for *query*, which it refused from *refused* on.

    ``None``: the refusal is not about age. Costs one request then, about fifteen otherwise (bisection).
    """
    low, high = refused, whole_second(now - _NEVER_REFUSED)
    if now - refused < _YOUNGEST_REFUSED or not await is_accepted(source, query, high):
        return None
    while high - low > _EXACT:
        middle = whole_second(low + (high - low) / 2)
        if await is_accepted(source, query, middle):
            high = middle
        else:
            low = middle
    return high + _EXACT


async def is_accepted(source: Source, query: Query, start: datetime) -> bool:
    """Whether the API answers *query* for the second from *start* on; costs one request."""
    small = replace(query, per_page=1)
    async with aclosing(source.search(small, Window(start, start + SECOND))) as pages:
        try:
            await anext(pages, None)
        except BadQuery:
            return False
    return True


TARGET_PAGES = 15.5
"""Pages to aim at in a slice. Its last page is half empty in the mean, which is three percent of that; an
interruption reads as many again. Not a whole number: a last page that is full leaves it open whether more
records follow."""

_BUSY_PAGES = 32
"""Pages in one slice above which the next one is shorter: about twice the aim, since mail comes in bursts."""

GROWTH = 8
"""How many times longer the next slice may be: a month of nothing takes five requests, and eight hours after
an hour of nothing hold few pages more than that hour did."""

_TOO_SLOW = frozenset({"search_timeout", "pending_timeout"})
"""Reasons for which a search of the same length would probably fail again."""

_TRUSTED = 16
"""Slices to complete at the length that followed one which was too slow, before a longer one is tried: a
timeout takes a minute or two."""

_CALM_PAGES = 5
"""Pages below which a slice is no strain for the API: pages may be larger again."""

_FEWEST_PER_PAGE = 50
"""Records per page below which smaller pages no longer help an API that cannot complete a search."""


class SliceSizing:
    """Length of slices per sweep, and the page size that all sweeps of a feed share.

    Slices start at an hour. Each complete one shows how dense its records are; the next one is as long as
    ``TARGET_PAGES`` of them take, up to *longest*.
    """

    def __init__(self, per_page: int, longest: timedelta = LONGEST_SLICE) -> None:
        self._largest_page = per_page
        self._longest = longest
        self._lengths: dict[str, timedelta] = {}
        self._answered: dict[str, timedelta] = {}
        self._completed: dict[str, int] = {}
        self.per_page = per_page

    def length(self, sweep: str) -> timedelta:
        """How long the next slice of *sweep* may be."""
        return self._lengths.get(sweep, min(FIRST_SLICE, self._longest))

    def first_slice(self, sweep: str, window: Window) -> Window:
        """The slice at the start of *window* to read next."""
        return next_slice(window, self.length(sweep))

    def last_slice(self, sweep: str, window: Window) -> Window:
        """The slice at the end of *window* to read next, for sweeps that go backwards."""
        return Window(max(window.start, window.end - self.length(sweep)), window.end)

    def split(self, sweep: str, failed: Window, reason: str = "") -> bool:
        """Halve *failed*, or the page size where it is a second; returns whether there was less to try."""
        if failed.length > SECOND:
            self._lengths[sweep] = whole_seconds(failed.length / 2)
            if reason in _TOO_SLOW:
                self._answered[sweep], self._completed[sweep] = self._lengths[sweep], 0
        elif self.per_page > _FEWEST_PER_PAGE:
            self.per_page = max(_FEWEST_PER_PAGE, self.per_page // 2)
        else:
            return False
        return True

    def adapt(self, sweep: str, done: Window, records: int, per_page: int) -> None:
        """Learn from a complete slice that returned *records* in pages of *per_page*."""
        pages = records / per_page
        if pages > _BUSY_PAGES:
            self._lengths[sweep] = whole_seconds(done.length * TARGET_PAGES / pages)
        elif done.length >= self.length(sweep):
            # A shorter one, such as a poll's, says nothing about slices of the full length.
            growth = min(GROWTH, max(1.0, TARGET_PAGES / pages)) if pages else GROWTH
            longest = min(self._longest, self._longest_answered(sweep, done.length))
            self._lengths[sweep] = min(longest, whole_seconds(done.length * growth))
            if pages < _CALM_PAGES:
                self.per_page = min(self._largest_page, self.per_page * 2)

    def _longest_answered(self, sweep: str, done: timedelta) -> timedelta:
        """The longest slice of *sweep* that the API answers in time, as far as known."""
        longest = self._answered.get(sweep)
        if longest is None:
            return self._longest
        if done >= longest:
            self._completed[sweep] += 1
            if self._completed[sweep] >= _TRUSTED:
                longest = self._answered[sweep] = longest * 2
                self._completed[sweep] = 0
        return longest


_INTERRUPTED = "interrupted, and the order of the records does not tell what is left"


class SliceReader:
    """Reads slices of one feed at the sizes that its sweeps have learned."""

    def __init__(
        self,
        config: FeedConfig,
        source: Source,
        ingester: SliceIngester,
        partials: PartialSlices,
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
        self._partials = partials
        self._sizing = sizing

    def reload(self) -> None:
        """Look into the journal again for slices that were begun."""
        self._partials.reload()

    async def first_slice(self, sweep: str, window: Window, task: str = "") -> Window:
        """The slice of *sweep* at the start of *window* to read next: one that was begun, if there is one."""
        begun = await self._resumable(sweep, window, task)
        if begun is None or begun.start > window.start:
            left = window if begun is None else Window(window.start, begun.start)
            return self._sizing.first_slice(sweep, left)
        return begun

    async def last_slice(self, sweep: str, window: Window) -> Window:
        """The slice at the end of *window* to read next, for sweeps that go backwards."""
        begun = await self._resumable(sweep, window)
        if begun is None or begun.end < window.end:
            left = window if begun is None else Window(begun.end, window.end)
            return self._sizing.last_slice(sweep, left)
        return begun

    async def _resumable(self, sweep: str, window: Window, task: str = "") -> Window | None:
        """The slice of *sweep* in *window* that can be continued; another one is forgotten."""
        partial = await self._partials.find(sweep, task)
        if partial is not None and partial.position is None:
            # It would take as long again. Fewer records a page gain nothing, so a second is not split.
            if partial.window.length > SECOND:
                self._sizing.split(sweep, partial.window)
                seconds = self._sizing.length(sweep).total_seconds()
                self._observe(WindowSplit(self._config.feed, sweep, seconds, _INTERRUPTED))
        elif partial is not None and partial.window.start in window and partial.window.end <= window.end:
            return partial.window
        await self._partials.delete(sweep)
        return None

    async def finish(self, sweep: str) -> None:
        """Forget the slice of *sweep* that was begun: its checkpoint has passed it."""
        await self._partials.delete(sweep)

    def query(self, priority: Priority) -> Query:
        """What to ask at the present page size."""
        return replace(self._config.query, per_page=self._sizing.per_page, priority=priority)

    async def read(self, part: Slice) -> SliceResult | datetime:
        """Read *part*, or return its start where the next slice has to be shorter. Raises ``SourceError``."""
        feed, clock = self._config.feed, asyncio.get_running_loop().time
        started = clock()
        self._observe(SliceStarted(feed, part.sweep, part.window.start, part.window.end))
        try:
            result = await self._ingester.ingest(part)
        except SearchIncomplete as incomplete:
            self._partials.drop(part.sweep)
            if not self._sizing.split(part.sweep, part.window, incomplete.reason):
                raise
            seconds = self._sizing.length(part.sweep).total_seconds()
            self._observe(WindowSplit(feed, part.sweep, seconds, str(incomplete)))
            return part.window.start
        self._observe(
            SliceCollected(
                feed, part.sweep, part.window.start, part.window.end, result.records, clock() - started
            )
        )
        self._sizing.adapt(part.sweep, part.window, result.records, part.query.per_page)
        return result

    async def read_within_retention(self, part: Slice) -> SliceResult | datetime:
        """Read *part*, or return where to continue instead.

        That is its own start where the next slice has to be shorter, or a later time where the API retains
        nothing before it. Raises ``SourceError`` for anything else.
        """
        try:
            return await self.read(part)
        except BadQuery:
            begin = await find_retention_start(self._source, part.query, part.window.start, self._now())
            if begin is None or begin <= part.window.start:
                raise
            return begin

    async def learn_time(self) -> None:
        """Ask for next to nothing, so that the API's clock is known. Raises ``SourceError``."""
        await is_accepted(self._source, self._config.query, whole_second(self._now()) - SECOND)
