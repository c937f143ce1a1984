"""The server's clock, learned from its answers, so that no window reaches into what is not there yet."""

from __future__ import annotations

import asyncio
from collections import deque
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from statistics import median

from connector.facts import ClockSkewed
from connector.interfaces import Clock, Observe

_SAMPLES = 9
_ROUNDING = 0.5
"""A ``Date`` header drops fractions of a second: half a second on average."""

_REPORTED_CHANGE = 1.0


class ServerClock:
    """Median of what recent answers said, advanced by the monotonic clock.

    Only answers that surely came from the API itself may be given to ``learn``: a cache or a portal in
    between would bring its own time.
    """

    def __init__(self, account: str, clock: Clock, observe: Observe) -> None:
        self._account = account
        self._clock = clock
        self._observe = observe
        self._offsets: deque[float] = deque(maxlen=_SAMPLES)
        self._reported: float | None = None

    @property
    def known(self) -> bool:
        """Whether any answer told the time so far."""
        return bool(self._offsets)

    @property
    def skew(self) -> float:
        """Seconds by which the server's clock is ahead of the local one; 0 before the first answer."""
        return (self.now() - self._clock()).total_seconds() if self._offsets else 0.0

    def now(self) -> datetime:
        """The time at the server; the local time before the first answer."""
        if not self._offsets:
            return self._clock()
        return datetime.fromtimestamp(_elapsed() + median(self._offsets), UTC)

    def learn(self, date: str | None, seconds: float) -> None:
        """Take the ``Date`` of an answer whose exchange took *seconds*."""
        moment = _read(date)
        if moment is None:
            return
        # The header was written somewhere between sending and now; the middle is the best guess.
        self._offsets.append(moment.timestamp() + _ROUNDING + seconds / 2 - _elapsed())
        skew = self.skew
        if self._reported is None or abs(skew - self._reported) >= _REPORTED_CHANGE:
            self._reported = skew
            self._observe(ClockSkewed(self._account, skew))

    def ahead(self, moment: datetime) -> timedelta:
        """How far *moment* lies in the server's future; never negative, nothing while it is unknown."""
        return max(timedelta(0), moment - self.now()) if self._offsets else timedelta(0)


def _elapsed() -> float:
    return asyncio.get_running_loop().time()


def _read(date: str | None) -> datetime | None:
    try:
        moment = parsedate_to_datetime(date or "")
    except (TypeError, ValueError, IndexError, OverflowError):
        return None
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment
