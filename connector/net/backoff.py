"""How long to wait before trying again: pure arithmetic, no clock and no chance of its own."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime


def full_jitter(attempt: int, *, base: float = 1.0, cap: float = 60.0, random: Callable[[], float]) -> float:
    """Return the seconds to wait after failure number *attempt*, counted from 1.

    Any time between nothing and ``base * 2 ** (attempt - 1)``, at most *cap*: clients that failed
    together do not come back together. *random* returns a number in ``[0, 1)``.
    """
    doublings = max(attempt, 1) - 1
    # Doubling stops early on purpose: an attempt count that grew for months must not overflow a float.
    ceiling = cap if doublings > 60 else min(cap, base * 2**doublings)  # noqa: PLR2004, any large number
    return random() * ceiling


def parse_retry_after(value: str | None, now: datetime) -> float | None:
    """Return the seconds that a ``Retry-After`` header asks for; ``None`` where it says nothing usable.

    Reads both forms, whole seconds and an HTTP date (against *now*). What lies in the past is 0.
    """
    text = (value or "").strip()
    if not text:
        return None
    digits = text[1:] if text[0] in "+-" else text
    if digits.isascii() and digits.isdigit():
        return 0.0 if text[0] == "-" else float(digits[:15])
    try:
        moment = parsedate_to_datetime(text)
    except (TypeError, ValueError, IndexError, OverflowError):
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return max(0.0, (moment - now).total_seconds())
