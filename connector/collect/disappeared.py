"""Records that left their search: seen in a range of time, but no longer returned for it.

A verdict that was corrected to clean makes a record leave a search for detections without a trace. After
a complete revisit such records are asked for one by one; a state that differs is an update, an unknown
id is an update that says so.
"""

from __future__ import annotations

from collections.abc import Container, Sequence
from dataclasses import dataclass

from connector.collect.enrichment import is_enrichment_pending
from connector.collect.revisions import Comparison, compare, disappearance
from connector.errors import BadQuery, SourceError
from connector.facts import RecordDisappeared
from connector.interfaces import Clock, FeedLog, Lookup, Observe
from connector.model import Feed, Priority, Record, Seen, Window

_CHUNK = 1000

_TRIES = 8
"""How often in a row look-ups may fail, each time after a search that worked, before they are given up."""


@dataclass(frozen=True, slots=True)
class Disappeared:
    """A seen row that did not come back, its record where the API still knows it, and what became of it."""

    row: Seen
    record: Record | None
    comparison: Comparison

    @property
    def matters(self) -> bool:
        """Whether there is anything to store or to ask for."""
        return self.comparison.seen is not None or (
            self.record is not None and is_enrichment_pending(self.row)
        )


class DisappearedRecords:
    """Looks up what a complete revisit did not return."""

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
        self._learned: dict[str, Disappeared] = {}
        self._failures = 0

    async def settle(self, window: Window, returned: Container[str]) -> tuple[Disappeared, ...]:
        """Return the rows seen in *window* whose ids are not in *returned*, with what became of them.

        Raises ``SourceError`` when a look-up fails: the caller comes again, and what was learned by then is
        not asked again. When that keeps happening although the search itself works, the records in question
        are reported and left to the next revisit.
        """
        settled: list[Disappeared] = []
        after = ""
        while rows := await self._log.seen_in(self._feed, window, after=after, limit=_CHUNK):
            after = rows[-1].id
            settled.extend([await self._known(row, window) for row in rows if row.id not in returned])
        self._failures = 0
        self._learned.clear()
        return tuple(absent for absent in settled if absent.matters)

    async def _known(self, row: Seen, window: Window) -> Disappeared:
        learned = self._learned.get(row.id)
        if learned is None or learned.row != row:
            learned = self._learned[row.id] = await self._ask(row, window)
        return learned

    async def _ask(self, row: Seen, window: Window) -> Disappeared:
        try:
            record = await self._lookup.get(row.id, Priority.REVISIT)
        except SourceError as error:
            self._failures += not isinstance(error, BadQuery)
            if not isinstance(error, BadQuery) and self._failures < _TRIES:
                raise
            self._observe(RecordDisappeared(self._feed, "unknown"))
            return Disappeared(row, None, Comparison())
        now = self._clock()
        if record is None:
            comparison = disappearance(row, feed=self._feed, window=window, collected=now)
            self._observe(RecordDisappeared(self._feed, "gone" if comparison.revision else "same"))
            return Disappeared(row, None, comparison)
        comparison = compare(
            record, row, feed=self._feed, window=window, collected=now, watched=self._watched
        )
        self._observe(RecordDisappeared(self._feed, "changed" if comparison.revision else "same"))
        return Disappeared(row, record, comparison)
