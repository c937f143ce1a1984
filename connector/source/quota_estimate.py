"""Estimates how fast other clients of the same credential use the API quota.

Cloudflare counts requests per user, over dashboard, scripts and this connector alike, and blocks
all of them for five minutes when the quota is exceeded. The estimate comes from how ``Ratelimit`` shrinks
between our own responses; what others are likely to need before the reset is left to them.
"""

from __future__ import annotations

from connector.source.ratelimit_headers import Remaining
from connector.values import dataclass

_SAME_WINDOW = 2.0
"""Seconds by which the end of a window may appear to move: the header counts whole seconds."""

_MEMORY = 15.0
"""Weight, in seconds, of the previous window's estimate against the measurements of the current one."""

_CAUTION = 1.1
"""Safety factor on the estimate: a short block of everyone costs more than a few unused requests."""

_LEAST = 0.02
"""Share of the remaining quota that is always ours, so that other clients cannot starve a live feed."""


@dataclass(frozen=True, slots=True)
class _Reading:
    left: int
    spent: int
    at: float
    reset: float


class QuotaEstimate:
    """The estimate for one limit of the ``Ratelimit`` header."""

    def __init__(self) -> None:
        self._first: _Reading | None = None
        self._before = 0.0
        self._rate = 0.0

    def our_share(self, item: Remaining, *, spent: int, now: float) -> float:
        """Return how many requests we may make until the reset; *spent* counts all our requests so far."""
        sight = _Reading(item.requests, spent, now, now + item.seconds)
        first = self._first
        if first is None or abs(sight.reset - first.reset) > _SAME_WINDOW or sight.left > first.left:
            self._first, self._before = sight, self._rate
        else:
            taken = max(0, first.left - sight.left - (spent - first.spent))
            elapsed = now - first.at
            self._rate = (taken + self._before * _MEMORY) / (elapsed + _MEMORY)
        needed = _CAUTION * self._rate * item.seconds
        return max(item.requests * _LEAST, item.requests - needed)
