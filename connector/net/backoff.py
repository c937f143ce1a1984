"""Backoff with full jitter, and ``Retry-After``: pure arithmetic on the given clock and random numbers."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

_SMALLEST_EPOCH = 1e9
"""September 2001 in seconds since 1970; as a wait it would be 31 years."""


def full_jitter(attempt: int, *, base: float = 1.0, cap: float = 60.0, random: Callable[[], float]) -> float:
    """Return the seconds to wait after failure number *attempt*, counted from 1.

    The wait is uniform between zero and ``base * 2 ** (attempt - 1)``, at most *cap*, so that clients that
    failed together do not return together. *random* returns a number in ``[0, 1)``.
    """
    doublings = max(attempt, 1) - 1
    # Doubling stops early: an attempt count that grew for months must not overflow a float.
    ceiling = cap if doublings > 60 else min(cap, base * 2**doublings)  # noqa: PLR2004, any large number
    return random() * ceiling


def parse_retry_after(value: str | None, now: datetime) -> float | None:
    """Return the seconds that a ``Retry-After`` header asks for; ``None`` if it is missing or unusable.

    Reads both forms of RFC 9110, section 10.2.3: seconds and an HTTP date, against *now*; a past date is 0. A
    number too large for a wait is taken for a time since 1970 in seconds or milliseconds, a common mistake of
    servers. The result is not bounded: callers cap it and report what they cap.
    """
    text = (value or "").strip()
    if not text:
        return None
    digits = text[1:] if text[0] in "+-" else text
    if digits.isascii() and digits.isdigit():
        seconds = 0.0 if text[0] == "-" else float(digits[:15])
        if seconds < _SMALLEST_EPOCH:
            return seconds
        epoch = seconds / 1000 if seconds >= _SMALLEST_EPOCH * 1000 else seconds
        return max(0.0, epoch - now.timestamp())
    try:
        moment = parsedate_to_datetime(text)
    except (TypeError, ValueError, IndexError, OverflowError):
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return max(0.0, (moment - now).total_seconds())
