"""Ingests one slice of a feed: fetch its pages, compare each record with what was seen, store what is new.

Pages become durable one by one. The checkpoint moves in the transaction that holds the slice's last page, or
in a transaction of its own where the slice is empty. Several sweeps of a feed ingest at the same time:
``KeyedLock`` lets one of them at a record at a time, ``ReadOrder`` keeps a page that was fetched earlier from
undoing what a later one found.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager, contextmanager
from datetime import datetime, timedelta
from typing import Protocol

from connector.broadcast import Broadcast
from connector.collect.disappeared import Disappeared
from connector.collect.enrichment import Enrichment, PageEnrichment, Visit
from connector.collect.feed_writer import FeedWriter
from connector.collect.id_hashes import IdHashSet
from connector.collect.partial_slices import Notes, PartialSlices, SliceNotes
from connector.collect.revisions import (
    PAD,
    SLACK,
    Comparison,
    api_id,
    compare,
    is_other_message,
    known_time_of,
    message_of,
    redelivery,
    under_own_id,
)
from connector.facts import PageCollected, RecordIdReused, RecordLate
from connector.interfaces import Clock, Enricher, FeedLog, Observe, Source
from connector.model import Page, Quarantined, Query, Record, Seen, Step, Window
from connector.moments import known_moment
from connector.values import dataclass


class ReadOrder:
    """Numbers the reads of one feed by their start, and remembers records that a later read found changed.

    A page that was fetched before another read found a newer state of a record must not take that back.
    """

    def __init__(self) -> None:
        self._last = 0
        self._running: set[int] = set()
        self._changed: dict[str, int] = {}

    @contextmanager
    def reading(self) -> Iterator[int]:
        """Number one read, for as long as the block runs."""
        number = self._next()
        self._running.add(number)
        try:
            yield number
        finally:
            self._running.remove(number)
            oldest = min(self._running, default=self._last)
            self._changed = {record: at for record, at in self._changed.items() if at > oldest}

    def note_changed(self, ids: Iterable[str], number: int | None = None) -> None:
        """Note that read *number* (``None``: a look-up just now) found the records *ids* new or changed."""
        at = self._next() if number is None else number
        if any(running < at for running in self._running):
            self._changed.update((record, max(at, self._changed.get(record, 0))) for record in ids)

    def is_overtaken(self, record_id: str, number: int) -> bool:
        """Whether a read that started after read *number* has found a newer state of the record."""
        return self._changed.get(record_id, 0) > number

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


_LAST_PAGE_WAIT = 0.05
"""Seconds to wait for the next page before the present one is stored without the checkpoint. The end of a
search is known at once (no cursor), so this only covers the scheduling of the next request; a second page on
a slow network must not delay the first."""


class SliceRecorder(Protocol):
    """Counts what became of the records of a slice; a backfill reports it."""

    def redeliver(self, records: Sequence[Record]) -> frozenset[str]:
        """Return the ids of *records* to deliver although nothing about them is new."""
        ...

    def record(
        self,
        records: Sequence[Record],
        comparisons: Sequence[Comparison],
        step: Step | None,
        left: Window | None = None,
    ) -> tuple[str, str]:
        """Count a page; return the key and value to make durable with it.

        *left* is what remains of the slice's time where the slice may be continued behind this page.
        """
        ...


@dataclass(frozen=True, slots=True)
class Slice:
    """One part of a sweep to read.

    Args:
        sweep: its name.
        window: the time to ask for.
        step: the checkpoint's move once the slice is complete; ``None``: the caller moves it.
        query: what to ask.
        known: time that this sweep's feed has read before: a record that is new there came late.
        least_late: how late such a record is at least, in seconds.
        recorder: counts every page.
        task: what else two reads of the window have in common if one continues the other.
    """

    sweep: str
    window: Window
    step: Step | None
    query: Query
    known: Window | None = None
    least_late: float = 0.0
    recorder: SliceRecorder | None = None
    task: str = ""


@dataclass(frozen=True, slots=True)
class SliceResult:
    """What a complete slice returned: the number of records, their ids, and when its first page was read."""

    records: int
    ids: IdHashSet
    began: datetime


class SliceIngester:
    """Ingests slices of one feed. However many sweeps run, a record is compared by one of them at a time."""

    def __init__(
        self,
        source: Source,
        log: FeedLog,
        writer: FeedWriter,
        partials: PartialSlices,
        *,
        watched: Sequence[str],
        observe: Observe,
        clock: Clock,
        enricher: Enricher | None = None,
        ages: Sequence[timedelta] = (),
    ) -> None:
        """*ages* are those of revisits: enrichment that is missing is asked for again at each."""
        self._feed = writer.feed
        self._source = source
        self._log = log
        self._writer = writer
        self._partials = partials
        self._watched = tuple(watched)
        self._observe = observe
        self._clock = clock
        self._enrichment = Enrichment(enricher, ages)
        self._record_locks = KeyedLock()
        self._order = ReadOrder()

    async def ingest(self, part: Slice) -> SliceResult:
        """Read all of *part*, or what is left of it, and store it; returns when the checkpoint is durable.

        Raises ``SourceError``: pages read so far are durable then, the checkpoint is where it was.
        """
        notes = await self._partials.begin(
            part.sweep, part.window, self._clock(), task=part.task, keeps_ids=part.recorder is None
        )
        with self._order.reading() as number:
            async with aclosing(self._source.search(part.query, part.window, notes.position)) as pages:
                page = await anext(pages, None)
                if page is None and part.step is not None:
                    await self._move_checkpoint(part, part.step, notes)
                while page is not None:
                    page = await self._store_while_fetching(part, page, pages, number, notes)
        return SliceResult(notes.records, notes.ids, notes.began)

    async def _store_while_fetching(
        self, part: Slice, page: Page, pages: AsyncGenerator[Page, None], number: int, notes: SliceNotes
    ) -> Page | None:
        """Store *page* while the next one is fetched; the last page takes the checkpoint along."""
        following = asyncio.ensure_future(anext(pages, None))
        try:
            await asyncio.wait({following}, timeout=_LAST_PAGE_WAIT)
            is_last = following.done() and following.exception() is None and following.result() is None
            await self._store(part, page, number, notes, is_last=is_last)
            next_page = await following
            if next_page is None and not is_last and part.step is not None:
                await self._move_checkpoint(part, part.step, notes)
        finally:
            following.cancel()
            # Also where it is done: asyncio reports an exception that was never retrieved as lost.
            await asyncio.gather(following, return_exceptions=True)
        return next_page

    async def _move_checkpoint(self, part: Slice, step: Step, notes: SliceNotes) -> None:
        key_value = part.recorder.record((), (), step) if part.recorder else None
        await self._writer.commit(
            generation=self._writer.generation, step=step, key_value=key_value, notes=notes.completion()
        )
        notes.stored()

    async def _store(self, part: Slice, page: Page, number: int, notes: SliceNotes, *, is_last: bool) -> None:
        """Compare the records of a page with what was seen and make the outcome durable."""
        enrichment, listed = PageEnrichment(), page.listed
        step = part.step if is_last else None
        async with self._record_locks.hold([record.id for record in listed]):
            visit, generation = Visit(self._feed, part.window, self._clock()), self._writer.generation
            unchanged, known = await self._recognise(part, listed)
            page = page.without(unchanged)
            records, messages, reused = _tell_apart(page.records, known)
            if reused:
                known.update(await self._log.seen(self._feed, [record.id for record in reused]))
            redeliver = part.recorder.redeliver(records) if part.recorder else frozenset[str]()
            while True:
                overtaken = {record.id for record in records if self._order.is_overtaken(record.id, number)}
                comparisons = self._compare(visit, records, messages, known, enrichment, redeliver, overtaken)
                if not enrichment.pending:
                    break
                await self._enrichment.fetch(enrichment)
                visit, generation = Visit(self._feed, part.window, self._clock()), self._writer.generation
                known = dict(await self._log.seen(self._feed, [record.id for record in records]))
            same = [record for record in listed if record.id in unchanged]
            notes.take([record.id for record in (*same, *records)])
            noted: Notes = ()
            if step is not None:
                noted = notes.completion()
            elif not is_last:
                stores = bool(page.quarantined) or any(c.revision or c.seen for c in comparisons)
                noted = notes.after(page.position, quiet=not stores)
            key_value = None
            if part.recorder:
                left = page.position.left if noted and page.position else None
                key_value = part.recorder.record([*same, *records], comparisons, step, left)
            await self._commit(comparisons, generation, step, key_value, page.quarantined, noted)
            if noted:
                notes.stored()
            self._order.note_changed((c.revision.record.id for c in comparisons if c.revision), number)
        self._report(part, same, records, comparisons, visit.at)
        for record in reused:
            if any(c.new and c.revision and c.revision.record.id == record.id for c in comparisons):
                self._observe(RecordIdReused(self._feed, api_id(record.id)))

    async def _recognise(
        self, part: Slice, listed: Sequence[Record]
    ) -> tuple[Collection[str], dict[str, Seen]]:
        """The ids of records that are known and need no comparison, and what was seen of the others."""
        marks = {record.id: record.mark for record in listed}
        if len(marks) < len(listed):  # several under one id: which of them is known?
            marks = dict.fromkeys(marks, b"")
        if part.recorder:
            marks.update(dict.fromkeys(part.recorder.redeliver(listed), b""))
        within = Window(part.window.start - PAD, part.window.end + PAD)
        unchanged, known = await self._log.recognise(self._feed, marks, within, part.window.end - SLACK)
        return unchanged, dict(known)

    def _compare(
        self,
        visit: Visit,
        records: Sequence[Record],
        messages: Sequence[bytes],
        known: dict[str, Seen],
        enrichment: PageEnrichment,
        redeliver: frozenset[str],
        overtaken: Collection[str],
    ) -> list[Comparison]:
        """Compare *records* in order; *known* is updated, so that a record that repeats is compared once."""
        comparisons, left = [], set(redeliver)
        for record, message in zip(records, messages, strict=True):
            row = known.get(record.id)
            comparison = compare(
                record,
                row,
                feed=self._feed,
                window=visit.window,
                collected=visit.at,
                watched=self._watched,
                message=message,
            )
            if row is not None and record.id in overtaken:
                comparison = Comparison()
            if row is not None and comparison.revision is None and record.id in left:
                comparison = redelivery(record, row, comparison, feed=self._feed, collected=visit.at)
            left.discard(record.id)
            comparison = self._enrichment.apply(record, row, comparison, visit, enrichment)
            if comparison.seen is not None:
                known[record.id] = comparison.seen
            comparisons.append(comparison)
        return comparisons

    async def store_disappeared(self, window: Window, rows: Sequence[Disappeared]) -> None:
        """Store what look-ups found out about seen rows, unless another sweep changed a row meanwhile."""
        enrichment = PageEnrichment()
        async with self._record_locks.hold(looked_up.row.id for looked_up in rows):
            while True:
                visit, generation = Visit(self._feed, window, self._clock()), self._writer.generation
                known = await self._log.seen(self._feed, [looked_up.row.id for looked_up in rows])
                comparisons = [
                    looked_up.comparison
                    if looked_up.record is None
                    else self._enrichment.apply(
                        looked_up.record, looked_up.row, looked_up.comparison, visit, enrichment
                    )
                    for looked_up in rows
                    if known.get(looked_up.row.id) == looked_up.row
                ]
                if not enrichment.pending:
                    break
                await self._enrichment.fetch(enrichment)
            if any(comparison.seen for comparison in comparisons):
                await self._commit(comparisons, generation)
                self._order.note_changed(c.revision.record.id for c in comparisons if c.revision)

    async def _commit(
        self,
        comparisons: Sequence[Comparison],
        generation: int | None,
        step: Step | None = None,
        key_value: tuple[str, str] | None = None,
        quarantined: tuple[Quarantined, ...] = (),
        notes: Notes = (),
    ) -> None:
        revisions = tuple(c.revision for c in comparisons if c.revision is not None)
        rows = {c.seen.id: c.seen for c in comparisons if c.seen is not None}
        if not (revisions or rows or step or quarantined or notes):
            return
        await self._writer.commit(
            generation=generation,
            revisions=revisions,
            seen=tuple(rows.values()),
            step=step,
            key_value=key_value,
            quarantined=quarantined,
            notes=notes,
        )
        for revision in revisions:
            revision.record.forget_body()

    def _report(
        self,
        part: Slice,
        same: Sequence[Record],
        records: Sequence[Record],
        comparisons: Sequence[Comparison],
        now: datetime,
    ) -> None:
        revised = [comparison for comparison in comparisons if comparison.revision is not None]
        new = sum(comparison.new for comparison in revised)
        changed = sum(comparison.changed for comparison in revised) if new < len(revised) else 0
        completed = sum(comparison.completes for comparison in revised) if new < len(revised) else 0
        times = [known_time_of(record) for record in records]
        start, end = part.window.start - PAD, part.window.end + PAD
        outside = sum(moment is not None and not start <= moment < end for moment in times)
        for said, count in Counter(record.scanned for record in same).items():
            moment = known_moment(said) if isinstance(said, str) else None
            outside += count if moment is not None and not start <= moment < end else 0
        self._observe(
            PageCollected(
                self._feed,
                part.sweep,
                records=len(same) + len(records),
                new=new,
                changed=changed,
                repeated=len(same) + len(records) - new - changed - completed,
                outside=outside,
                completed=completed,
            )
        )
        if part.known is None:
            return
        for moment, comparison in zip(times, comparisons, strict=True):
            if comparison.new and moment is not None and moment in part.known:
                most = max(part.least_late, (now - moment).total_seconds())
                self._observe(RecordLate(self._feed, part.sweep, part.least_late, most))


def _tell_apart(
    records: Sequence[Record], known: Mapping[str, Seen]
) -> tuple[Sequence[Record], Sequence[bytes], Sequence[Record]]:
    """Give a record whose id belongs to another message an id of its own.

    Returns all records, what tells each from other messages, and those with another id.
    """
    owners: dict[str, bytes] = {row.id: row.message for row in known.values()}
    messages = [message_of(record.head) for record in records]
    distinct: list[Record] = []
    reused: list[Record] = []
    for record, message in zip(records, messages, strict=True):
        owner = owners.setdefault(record.id, message)
        if is_other_message(owner, message):
            reused.append(under_own_id(record, message))
            distinct.append(reused[-1])
        else:
            distinct.append(record)
    return distinct, messages, reused
