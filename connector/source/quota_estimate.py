"""How fast everybody else uses up the API's quota, judged by how it shrinks between our own answers.

Cloudflare counts per user: a dashboard, another program, a script. Whoever makes the request too many has
all of them blocked for minutes, so what others are about to need is not ours to take.
"""

from __future__ import annotations

from dataclasses import dataclass

from connector.source.ratelimit_headers import Remaining

_SAME_WINDOW = 2.0
"""Seconds by which the end of one window may seem to move: it is told in whole seconds."""

_MEMORY = 15.0
"""Seconds that the estimate of before counts for, until the present window says more."""

_CAUTION = 1.1
_LEAST = 0.02
"""Share of what is left that is taken in any case: nobody else can push a live feed out altogether."""


@dataclass(frozen=True, slots=True)
class _Reading:
    left: int
    spent: int
    at: float
    reset: float


class QuotaEstimate:
    """Watches one limit; see the module."""

    def __init__(self) -> None:
        self._first: _Reading | None = None
        self._before = 0.0
        self._rate = 0.0

    def our_share(self, item: Remaining, *, spent: int, now: float) -> float:
        """Return how many requests until the reset are ours, having *spent* so many in all so far."""
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
