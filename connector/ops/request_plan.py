"""Request plan: how many API requests a configuration needs, computed from the configuration alone.

Every search requests at least one page per slice, and one more for each full page::

    requests of a sweep  =  searches per slice * slices  +  records read / records per page

Several dispositions are one search each. Each revisit reads a record once; the live sweep reads it as often
as the overlap covers it; enrichment requests once per record and endpoint. All figures are upper bounds of
the mean: sweeps skip what another has just read. Retries, deferred searches and look-ups of disappeared
records are extra.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Literal

from connector.collect.audit import AUDIT
from connector.collect.slices import GROWTH, TARGET_PAGES
from connector.collect.windows import (
    ACCUMULATE,
    FIRST_SLICE,
    LIVE,
    LONGEST_SLICE,
    SECOND,
    sweeps_of,
)
from connector.quantities import format_duration

ENRICHMENT = "enrichment"
DAY = timedelta(days=1)
_PADDING = 2 * SECOND
"""Every request covers one extra second at both ends of its window."""

_PEAK = 3
"""A busy hour has about three times the email of the mean hour."""

_ALLOWED, _PER = 1200, timedelta(minutes=5)
"""Cloudflare's rate limit per credential, dashboard use included (API documentation, Rate limits)."""

_MOST = 1 << 40
"""Upper end of the binary search, in records a day: beyond any account."""


@dataclass(frozen=True, slots=True)
class SearchLoad:
    """What one search on one account contributes to the request plan.

    Args:
        search: name.
        polls: live polls a day.
        even: whether they are evenly spaced.
        walks: searches per slice: one, or one per disposition.
        per_page: records per request.
        overlap: time that each poll rereads.
        ages: of the revisits.
        details: enrichment endpoints per record.
        audit: interval and reach of audits.
    """

    search: str
    polls: float
    even: bool = True
    walks: int = 1
    per_page: int = 1000
    overlap: timedelta = timedelta(0)
    ages: tuple[timedelta, ...] = ()
    details: int = 0
    audit: tuple[timedelta, timedelta] | None = None


@dataclass(frozen=True, slots=True)
class SweepRequests:
    """Requests of one sweep: *walking* its slices at any volume, *reading* in proportion to the records."""

    search: str
    sweep: str
    walking: float
    reading: float

    @property
    def requests(self) -> float:
        """Total requests."""
        return self.walking + self.reading


@dataclass(frozen=True, slots=True)
class Assessment:
    """Whether a budget suffices: enough, tight (too small for a busy hour) or short; and what to change."""

    level: Literal["enough", "tight", "short"]
    text: str
    hint: str = ""


def polls_a_day(every: timedelta | None, cron: str | None) -> float:
    """Live polls per day; with *cron*, on a day that matches its date fields."""
    if cron is None:
        return DAY / (every or timedelta(minutes=1))
    minutes, hours = cron.split()[:2]
    return float(_count(minutes, 60) * _count(hours, 24))


def sweep_requests(load: SearchLoad, volume: float, span: timedelta) -> tuple[SweepRequests, ...]:
    """Requests of each sweep within *span*, live first, at *volume* records a day."""
    live, *revisits = sweeps_of(load.ages)
    length = DAY / load.polls + load.overlap
    slices = load.polls * math.ceil(length / LONGEST_SLICE)
    if not load.even:
        slices = load.polls * (1 + length / LONGEST_SLICE)
    loads = [_share(load, live.name, load.polls * length, slices, load.polls, volume)]
    for sweep in revisits:
        length = max(SECOND, (sweep.age or SECOND) / ACCUMULATE)
        times = DAY / length
        loads.append(_share(load, sweep.name, DAY, times * math.ceil(length / LONGEST_SLICE), times, volume))
    if load.audit:
        every, reach = load.audit
        length, rounds = reach - max(load.ages, default=timedelta(0)), DAY / every
        slices = rounds * math.ceil(length / LONGEST_SLICE)
        loads.append(_share(load, AUDIT, rounds * length, slices, slices, volume))
    if load.details:
        loads.append(SweepRequests(load.search, ENRICHMENT, 0.0, load.details * volume))
    part = span / DAY
    return tuple(
        SweepRequests(share.search, share.sweep, share.walking * part, share.reading * part)
        for share in loads
    )


def requests(loads: Sequence[SearchLoad], volume: float, span: timedelta) -> float:
    """Requests of all *loads* within *span*, each at *volume* records a day."""
    return sum(share.requests for load in loads for share in sweep_requests(load, volume, span))


def max_volume(loads: Sequence[SearchLoad], budget: int, span: timedelta) -> int | None:
    """Most records a day, of each of *loads*, that *budget* requests per *span* suffice for.

    ``None`` where polling alone makes more.
    """
    if requests(loads, 0, span) > budget:
        return None
    low, high = 0, _MOST
    while low < high:
        middle = (low + high + 1) // 2
        if requests(loads, middle, span) <= budget:
            low = middle
        else:
            high = middle - 1
    return low


def assess(loads: Sequence[SearchLoad], volume: int | None, budget: int, span: timedelta) -> Assessment:
    """Compare the plan with the budget; *volume* in records a day per search, ``None`` if unknown."""
    needed = requests(loads, volume or 0, span)
    most = max_volume(loads, budget, span)
    bound = "at least" if volume is None else f"at {volume:,} records a day per search, up to"
    text = f"{bound} {_number(needed)} of {budget} requests in {format_duration(span)}"
    if loads and most is not None:
        text += f"; enough for about {_rounded(most):,} records a day per search"
    if needed > budget:
        return Assessment("short", text, _change(loads, volume or 0, needed, span))
    peak = _PEAK * (volume or 0)
    needed = requests(loads, peak, span)
    if needed > budget:
        lag = "in a busy hour it would lag behind and catch up later"
        return Assessment("tight", f"{text}; {lag}", _change(loads, peak, needed, span))
    return Assessment("enough", text)


def describe_load(load: SearchLoad, volume: float, span: timedelta) -> str:
    """The plan of one search as text: each sweep with its requests within *span*."""
    return ", ".join(
        f"{share.sweep} {_number(share.requests)}" for share in sweep_requests(load, volume, span)
    )


def _share(
    load: SearchLoad, sweep: str, read: timedelta, slices: float, times: float, volume: float
) -> SweepRequests:
    """Requests per day of one sweep that runs *times* times and reads a total time span of *read*."""
    pages = (read + times * _PADDING) / DAY * volume / load.per_page
    return SweepRequests(load.search, sweep, load.walks * max(slices, pages / TARGET_PAGES), pages)


def _change(loads: Sequence[SearchLoad], volume: float, needed: float, span: timedelta) -> str:
    """Advice where the budget does not suffice: reduce the sweep with the most requests."""
    pairs = [(load, share) for load in loads for share in sweep_requests(load, volume, span)]
    load, share = max(pairs, key=lambda pair: pair[1].requests)
    advice = f"most go to {share.sweep} of searches.{share.search}: {_advice(load, share)}"
    if needed <= _ALLOWED * (span / _PER):
        return f"{advice}; or raise budget.requests to {math.ceil(needed)}"
    return f"{advice}; Cloudflare allows at most {_ALLOWED} in {format_duration(_PER)}"


def _advice(load: SearchLoad, share: SweepRequests) -> str:
    if share.sweep == AUDIT:
        return "audit less often, or reduce its reach"
    if share.sweep == ENRICHMENT:
        return "use fewer endpoints, or restrict enrich with when"
    if share.reading > share.walking:
        return "narrow its filters" + ("" if load.per_page >= 1000 else ", or raise per_page")  # noqa: PLR2004
    fewer = (
        "" if load.walks == 1 else "; filter by fewer values of final_disposition, each is a separate search"
    )
    if share.sweep == LIVE:
        return f"poll less often{fewer}"
    return f"remove {share.sweep.removeprefix('revisit_')} from revisit{fewer}"


def _number(value: float) -> str:
    return f"{math.ceil(value):,}" if value > 1 or value == 0 else "under 1"


def _rounded(value: int) -> int:
    """*value* rounded down to two significant digits."""
    unit = int(10 ** max(0, len(str(value)) - 2))
    return value // unit * unit


def _count(field: str, span: int) -> int:
    """Number of values that a field of a valid cron expression selects."""
    return len({value for part in field.split(",") for value in _values(part, span)})


def _values(part: str, span: int) -> Iterator[int]:
    body, _, step = part.partition("/")
    first, _, last = body.partition("-")
    low, high = (0, span - 1) if body == "*" else (int(first), int(last or first))
    yield from range(low, high + 1, int(step or 1))


def backfill_requests(length: timedelta, walks: int = 1) -> int:
    """Requests for a backfill over *length* that finds next to nothing, each slice read *walks* times.

    Every full page of records adds one. Slices start at an hour and grow while they are nearly empty.
    """
    count, part, left = 0, FIRST_SLICE, length
    while left > timedelta(0):
        count, left, part = count + 1, left - part, min(part * GROWTH, LONGEST_SLICE)
    return walks * count


def describe_backfill(length: timedelta, *, walks: int, per_page: int, budget: int, window: timedelta) -> str:
    """The cost of a backfill in words: requests, and their time against *budget* requests per *window*."""
    least = backfill_requests(length, walks)
    seconds = math.ceil(least / budget * window.total_seconds())
    spent = format_duration(timedelta(seconds=seconds))
    per_million = math.ceil(1_000_000 / per_page) / budget * (window / timedelta(hours=1))
    return (
        f"at least {least:,} requests ({spent} of the budget of {budget} per {format_duration(window)}), "
        f"plus one per {per_page:,} records: a million records take about {per_million:.1f} h"
    )
