"""One slice, from the API into the journal: page by page, durable as it goes.

The checkpoint moves in the transaction that holds the slice's last page, or alone where there is none.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from datetime import datetime

from connector.collect.revisions import PAD, Finding, compare, time_of
from connector.errors import JournalFull
from connector.facts import CollectionPaused, PageCollected, RecordLate
from connector.interfaces import Clock, Enricher, FeedLog, Observe, Source
from connector.model import Body, Commit, Feed, Page, Query, Record, Revision, Seen, Step, Window
from connector.net.backoff import full_jitter

_PEEK = 0.05
"""Seconds to wait for the walk's end before a page is stored without the checkpoint."""


@dataclass(frozen=True, slots=True)
class Slice:
    """One part of a sweep to walk.

    *window* is asked; *step* is the checkpoint's move when it is complete (``None``: the caller moves it).
    What lies before *read_again_before* was read already, *least_late* seconds after its time at the
    earliest: a record found new there came late.
    """

    sweep: str
    window: Window
    step: Step | None
    query: Query
    read_again_before: datetime | None = None
    least_late: float = 0.0


@dataclass(frozen=True, slots=True)
class Walked:
    """What a complete walk returned: the number of records and their ids."""

    records: int
    ids: frozenset[str]


class Walker:
    """Walks slices of one feed. One comparison at a time, however many sweeps run."""

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
    ) -> None:
        self._feed = feed
        self._fingerprint = fingerprint
        self._source = source
        self._log = log
        self._watched = tuple(watched)
        self._observe = observe
        self._clock = clock
        self._enricher = enricher
        self._comparing = asyncio.Lock()

    async def walk(self, part: Slice) -> Walked:
        """Read all of *part* and store it; returns when the checkpoint is durable.

        Raises ``SourceError``: pages read so far are durable then, the checkpoint is where it was.
        """
        records, ids = 0, set[str]()
        async with aclosing(self._source.search(part.query, part.window)) as pages:
            page = await anext(pages, None)
            if page is None and part.step is not None:
                await self.commit(Commit(self._feed, self._fingerprint, step=part.step))
            while page is not None:
                records += len(page.records)
                ids.update(record.id for record in page.records)
                page = await self._store(part, page, pages)
        return Walked(records, frozenset(ids))

    async def _store(self, part: Slice, page: Page, pages: AsyncGenerator[Page, None]) -> Page | None:
        """Store *page* while the next one is fetched; the last takes the checkpoint along."""
        following = asyncio.ensure_future(anext(pages, None))
        try:
            await asyncio.wait({following}, timeout=_PEEK)
            last = following.done() and following.exception() is None and following.result() is None
            await self._compare(part, page.records, part.step if last else None)
            ahead = await following
            if ahead is None and not last and part.step is not None:
                await self.commit(Commit(self._feed, self._fingerprint, step=part.step))
        finally:
            if not following.done():
                following.cancel()
                await asyncio.gather(following, return_exceptions=True)
        return ahead

    async def _compare(self, part: Slice, records: Sequence[Record], step: Step | None) -> None:
        async with self._comparing:
            now = self._clock()
            known = dict(await self._log.seen(self._feed, [record.id for record in records]))
            findings = self._findings(part.window, records, known, now)
            revisions = await self._enriched([f.revision for f in findings if f.revision is not None])
            rows = {f.seen.id: f.seen for f in findings if f.seen is not None}
            await self.commit(Commit(self._feed, self._fingerprint, revisions, tuple(rows.values()), step))
        self._report(part, records, findings, now)

    def _findings(
        self, window: Window, records: Sequence[Record], known: dict[str, Seen], now: datetime
    ) -> list[Finding]:
        findings = []
        for record in records:
            finding = compare(
                record,
                known.get(record.id),
                feed=self._feed,
                window=window,
                collected=now,
                watched=self._watched,
            )
            if finding.seen is not None:
                known[record.id] = finding.seen
            findings.append(finding)
        return findings

    async def _enriched(self, revisions: Sequence[Revision]) -> tuple[Revision, ...]:
        if self._enricher is None or not revisions:
            return tuple(revisions)
        found = await self._enricher.enrich([revision.record for revision in revisions])
        return tuple(_with(revision, found.get(revision.record.id)) for revision in revisions)

    async def adopt(self, settled: Sequence[tuple[Seen, Finding]]) -> None:
        """Store what look-ups found of seen rows, unless another sweep changed a row meanwhile."""
        async with self._comparing:
            known = await self._log.seen(self._feed, [row.id for row, _ in settled])
            findings = [finding for row, finding in settled if known.get(row.id) == row]
            revisions = tuple(f.revision for f in findings if f.revision is not None)
            rows = tuple(f.seen for f in findings if f.seen is not None)
            if rows:
                await self.commit(Commit(self._feed, self._fingerprint, revisions, rows))

    async def commit(self, commit: Commit) -> None:
        """Store *commit*, waiting for room in the journal as long as it takes."""
        attempt = 0
        while True:
            try:
                await self._log.commit(commit)
            except JournalFull as full:
                attempt += 1
                self._observe(CollectionPaused(self._feed, str(full), full.outputs))
                await asyncio.sleep(0.5 + full_jitter(attempt, base=0.5, cap=15.0, random=random.random))
            else:
                return

    def _report(
        self, part: Slice, records: Sequence[Record], findings: Sequence[Finding], now: datetime
    ) -> None:
        new = sum(finding.new for finding in findings)
        changed = sum(finding.revision is not None for finding in findings) - new
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
                repeated=len(records) - new - changed,
                outside=outside,
            )
        )
        if part.read_again_before is None:
            return
        for moment, finding in zip(times, findings, strict=True):
            if finding.new and moment < part.read_again_before:
                most = max(part.least_late, (now - moment).total_seconds())
                self._observe(RecordLate(self._feed, part.sweep, part.least_late, most))


def _with(revision: Revision, found: Body | None) -> Revision:
    if not found:
        return revision
    return replace(revision, enrichment=found)
