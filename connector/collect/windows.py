"""The windows that a feed's sweeps ask for: pure arithmetic of time.

One sweep is *live*; each revisit trails it at an age and reads the same time again::

      floor        revisit at 1h      revisit at 5m         live            settle
        │               │                  │                  │ ├──overlap──┤ │ now
    ────┴───────────────┴──────────────────┴──────────────────┴─┴───────────┴─┴──▶ time
        seen rows are complete from here on                     └ read again ┘

A checkpoint is the end of the last complete slice. Windows lie on whole seconds.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from connector.model import Window
from connector.quantities import format_duration

LIVE = "live"
SECOND = timedelta(seconds=1)
LONGEST_SLICE = timedelta(hours=1)
"""One slice is at most this long, so that progress is durable while catching up."""

ACCUMULATE = 10
"""A revisit walks when this fraction of its age has come together: one more read per age and record."""


@dataclass(frozen=True, slots=True)
class Sweep:
    """One walk of a feed through time; *age* is how far it trails (``None``: the live sweep)."""

    name: str
    age: timedelta | None = None


def sweeps_of(ages: Iterable[timedelta]) -> tuple[Sweep, ...]:
    """The live sweep, then one revisit per age, youngest first."""
    return Sweep(LIVE), *(Sweep(f"revisit_{format_duration(age)}", age) for age in sorted(set(ages)))


def whole(moment: datetime) -> datetime:
    """*moment* without its fraction of a second."""
    return moment.replace(microsecond=0)


@dataclass(frozen=True, slots=True)
class Timing:
    """How a search reads time: *settle* behind now, *overlap* read again, *start* for a new feed."""

    settle: timedelta = timedelta(0)
    overlap: timedelta = timedelta(minutes=2)
    start: timedelta | datetime = timedelta(hours=24)

    def beginning(self, now: datetime) -> datetime:
        """Where a feed begins that was never walked; never in the future."""
        asked = now - self.start if isinstance(self.start, timedelta) else self.start.astimezone(UTC)
        return whole(min(asked, now))


def live_window(
    checkpoint: datetime | None, floor: datetime | None, now: datetime, timing: Timing
) -> Window | None:
    """What the live sweep has to read; ``None`` when not a whole second has passed.

    The overlap never reaches below the floor: what lies there was never asked for.
    """
    end = whole(now - timing.settle)
    if checkpoint is None:
        start = timing.beginning(now)
        return Window(start, end) if start < end else None
    start = max(checkpoint - timing.overlap, floor) if floor else checkpoint - timing.overlap
    return Window(whole(min(start, checkpoint)), end) if checkpoint < end else None


def revisit_window(
    checkpoint: datetime, live: datetime, now: datetime, age: timedelta, *, eager: bool = False
) -> Window | None:
    """What a revisit has to read; ``None`` until enough came together (*eager*: anything at all).

    It never passes the live sweep: there is nothing to revisit beyond it.
    """
    end = whole(min(now - age, live))
    ready = end - checkpoint >= max(SECOND, SECOND if eager else age / ACCUMULATE)
    return Window(checkpoint, end) if ready else None


def next_slice(window: Window, longest: timedelta) -> Window:
    """The first slice of *window*, at most *longest* (at least a second) long."""
    return Window(window.start, min(window.end, window.start + whole_length(longest)))


def whole_length(length: timedelta) -> timedelta:
    """*length* in whole seconds, at least one and at most the longest slice."""
    return max(SECOND, min(LONGEST_SLICE, timedelta(seconds=int(length.total_seconds()))))


def revisit_start(age: timedelta, floor: datetime | None, live: datetime, now: datetime) -> datetime:
    """Where a revisit begins that has no checkpoint yet: never before the floor of what was seen.

    Before the floor every record would look new.
    """
    start = min(live, whole(now - age))
    return start if floor is None else min(live, max(start, whole(floor)))


def superseded(
    sweeps: Iterable[Sweep], checkpoints: Mapping[str, datetime], walked: Window, at: datetime
) -> list[tuple[Sweep, datetime]]:
    """The revisits that need not read *walked*, because it was read just now (*at*) at their age or later.

    Gives each with its present checkpoint, which may move to the end of *walked*.
    """
    found = []
    for sweep in sweeps:
        checkpoint = checkpoints.get(sweep.name)
        if sweep.age is None or checkpoint is None:
            continue
        if walked.start <= checkpoint < walked.end and at - walked.end >= sweep.age:
            found.append((sweep, checkpoint))
    return found


def passed_by_all(checkpoints: Iterable[datetime], overlap: timedelta) -> datetime | None:
    """The time that no sweep will read again: what was seen before it may be forgotten."""
    slowest = min(checkpoints, default=None)
    return None if slowest is None else slowest - overlap - 2 * SECOND
