"""The API's clock, derived from the ``Date`` header, so that no search window ends in the API's future."""

from __future__ import annotations

import asyncio
from collections import deque
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

from connector.facts import ClockSkewed
from connector.interfaces import Clock, Observe

_SAMPLES = 9
"""Responses the median is taken over: one odd proxy or slow response does not move it."""

_ROUNDING = 0.5
"""A ``Date`` header drops fractions of a second: half a second on average."""

_REPORTED_CHANGE = 1.0
"""Seconds of skew that are worth a fact; ``Date`` has a resolution of a second."""


_EARLIEST, _LATEST = datetime(2025, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC)
"""A ``Date`` outside these is no time: 1970 and year 1 are what a clock that was never set shows."""


class ServerClock:
    """Median offset of recent responses, advanced by the monotonic clock.

    ``learn`` takes only responses of the API itself: a cache or captive portal has its own time.
    """

    def __init__(self, account: str, clock: Clock, observe: Observe) -> None:
        self._account = account
        self._clock = clock
        self._observe = observe
        self._offsets: deque[float] = deque(maxlen=_SAMPLES)
        self._reported: float | None = None

    @property
    def known(self) -> bool:
        """Whether any response carried a time so far."""
        return bool(self._offsets)

    @property
    def skew(self) -> float:
        """Seconds by which the API's clock is ahead of the local one; 0 before the first response."""
        return (self.now() - self._clock()).total_seconds() if self._offsets else 0.0

    def now(self) -> datetime:
        """The time at the API; the local time before the first response."""
        if not self._offsets:
            return self._clock()
        from statistics import median  # noqa: PLC0415, brings fractions and decimals

        return datetime.fromtimestamp(_elapsed() + median(self._offsets), UTC)

    def learn(self, date: str | None, seconds: float) -> None:
        """Learn from the ``Date`` header of a response whose exchange took *seconds*."""
        moment = _read(date)
        if moment is None:
            return
        # The header was written between sending and now; the middle has the smallest error.
        self._offsets.append(moment.timestamp() + _ROUNDING + seconds / 2 - _elapsed())
        skew = self.skew
        if self._reported is None or abs(skew - self._reported) >= _REPORTED_CHANGE:
            self._reported = skew
            self._observe(ClockSkewed(self._account, skew))

    def forget(self) -> None:
        """Forget what was learned, because it contradicts what is known: the next response tells anew."""
        self._offsets.clear()

    def ahead(self, moment: datetime) -> timedelta:
        """How far *moment* lies in the API's future; zero if it does not, or while the clock is unknown."""
        return max(timedelta(0), moment - self.now()) if self._offsets else timedelta(0)


def _elapsed() -> float:
    return asyncio.get_running_loop().time()


def _read(date: str | None) -> datetime | None:
    try:
        moment = parsedate_to_datetime(date or "")
    except (TypeError, ValueError, IndexError, OverflowError):
        return None
    moment = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment
    return moment if _EARLIEST <= moment < _LATEST else None
