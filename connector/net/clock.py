"""The wall clock, as production code injects it; tests inject their own."""

from __future__ import annotations

from datetime import UTC, datetime


def utc_now() -> datetime:
    """The local wall clock, in UTC."""
    return datetime.now(UTC)
