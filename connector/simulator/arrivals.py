"""Arrival times: a backlog spread over the past, then a steady rate with jitter."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from connector.simulator.values import SECOND

_JITTER_SHIFT, _UNIT = 40, 1 << 16


class Arrivals:
    """Numbers arrivals from 0; the time of each depends on its number only, not on when it is queried."""

    def __init__(self, key: Callable[[int], int], now: int, backlog: int, span: int, rate: float) -> None:
        self.rate = rate
        self._key = key
        self._start = now - span
        self._span = span
        self._backlog = backlog
        self._since = now
        self._first = backlog
        self._next = backlog

    def backlog(self) -> Iterator[tuple[int, int]]:
        """Yield number and time (microseconds) of every message of the backlog."""
        step = self._span / self._backlog if self._backlog else 0.0
        for index in range(self._backlog):
            yield index, self._start + int((index + self._jitter(index)) * step)

    def due(self, now: int, most: int) -> Iterator[tuple[int, int]]:
        """Yield arrivals until *now* not yielded before; after a long pause only the last *most*."""
        if self.rate <= 0:
            return
        expected = self._first + int((now - self._since) / SECOND * self.rate)
        self._next = max(self._next, expected - most)
        while (at := self._time(self._next)) <= now:
            self._next += 1
            yield self._next - 1, at

    def change_rate(self, now: int, rate: float) -> None:
        """Continue from *now* with another rate; everything due must have been taken."""
        self.rate, self._since, self._first = rate, now, self._next

    def _time(self, index: int) -> int:
        return self._since + int((index - self._first + self._jitter(index)) / self.rate * SECOND)

    def _jitter(self, index: int) -> float:
        return (self._key(index) >> _JITTER_SHIFT) % _UNIT / _UNIT
