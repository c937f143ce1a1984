"""Records that disappeared from their search: seen in a range of time, but no longer returned for it.

A verdict that is corrected to clean makes a record leave a search for detections without a trace. After a
complete revisit such records are asked for: a state that differs is an update, an unknown id is an update
that says so. Absent records that lie close together are read by one search without filters; what that does
not return, and what lies alone, is looked up by id. The row remembers that the record left, so that it is
not asked for again until it comes back or the last revisit has the final word.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Container, Iterator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import replace
from operator import attrgetter

from connector.collect.enrichment import is_enrichment_pending
from connector.collect.feed_config import FeedConfig
from connector.collect.revisions import (
    Comparison,
    api_id,
    compare,
    disappearance,
    has_left,
    is_other_message,
    mark_left,
    message_of,
    shares_its_id,
)
from connector.collect.windows import SECOND, whole_second
from connector.errors import BadQuery, SourceError
from connector.facts import RecordDisappeared
from connector.interfaces import Clock, FeedLog, Lookup, Observe, Source
from connector.model import Priority, Query, Record, Seen, Window
from connector.values import dataclass

_TOGETHER = 50
"""Look-ups whose outcome is stored at once: they arrive early, and an interruption repeats no more."""

_MOST_FAILURES = 8
"""Look-ups that may fail in a row, each after a search that worked, before the records are left to the next
revisit. With the waits between attempts that is about five minutes, longer than the API's short outages."""

_MORE_MAIL = 4
"""How many messages there are per record of a filtered search, until a search without filters showed it."""

_FILL = 0.8
"""Share of a page that a search without filters should fill by the estimate: one that is a little low must
not cost a second page."""

_FEWEST, _MOST_FEWEST = 2, 64
"""Absent records for which a search is tried instead of looking up each; the number doubles after every
search that returned none of them, up to the second."""


@dataclass(frozen=True, slots=True)
class Disappeared:
    """A seen row that was not returned again, its record where the API still knows it, and the outcome."""

    row: Seen
    record: Record | None
    comparison: Comparison

    @property
    def matters(self) -> bool:
        """Whether there is anything to store, or enrichment to complete."""
        return self.comparison.seen is not None or (
            self.record is not None and is_enrichment_pending(self.row)
        )


class DisappearedRecords:
    """Asks for the records that a complete revisit did not return."""

    def __init__(
        self,
        config: FeedConfig,
        source: Source,
        lookup: Lookup | None,
        log: FeedLog,
        *,
        observe: Observe,
        clock: Clock,
    ) -> None:
        self._config = config
        self._source = source
        self._lookup = lookup
        self._log = log
        self._observe = observe
        self._clock = clock
        self._query = Query(config.unfiltered, config.query.per_page, Priority.REVISIT)
        self._fewest = _FEWEST
        self._mail_per_second = 0.0
        self._asked: set[str] = set()
        self._failures = 0

    async def look_up(
        self, window: Window, returned: Container[str], *, records: int, final: bool
    ) -> AsyncGenerator[tuple[Disappeared, ...], None]:
        """Yield the rows seen in *window* whose ids are not in *returned*, with their outcome, part by part.

        *records* is how many were returned. *final*: also those that were found to have left before; nothing
        will ask for them again.

        Raises ``SourceError`` when a look-up fails: the caller repeats the call, and what was asked for by
        then is not asked again. When that keeps happening although the search itself works, the records in
        question are reported and left to the next revisit.
        """
        if self._lookup is None and (self._is_unfiltered or not self._config.watched):
            return  # no other request could tell more, or there is nothing to learn
        absent = await self._log.seen_in(self._config.feed, window, without=returned)
        waiting = {
            row.id: row for row in absent if row.id not in self._asked and (final or not has_left(row))
        }
        for rows in self._neighbours(waiting, records / max(1.0, window.length.total_seconds())):
            found = [self._outcome(row, record, window) for row, record in await self._search(rows)]
            for one in found:
                del waiting[one.row.id]
            yield tuple(one for one in found if one.matters)
        if self._lookup is None:
            self._asked.clear()
            return
        settled: list[Disappeared] = []
        for row in waiting.values():
            try:
                settled.append(await self._look_up(row, window, self._lookup))
            except SourceError:
                yield tuple(settled)
                raise
            if len(settled) >= _TOGETHER:
                yield tuple(one for one in settled if one.matters)
                settled = []
        yield tuple(one for one in settled if one.matters)
        self._failures = 0
        self._asked.clear()

    @property
    def _is_unfiltered(self) -> bool:
        return dict(self._config.query.filters) == self._config.unfiltered

    def _neighbours(self, waiting: Mapping[str, Seen], per_second: float) -> Iterator[list[Seen]]:
        """Rows that one page without filters is likely to hold, and that are enough to be worth it.

        *per_second*: records of the filtered search. The estimate of all mail improves while this runs.
        """
        if self._is_unfiltered:
            return  # this very search did not return them
        fewest = 1 if self._lookup is None else self._fewest
        group: list[Seen] = []
        for row in sorted((row for row in waiting.values() if not shares_its_id(row.id)), key=_time):
            mail = self._mail_per_second or _MORE_MAIL * per_second
            if group and (row.time - group[0].time).total_seconds() * mail > _FILL * self._query.per_page:
                if len(group) >= fewest:
                    yield group
                group = []
            group.append(row)
        if len(group) >= fewest:
            yield group

    async def _search(self, rows: Sequence[Seen]) -> list[tuple[Seen, Record]]:
        """Those of *rows* that a search without filters returns, at no more pages than there are rows."""
        span = Window(whole_second(rows[0].time), whole_second(rows[-1].time) + SECOND)
        wanted, most = {row.id: row for row in rows}, len(rows) * self._query.per_page
        found: dict[str, tuple[Seen, Record]] = {}
        read, density = 0, 0.0
        try:
            async with aclosing(self._source.search(self._query, span)) as pages:
                async for page in pages:
                    read += len(page.records)
                    for record in page.records:
                        row = wanted.get(record.id)
                        if row is not None and not is_other_message(row.message, message_of(record.head)):
                            found[row.id] = (row, record)
                    density = max(1, read) / span.length.total_seconds()
                    if len(found) == len(rows) or read >= most:
                        density = max(density, self._mail_per_second)  # there may be more than was read
                        break
        except SourceError:
            # The source reported it. Each record is looked up instead, which has its own way of failing.
            self._fewest = min(2 * self._fewest, _MOST_FEWEST)
            return list(found.values())
        self._mail_per_second = density or self._mail_per_second
        self._fewest = _FEWEST if found else min(2 * self._fewest, _MOST_FEWEST)
        return list(found.values())

    async def _look_up(self, row: Seen, window: Window, lookup: Lookup) -> Disappeared:
        try:
            record = await lookup.get(api_id(row.id), Priority.REVISIT)
        except SourceError as error:
            self._failures += not isinstance(error, BadQuery)
            if not isinstance(error, BadQuery) and self._failures < _MOST_FAILURES:
                raise
            return self._unknown(row)
        if record is None:
            self._asked.add(row.id)
            comparison = disappearance(row, feed=self._config.feed, window=window, collected=self._clock())
            self._report("gone" if comparison.revision else "same")
            return Disappeared(row, None, _marked(row, comparison))
        if is_other_message(row.message, message_of(record.head)):
            return self._unknown(row)
        return self._outcome(row, record, window)

    def _outcome(self, row: Seen, found: Record, window: Window) -> Disappeared:
        """What *found*, the record of *row* as it is now, means."""
        self._asked.add(row.id)
        record = found.renamed(row.id)
        comparison = compare(
            record,
            row,
            feed=self._config.feed,
            window=window,
            collected=self._clock(),
            watched=self._config.watched,
        )
        self._report("changed" if comparison.revision else "same")
        return Disappeared(row, record, _marked(row, comparison))

    def _unknown(self, row: Seen) -> Disappeared:
        self._asked.add(row.id)
        self._report("unknown")
        return Disappeared(row, None, Comparison())

    def _report(self, outcome: str) -> None:
        self._observe(RecordDisappeared(self._config.feed, outcome))


_time = attrgetter("time")


def _marked(row: Seen, comparison: Comparison) -> Comparison:
    """*comparison* of a record that was asked for, with a row that remembers that it left its search."""
    seen = mark_left(comparison.seen or row)
    return comparison if seen == row and comparison.revision is None else replace(comparison, seen=seen)
