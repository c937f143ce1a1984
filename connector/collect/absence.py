"""Records that left their search: seen in a range of time, but no longer returned for it.

A verdict that was corrected to clean makes a record leave a search for detections without a trace. After
a complete revisit such records are asked for one by one; a state that differs is an update, an unknown
id is an update that says so.
"""

from __future__ import annotations

from collections.abc import Sequence

from connector.collect.revisions import Finding, compare, vanish
from connector.errors import SourceError
from connector.facts import RecordLeft
from connector.interfaces import Clock, FeedLog, Lookup, Observe
from connector.model import Feed, Priority, Seen, Window

_CHUNK = 500


class Absences:
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

    async def settle(self, window: Window, returned: frozenset[str]) -> tuple[tuple[Seen, Finding], ...]:
        """Return the rows seen in *window* whose ids are not in *returned*, with what became of them.

        A record whose look-up fails is reported and left to the next revisit.
        """
        settled: list[tuple[Seen, Finding]] = []
        after = ""
        while rows := await self._log.sighted(self._feed, window, after=after, limit=_CHUNK):
            after = rows[-1].id
            absent = (row for row in rows if row.id not in returned)
            settled.extend([(row, await self._ask(row, window)) for row in absent])
        return tuple((row, finding) for row, finding in settled if finding.seen is not None)

    async def _ask(self, row: Seen, window: Window) -> Finding:
        try:
            record = await self._lookup.get(row.id, Priority.REVISIT)
        except SourceError:
            self._observe(RecordLeft(self._feed, "unknown"))
            return Finding()
        now = self._clock()
        if record is None:
            finding = vanish(row, feed=self._feed, window=window, collected=now)
            self._observe(RecordLeft(self._feed, "gone" if finding.revision else "same"))
            return finding
        finding = compare(record, row, feed=self._feed, window=window, collected=now, watched=self._watched)
        self._observe(RecordLeft(self._feed, "changed" if finding.revision else "same"))
        return finding
