"""Gaps of a feed: which of them leave holes in what was read, and which are retried. Pure functions.

A live sweep that skips time leaves a hole: nothing has read it, so revisits and audits have nothing to read
again there. A range that the API refused is retried for a day; one that an operator left out on purpose is
not.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta

from connector.collect.windows import LIVE, ReadRange
from connector.model import RETRIED, Feed, Gap, GapCause, Window

_STAMP = "%Y-%m-%dT%H:%M:%SZ"

RETRY_EVERY = timedelta(minutes=30)
"""Time between two attempts to read a gap: about fifty in the day for which it is retried, one request
each."""


def is_retried(gap: Gap, now: datetime) -> bool:
    """Whether *gap* is still retried: the API refused it less than a day ago."""
    return gap.cause is GapCause.RETENTION and gap.recorded is not None and now - gap.recorded < RETRIED


def is_due(gap: Gap, now: datetime) -> bool:
    """Whether *gap* is old enough for its first retry."""
    return is_retried(gap, now) and gap.recorded is not None and now - gap.recorded >= RETRY_EVERY


def overlap(one: Window, other: Window) -> Window | None:
    """The time that both have in common, if any."""
    start, end = max(one.start, other.start), min(one.end, other.end)
    return Window(start, end) if start < end else None


def holes(gaps: Iterable[Gap]) -> tuple[ReadRange, ...]:
    """Time that no sweep has read, so that there is nothing to read again."""
    return tuple(ReadRange(gap.window, timedelta.max) for gap in gaps if _is_hole(gap))


def backfill_command(feed: Feed, start: datetime | None, end: datetime) -> str:
    """The command that reads the gap of *feed* from *start* (``None``: the operator fills it in) to *end*."""
    since = f"{start:{_STAMP}}" if start else "TIME"
    return f"email-connector backfill {feed.search} --from {since} --to {end:{_STAMP}}"


def _is_hole(gap: Gap) -> bool:
    """Whether nothing has read the range of *gap*: other sweeps that are refused only read again."""
    if gap.cause is GapCause.RETENTION:
        return gap.detail == LIVE
    return gap.cause in {GapCause.NOT_CONFIGURED, GapCause.FORGOTTEN}
