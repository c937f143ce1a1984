"""Records that disappeared from their search: seen in a range of time, but no longer returned for it.

A verdict that is corrected to clean makes a record leave a search for detections without a trace. After a
complete revisit such records are looked up one by one: a state that differs is an update, an unknown id is
an update that says so.
"""

from __future__ import annotations

from collections.abc import Container, Sequence
from dataclasses import dataclass

from connector.collect.enrichment import is_enrichment_pending
from connector.collect.revisions import (
    Comparison,
    api_id,
    compare,
    disappearance,
    is_other_message,
    message_of,
)
from connector.errors import BadQuery, SourceError
from connector.facts import RecordDisappeared
from connector.interfaces import Clock, FeedLog, Lookup, Observe
from connector.model import Feed, Priority, Record, Seen, Window

_CHUNK = 1000
"""Seen rows read from the journal at once: as many as a page holds records."""

_MOST_FAILURES = 8
"""Look-ups that may fail in a row, each after a search that worked, before the records are left to the next
revisit. With the waits between attempts that is about five minutes, longer than the API's short outages."""


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
    """Looks up the records that a complete revisit did not return."""

    def __init__(
        self,
        feed: Feed,
        lookup: Lookup,
        log: FeedLog,
        *,
        watched: Sequence[str],
        observe: Observe,
        clock: Clock,
    ) -> None:
        self._feed = feed
        self._lookup = lookup
        self._log = log
        self._watched = tuple(watched)
        self._observe = observe
        self._clock = clock
        self._looked_up: dict[str, Disappeared] = {}
        self._failures = 0

    async def look_up(self, window: Window, returned: Container[str]) -> tuple[Disappeared, ...]:
        """Return the rows seen in *window* whose ids are not in *returned*, with their outcome.

        Raises ``SourceError`` when a look-up fails: the caller repeats the call, and what was looked up by
        then is not asked again. When that keeps happening although the search itself works, the records in
        question are reported and left to the next revisit.
        """
        rows: list[Disappeared] = []
        after = ""
        while chunk := await self._log.seen_in(self._feed, window, after=after, limit=_CHUNK):
            after = chunk[-1].id
            rows.extend([await self._once(row, window) for row in chunk if row.id not in returned])
        self._failures = 0
        self._looked_up.clear()
        return tuple(row for row in rows if row.matters)

    async def _once(self, row: Seen, window: Window) -> Disappeared:
        known = self._looked_up.get(row.id)
        if known is None or known.row != row:
            known = self._looked_up[row.id] = await self._look_up(row, window)
        return known

    async def _look_up(self, row: Seen, window: Window) -> Disappeared:
        try:
            record = await self._lookup.get(api_id(row.id), Priority.REVISIT)
        except SourceError as error:
            self._failures += not isinstance(error, BadQuery)
            if not isinstance(error, BadQuery) and self._failures < _MOST_FAILURES:
                raise
            self._observe(RecordDisappeared(self._feed, "unknown"))
            return Disappeared(row, None, Comparison())
        now = self._clock()
        if record is None:
            comparison = disappearance(row, feed=self._feed, window=window, collected=now)
            self._observe(RecordDisappeared(self._feed, "gone" if comparison.revision else "same"))
            return Disappeared(row, None, comparison)
        if is_other_message(row.message, message_of(record.body)):
            self._observe(RecordDisappeared(self._feed, "unknown"))
            return Disappeared(row, None, Comparison())
        record = Record(row.id, record.body)
        comparison = compare(
            record, row, feed=self._feed, window=window, collected=now, watched=self._watched
        )
        self._observe(RecordDisappeared(self._feed, "changed" if comparison.revision else "same"))
        return Disappeared(row, record, comparison)
