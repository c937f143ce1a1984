"""Times as the API writes them."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import lru_cache

_FIRST_YEAR, _LAST_YEAR = 2000, 2100
"""A time outside these years means *no time*: year 1 and 1970 are what zero values look like."""


def parse_moment(value: object) -> datetime | None:
    """*value* in UTC, which is also what a time without a zone means; ``None`` where it is no time."""
    if not isinstance(value, str):
        return None
    try:
        moment = datetime.fromisoformat(value)
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except (ValueError, OverflowError):
        return None


@lru_cache(maxsize=4096)  # mail comes in bursts: a page has far fewer times than records
def known_moment(text: str) -> datetime | None:
    """The time that a record says as *text*; ``None`` where that is a zero value, or no time."""
    moment = parse_moment(text)
    return moment if moment is not None and _FIRST_YEAR <= moment.year < _LAST_YEAR else None
