"""``ResultOrder``: in which order of time a search returns its records, and what of its window it left.

The API documents no order, so none is assumed: all records of the search so far must be in order of time,
oldest or newest first, and inside the window. Then a search that ends early is continued behind its last
record instead of being repeated. Otherwise nothing is known about what is left.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from connector.model import Record, Window

_SECOND = timedelta(seconds=1)
_PAD = 2 * _SECOND
"""Requests ask one second beyond both ends of their window; a record that far outside is as asked."""

_EVIDENCE = 20
"""Records below which an order may be chance: that many are in order by chance in one of 10^18 searches."""

_TO_THE_SECOND = len("2026-11-01T00:00:00")
_USUAL = frozenset({"Z", "+00:00", ""})
_FRACTION = re.compile(r"\.\d+(?:Z|\+00:00)?")
"""What may follow the seconds: UTC, and a fraction before it. ``ts``, without a zone, is UTC too."""


class ResultOrder:
    """The order of one search's records in *window*, page by page."""

    def __init__(self, window: Window) -> None:
        self._window = window
        self._oldest_first = self._newest_first = True
        self._count = 0
        self._first = self._last = ""
        self._ids: list[str] = []
        self.is_disordered = False

    def add(self, records: Sequence[Record]) -> None:
        """Note the next *records*, in the order of the response."""
        if not records or not (self._oldest_first or self._newest_first):
            return
        times = [_second(record) for record in records]
        rising, falling = sorted(times), sorted(times, reverse=True)
        self.is_disordered = times not in (rising, falling)
        known = "" not in (rising[0], rising[-1])
        oldest_first = self._oldest_first and known and times == rising and self._follow(times, oldest=True)
        newest_first = self._newest_first and known and times == falling and self._follow(times, oldest=False)
        if known and not (oldest_first or newest_first):
            # Where rows moved on between two pages, some repeat: only others tell of disorder.
            before = set(self._ids)
            others = [time for time, record in zip(times, records, strict=True) if record.id not in before]
            up = self._oldest_first and others == sorted(others) and self._follow(others, oldest=True)
            down = self._newest_first and others == sorted(others, reverse=True)
            self.is_disordered |= not (up or (down and self._follow(others, oldest=False)))
        self._oldest_first, self._newest_first = oldest_first, newest_first
        self._first, self._last = self._first or times[0], times[-1]
        self._ids = [record.id for record in records]
        self._count += len(times)

    def _follow(self, times: Sequence[str], *, oldest: bool) -> bool:
        """Whether the first of *times*, if there is one, may follow the last record before it."""
        if not times or not self._last:
            return True
        return self._last <= times[0] if oldest else self._last >= times[0]

    def left(self) -> Window | None:
        """What of the window may hold records that did not come yet; ``None`` where that cannot be told.

        The second of the last record belongs to it: more records may share that second. It is always
        shorter than the window.
        """
        if self._oldest_first == self._newest_first or self._count < _EVIDENCE:
            return None  # neither, or all records of one second
        start, end = self._window.start, self._window.end
        first, last = _moment(self._first), _moment(self._last)
        if first is None or last is None:
            return None
        if min(first, last) < start - _PAD or max(first, last) >= end + _PAD:
            return None  # the API selects by another time than this one
        try:
            left = Window(start, last + _SECOND) if self._newest_first else Window(last, end)
        except ValueError:
            return None  # the last record lies in the second beyond the window
        return left if left.length < self._window.length else None


def _second(record: Record) -> str:
    """The record's time in UTC to the second, as text; empty where it does not say."""
    text = record.scanned
    if not isinstance(text, str):
        return ""
    zone = text[_TO_THE_SECOND:]
    return text[:_TO_THE_SECOND] if zone in _USUAL or _FRACTION.fullmatch(zone) else ""


def _moment(second: str) -> datetime | None:
    try:
        return datetime.fromisoformat(second).replace(tzinfo=UTC)
    except ValueError:
        return None
