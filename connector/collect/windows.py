"""Computes the windows of time that a feed's sweeps ask for. Pure arithmetic.

One sweep is *live*; each revisit trails it at an age and reads the same time again::

      floor        revisit at 1h      revisit at 5m         live            settle
        │               │                  │                  │ ├──overlap──┤ │ now
    ────┴───────────────┴──────────────────┴──────────────────┴─┴───────────┴─┴──▶ time
        seen rows are complete from here on                     └ read again ┘

A checkpoint is the end of the last complete slice. Windows lie on whole seconds.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

from connector.model import Window
from connector.quantities import format_duration
from connector.values import dataclass

LIVE = "live"
SECOND = timedelta(seconds=1)
FIRST_SLICE = timedelta(hours=1)
"""Length of the first slice of a sweep, when nothing is known about how many records there are."""

LONGEST_SLICE = timedelta(days=16)
"""Length of the longest slice: two of them cover the 30 days that the API searches by default."""

ACCUMULATE = 10
"""A revisit reads once a tenth of its age has accumulated: one more read per age and record."""


@dataclass(frozen=True, slots=True)
class Sweep:
    """One pass of a feed through time; *age* is how far it trails (``None``: the live sweep)."""

    name: str
    age: timedelta | None = None


def sweeps_of(ages: Iterable[timedelta]) -> tuple[Sweep, ...]:
    """The live sweep, then one revisit per age, youngest first."""
    return Sweep(LIVE), *(Sweep(f"revisit_{format_duration(age)}", age) for age in sorted(set(ages)))


def whole_second(moment: datetime) -> datetime:
    """*moment* without its fraction of a second."""
    return moment.replace(microsecond=0)


@dataclass(frozen=True, slots=True)
class Timing:
    """How a search reads time: *settle* behind now, *overlap* read again, *start* for a new feed."""

    settle: timedelta = timedelta(0)
    overlap: timedelta = timedelta(minutes=2)
    start: timedelta | datetime = timedelta(hours=24)

    def beginning(self, now: datetime) -> datetime | None:
        """Where a feed begins that was never read; ``None`` while that lies in the future."""
        begin = whole_second(
            now - self.start if isinstance(self.start, timedelta) else self.start.astimezone(UTC)
        )
        return begin if begin <= now else None


def live_window(checkpoint: datetime, floor: datetime | None, now: datetime, timing: Timing) -> Window | None:
    """What the live sweep has to read; ``None`` when not a whole second has passed.

    The overlap never reaches below the floor: what lies there was never asked for.
    """
    end = whole_second(now - timing.settle)
    start = max(checkpoint - timing.overlap, floor) if floor else checkpoint - timing.overlap
    return Window(whole_second(min(start, checkpoint)), end) if checkpoint < end else None


def revisit_window(checkpoint: datetime, live: datetime, now: datetime, age: timedelta) -> Window | None:
    """What a revisit has to read; ``None`` until enough came together.

    It never passes the live sweep: there is nothing to revisit beyond it.
    """
    end = whole_second(min(now - age, live))
    return Window(checkpoint, end) if is_worth_revisiting(end - checkpoint, age) else None


def is_worth_revisiting(length: timedelta, age: timedelta) -> bool:
    """Whether enough time has come together for a revisit at *age*."""
    return length >= max(SECOND, age / ACCUMULATE)


def audit_window(
    begun: datetime, reach: timedelta, oldest: timedelta, known: datetime | None, live: datetime
) -> Window | None:
    """What an audit reads that began at *begun*: from its reach to where the *oldest* revisit has been.

    Never before *known*, from when on what was seen is complete: before that every record would look new.
    """
    start, end = whole_second(begun - reach), whole_second(min(begun - oldest, live))
    if known is not None and known > start:
        start = whole_second(known) + SECOND
    return Window(start, end) if start < end else None


def next_slice(window: Window, longest: timedelta) -> Window:
    """The first slice of *window*, at most *longest* (but at least a second) long."""
    return Window(window.start, min(window.end, window.start + whole_seconds(longest)))


def whole_seconds(length: timedelta) -> timedelta:
    """*length* in whole seconds, at least one."""
    return max(SECOND, timedelta(seconds=int(length.total_seconds())))


def revisit_start(age: timedelta, floor: datetime | None, live: datetime, now: datetime) -> datetime:
    """Where a revisit begins that has no checkpoint yet: never before the floor of what was seen.

    Before the floor every record would look new.
    """
    start = min(live, whole_second(now - age))
    return start if floor is None else min(live, max(start, whole_second(floor)))


@dataclass(frozen=True, slots=True)
class ReadRange:
    """Time that was read to its end when it was *age* old at least."""

    window: Window
    age: timedelta


def merge_reads(
    reads: Iterable[ReadRange], window: Window, at: datetime, ages: Iterable[timedelta]
) -> tuple[ReadRange, ...]:
    """*reads* and *window*, which was read at *at*: for each of *ages* what of it was that old by then."""
    kept = list(reads)
    for age in ages:
        end = min(window.end, whole_second(at - age))
        if end <= window.start:
            continue
        start = window.start
        for read in [one for one in kept if one.age == age and start <= one.window.end]:
            if read.window.start <= end:
                kept.remove(read)
                start, end = min(start, read.window.start), max(end, read.window.end)
        kept.append(ReadRange(Window(start, end), age))
    return tuple(kept)


def first_unread(window: Window, age: timedelta, reads: Iterable[ReadRange]) -> Window:
    """The first stretch of *window* that a revisit at *age* has to read; empty where there is none."""
    start, end = window.start, window.end
    for read in sorted(reads, key=lambda one: one.window):
        if read.age < age or read.window.end <= start:
            continue
        if read.window.start > start:
            end = min(end, read.window.start)
            break
        start = min(end, read.window.end)
    return Window(start, end)


def passed_by_every_sweep(checkpoints: Iterable[datetime], overlap: timedelta) -> datetime | None:
    """The time that no sweep will read again: what was seen before it may be forgotten."""
    slowest = min(checkpoints, default=None)
    return None if slowest is None else slowest - overlap - 2 * SECOND
