"""The request quota: a limit per window and credential, then a block on all requests."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import timedelta

from connector.simulator.values import SECOND, span


@dataclass(frozen=True, slots=True)
class Quota:
    """Quota of a credential.

    Args:
        limit: requests per window.
        window: its length; it starts with the first request.
        block: how long all requests are refused once the limit is exceeded.
    """

    limit: int = 1200
    window: timedelta = timedelta(minutes=5)
    block: timedelta = timedelta(minutes=5)


@dataclass(slots=True)
class _Meter:
    opened: int
    used: int = 0
    blocked_until: int = 0


class Quotas:
    """Counts the requests of every credential."""

    def __init__(self) -> None:
        self._meters: dict[str, _Meter] = {}

    def charge(self, credential: str, quota: Quota, now: int) -> int | None:
        """Count one request at *now*; return the seconds to wait when it is refused."""
        meter = self._meter(credential, quota, now)
        if meter.blocked_until > now:
            return math.ceil((meter.blocked_until - now) / SECOND)
        meter.used += 1
        if meter.used <= quota.limit:
            return None
        meter.blocked_until = now + span(quota.block)
        return math.ceil(quota.block.total_seconds())

    def headers(self, credential: str, quota: Quota, now: int) -> dict[str, str]:
        """Return the current ``Ratelimit`` headers."""
        meter = self._meter(credential, quota, now)
        reset = max(meter.opened + span(quota.window), meter.blocked_until) - now
        left = 0 if meter.blocked_until > now else max(quota.limit - meter.used, 0)
        return {
            "Ratelimit": f'"default";r={left};t={max(math.ceil(reset / SECOND), 0)}',
            "Ratelimit-Policy": f'"default";q={quota.limit};w={int(quota.window.total_seconds())}',
        }

    def _meter(self, credential: str, quota: Quota, now: int) -> _Meter:
        meter = self._meters.get(credential)
        if meter is None or now >= max(meter.opened + span(quota.window), meter.blocked_until):
            meter = self._meters[credential] = _Meter(now)
        return meter
