"""One slice, from the API into the journal: page by page, durable as it goes.

The checkpoint moves in the transaction that holds the slice's last page, or alone where there is none.
"""

from __future__ import annotations

import asyncio
import random
from array import array
from bisect import bisect_left
from collections.abc import (
    AsyncGenerator,
    AsyncIterator,
    Awaitable,
    Callable,
    Collection,
    Iterable,
    Iterator,
    Sequence,
)
from contextlib import aclosing, asynccontextmanager, contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from heapq import merge
from typing import Protocol

from connector.broadcast import Broadcast
from connector.collect.disappeared import Disappeared
from connector.collect.enrichment import Enrichment, PageEnrichment, Visit
from connector.collect.revisions import PAD, Comparison, compare, redelivery, time_of
from connector.errors import JournalFull
from connector.facts import CollectionPaused, PageCollected, RecordLate
from connector.interfaces import Clock, Enricher, FeedLog, Observe, Source
from connector.model import Commit, Feed, Page, Query, Record, Seen, Step, Window
from connector.net.backoff import full_jitter


class ReadOrder:
    """Numbers the walks of one feed by their beginning and remembers what might be overtaken."""

    def __init__(self) -> None:
        self._last = 0
        self._walking: set[int] = set()
        self._learned: dict[str, int] = {}

    @contextmanager
    def walk(self) -> Iterator[int]:
        """One walk, for as long as the block runs; gives its number."""
        number = self._next()
        self._walking.add(number)
        try:
            yield number
        finally:
            self._walking.remove(number)
            oldest = min(self._walking, default=self._last)
            self._learned = {name: at for name, at in self._learned.items() if at > oldest}

    def learn(self, names: Iterable[str], number: int | None = None) -> None:
        """Note that walk *number* (``None``: a look-up just now) found something new of *names*."""
        at = self._next() if number is None else number
        if any(walking < at for walking in self._walking):
            self._learned.update((name, max(at, self._learned.get(name, 0))) for name in names)

    def is_overtaken(self, name: str, number: int) -> bool:
        """Whether somebody who looked later than walk *number* began has learned something of *name*."""
        return self._learned.get(name, 0) > number

    def _next(self) -> int:
        self._last += 1
        return self._last


class KeyedLock:
    """A lock per key, taken for many keys at once: pages that share no record run side by side."""

    def __init__(self) -> None:
        self._locked: set[str] = set()
        self._released = Broadcast()

    @asynccontextmanager
    async def hold(self, keys: Iterable[str]) -> AsyncIterator[None]:
        """Hold the lock of each of *keys* while the block runs; waits until all of them are free."""
        wanted = frozenset(keys)
        while not self._locked.isdisjoint(wanted):
            await self._released.wait()
        self._locked |= wanted
        try:
            yield
        finally:
            self._locked -= wanted
            self._released.notify()


class IdHashSet:
    """What ids hash to. They are put in order when they are first asked for: most walks never are."""

    def __init__(self) -> None:
        self._runs: list[array[int]] = []

    def add(self, ids: Iterable[str]) -> None:
        """Take the *ids* of a page in."""
        self._runs.append(array("q", sorted(map(hash, ids))))

    def __contains__(self, one: object) -> bool:
        if len(self._runs) != 1:
            self._runs = [array("q", merge(*self._runs))]
        wanted, hashes = hash(one), self._runs[0]
        at = bisect_left(hashes, wanted)
        return at < len(hashes) and hashes[at] == wanted


_PEEK = 0.05
"""Seconds to wait for the walk's end before a page is stored without the checkpoint."""


class SliceRecorder(Protocol):
    """Who keeps account of a slice, to know exactly what became of it."""

    def again(self, records: Sequence[Record]) -> frozenset[str]:
        """The ids of *records* that are to be told even where nothing about them is new."""
        ...

    def note(
        self, records: Sequence[Record], comparisons: Sequence[Comparison], step: Step | None
    ) -> tuple[str, str]:
        """Take account of a page; what to make durable with it."""
        ...


@dataclass(frozen=True, slots=True)
class Slice:
    """One part of a sweep to walk.

    *window* is asked; *step* is the checkpoint's move when it is complete (``None``: the caller moves it).
    What lies in *known* was read before, *least_late* seconds after its time at the earliest: a record
    found new there came late. *account* is kept of every page.
    """

    sweep: str
    window: Window
    step: Step | None
    query: Query
    known: Window | None = None
    least_late: float = 0.0
    account: SliceRecorder | None = None


@dataclass(frozen=True, slots=True)
class SliceResult:
    """What a complete walk returned: the number of records, and their ids."""

    records: int
    ids: IdHashSet


class SliceIngester:
    """Walks slices of one feed. One comparison of a record at a time, however many sweeps run."""

    def __init__(
        self,
        feed: Feed,
        fingerprint: str,
        source: Source,
        log: FeedLog,
        *,
        watched: Sequence[str],
        observe: Observe,
        clock: Clock,
        enricher: Enricher | None = None,
        ages: Sequence[timedelta] = (),
        generation: Callable[[], int | None] = lambda: None,
    ) -> None:
        """*life* is that of the feed; see ``model.Progress``."""
        self._feed = feed
        self._fingerprint = fingerprint
        self._source = source
        self._log = log
        self._watched = tuple(watched)
        self._observe = observe
        self._clock = clock
        self._enrichment = Enrichment(enricher, ages)
        self._generation = generation
        self._record_locks = KeyedLock()
        self._order = ReadOrder()

    async def walk(self, part: Slice) -> SliceResult:
        """Read all of *part* and store it; returns when the checkpoint is durable.

        Raises ``SourceError``: pages read so far are durable then, the checkpoint is where it was.
        """
        records, ids = 0, IdHashSet()
        with self._order.walk() as number:
            async with aclosing(self._source.search(part.query, part.window)) as pages:
                page = await anext(pages, None)
                if page is None and part.step is not None:
                    await self._complete(part, part.step)
                while page is not None:
                    records += len(page.records)
                    ids.add(record.id for record in page.records)
                    page = await self._store(part, page, pages, number)
        return SliceResult(records, ids)

    async def _store(
        self, part: Slice, page: Page, pages: AsyncGenerator[Page, None], number: int
    ) -> Page | None:
        """Store *page* while the next one is fetched; the last takes the checkpoint along."""
        following = asyncio.ensure_future(anext(pages, None))
        try:
            await asyncio.wait({following}, timeout=_PEEK)
            last = following.done() and following.exception() is None and following.result() is None
            await self._compare(part, page.records, part.step if last else None, number)
            ahead = await following
            if ahead is None and not last and part.step is not None:
                await self._complete(part, part.step)
        finally:
            following.cancel()
            # Also where it is done: a failure that nobody waits for any more must not be reported as lost.
            await asyncio.gather(following, return_exceptions=True)
        return ahead

    async def _complete(self, part: Slice, step: Step) -> None:
        """Move the checkpoint alone."""
        note = part.account.note((), (), step) if part.account else None
        await self.commit(
            Commit(self._feed, self._fingerprint, step=step, note=note, generation=self._generation())
        )

    async def _compare(self, part: Slice, records: Sequence[Record], step: Step | None, number: int) -> None:
        told = PageEnrichment()
        again = part.account.again(records) if part.account else frozenset[str]()
        async with self._record_locks.hold(record.id for record in records):
            while True:
                visit, generation = Visit(self._feed, part.window, self._clock()), self._generation()
                known = dict(await self._log.seen(self._feed, [record.id for record in records]))
                older = {one.id for one in records if self._order.is_overtaken(one.id, number)}
                comparisons = self._compare_records(visit, records, known, told, again, older)
                if not told.asking:
                    break
                await self._enrichment.ask(told)
            note = part.account.note(records, comparisons, step) if part.account else None
            await self._keep(comparisons, generation, step, note)
            self._order.learn((f.revision.record.id for f in comparisons if f.revision), number)
        self._report(part, records, comparisons, visit.at)

    def _compare_records(
        self,
        visit: Visit,
        records: Sequence[Record],
        known: dict[str, Seen],
        told: PageEnrichment,
        again: frozenset[str],
        older: Collection[str],
    ) -> list[Comparison]:
        comparisons, left = [], set(again)
        for record in records:
            row = known.get(record.id)
            comparison = compare(
                record,
                row,
                feed=self._feed,
                window=visit.window,
                collected=visit.at,
                watched=self._watched,
            )
            if row is not None and record.id in older:
                comparison = Comparison()
            if row is not None and comparison.revision is None and record.id in left:
                comparison = redelivery(record, row, comparison, feed=self._feed, collected=visit.at)
            left.discard(record.id)
            comparison = self._enrichment.settle(record, row, comparison, visit, told)
            if comparison.seen is not None:
                known[record.id] = comparison.seen
            comparisons.append(comparison)
        return comparisons

    async def adopt(self, window: Window, absents: Sequence[Disappeared]) -> None:
        """Store what look-ups found of seen rows, unless another sweep changed a row meanwhile."""
        told = PageEnrichment()
        async with self._record_locks.hold(absent.row.id for absent in absents):
            while True:
                visit, generation = Visit(self._feed, window, self._clock()), self._generation()
                known = await self._log.seen(self._feed, [absent.row.id for absent in absents])
                comparisons = [
                    absent.comparison
                    if absent.record is None
                    else self._enrichment.settle(absent.record, absent.row, absent.comparison, visit, told)
                    for absent in absents
                    if known.get(absent.row.id) == absent.row
                ]
                if not told.asking:
                    break
                await self._enrichment.ask(told)
            if any(comparison.seen for comparison in comparisons):
                await self._keep(comparisons, generation)
                self._order.learn(f.revision.record.id for f in comparisons if f.revision)

    async def _keep(
        self,
        comparisons: Sequence[Comparison],
        generation: int | None,
        step: Step | None = None,
        note: tuple[str, str] | None = None,
    ) -> None:
        revisions = tuple(f.revision for f in comparisons if f.revision is not None)
        rows = {f.seen.id: f.seen for f in comparisons if f.seen is not None}
        if not (revisions or rows or step):
            return
        seen = tuple(rows.values())
        await self.commit(Commit(self._feed, self._fingerprint, revisions, seen, step, note, generation))

    async def commit(self, commit: Commit) -> None:
        """Store *commit*, waiting for room in the journal as long as it takes."""
        await self.patiently(partial(self._log.commit, commit))

    async def patiently(self, write: Callable[[], Awaitable[None]]) -> None:
        """Do *write*, waiting for room in the journal as long as it takes."""
        attempt = 0
        while True:
            try:
                await write()
            except JournalFull as full:
                attempt += 1
                self._observe(CollectionPaused(self._feed, str(full), full.outputs))
                await asyncio.sleep(0.5 + full_jitter(attempt, base=0.5, cap=15.0, random=random.random))
            else:
                return

    def _report(
        self, part: Slice, records: Sequence[Record], comparisons: Sequence[Comparison], now: datetime
    ) -> None:
        new = sum(comparison.new for comparison in comparisons)
        changed = sum(comparison.changed for comparison in comparisons)
        completed = sum(comparison.completes for comparison in comparisons)
        times = [time_of(record, part.window.start) for record in records]
        start, end = part.window.start - PAD, part.window.end + PAD
        outside = sum(not start <= moment < end for moment in times)
        self._observe(
            PageCollected(
                self._feed,
                part.sweep,
                records=len(records),
                new=new,
                changed=changed,
                repeated=len(records) - new - changed - completed,
                outside=outside,
                completed=completed,
            )
        )
        if part.known is None:
            return
        for moment, comparison in zip(times, comparisons, strict=True):
            if comparison.new and moment in part.known:
                most = max(part.least_late, (now - moment).total_seconds())
                self._observe(RecordLate(self._feed, part.sweep, part.least_late, most))
