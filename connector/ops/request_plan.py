"""How many requests polling will make, before it makes any: arithmetic of what is configured. Pure.

Every walk asks for at least one page, and for one more whenever a page is full::

    requests of a sweep  =  walks per slice * slices  +  records read / records per page

Several dispositions are one walk each. A record is read once by each revisit, and by the live sweep as
often as the overlap brings it back; enrichment asks once per record and endpoint. All figures are upper
bounds of the mean: sweeps skip what another one has just read. Retries, deferred searches and look-ups of
records that left their search come on top.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Literal

from connector.collect.audit import AUDIT
from connector.collect.windows import ACCUMULATE, LIVE, LONGEST_SLICE, SECOND, sweeps_of
from connector.quantities import format_duration

ENRICHMENT = "enrichment"
DAY = timedelta(days=1)
_PADDING = 2 * SECOND
"""Every request asks one second beyond both ends of its window."""

_BUSY_PAGES = 10
"""A slice of more than twenty pages is halved: a busy search's slices hold at least this many."""

_PEAK = 3
"""A busy hour brings about three times the mail of the mean one."""

_ALLOWED, _PER = 1200, timedelta(minutes=5)
"""What Cloudflare allows to one credential, the dashboard included."""

_MOST = 1 << 40


@dataclass(frozen=True, slots=True)
class SearchLoad:
    """One search on one account, as far as it makes requests.

    Args:
        search: its name.
        polls: live polls a day.
        even: whether these come at even intervals.
        walks: one, or one per disposition that is asked for.
        per_page: records per request.
        overlap: time that each poll reads again.
        ages: of the revisits.
        details: endpoints that are asked for each record.
        audit: how often everything is read again, and how far back.
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
    """The requests of one sweep: *walking* whatever the volume, *reading* for the records."""

    search: str
    sweep: str
    walking: float
    reading: float

    @property
    def requests(self) -> float:
        """All of them."""
        return self.walking + self.reading


@dataclass(frozen=True, slots=True)
class Assessment:
    """Whether a budget suffices: enough, tight (not for a busy hour), or short; and what to change."""

    level: Literal["enough", "tight", "short"]
    text: str
    hint: str = ""


def polls_a_day(every: timedelta | None, cron: str | None) -> float:
    """Live polls on a day; with *cron*, on a day on which all of its hours count."""
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
    found = [_share(load, live.name, load.polls * length, slices, load.polls, volume)]
    for sweep in revisits:
        length = max(SECOND, (sweep.age or SECOND) / ACCUMULATE)
        times = DAY / length
        found.append(_share(load, sweep.name, DAY, times * math.ceil(length / LONGEST_SLICE), times, volume))
    if load.audit:
        every, reach = load.audit
        length, rounds = reach - max(load.ages, default=timedelta(0)), DAY / every
        slices = rounds * math.ceil(length / LONGEST_SLICE)
        found.append(_share(load, AUDIT, rounds * length, slices, slices, volume))
    if load.details:
        found.append(SweepRequests(load.search, ENRICHMENT, 0.0, load.details * volume))
    part = span / DAY
    return tuple(
        SweepRequests(share.search, share.sweep, share.walking * part, share.reading * part)
        for share in found
    )


def requests(loads: Sequence[SearchLoad], volume: float, span: timedelta) -> float:
    """Requests of all *askings* within *span*, each at *volume* records a day."""
    return sum(share.requests for load in loads for share in sweep_requests(load, volume, span))


def max_volume(loads: Sequence[SearchLoad], budget: int, span: timedelta) -> int | None:
    """Most records a day, of each of *askings*, that *budget* requests per *span* suffice for.

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
    """Compare the plan with the budget; *volume* in records a day and search, ``None`` where unstated."""
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
        lag = "in a busy hour it would fall behind, and catch up later"
        return Assessment("tight", f"{text}; {lag}", _change(loads, peak, needed, span))
    return Assessment("enough", text)


def describe_load(load: SearchLoad, volume: float, span: timedelta) -> str:
    """The plan of one search in words: its sweeps, each with its requests within *span*."""
    return ", ".join(
        f"{share.sweep} {_number(share.requests)}" for share in sweep_requests(load, volume, span)
    )


def _share(
    load: SearchLoad, sweep: str, read: timedelta, slices: float, times: float, volume: float
) -> SweepRequests:
    """A day of one sweep that walks so many *times*, *read* being the time that it reads together."""
    pages = (read + times * _PADDING) / DAY * volume / load.per_page
    return SweepRequests(load.search, sweep, load.walks * max(slices, pages / _BUSY_PAGES), pages)


def _change(loads: Sequence[SearchLoad], volume: float, needed: float, span: timedelta) -> str:
    """What to change where the budget does not suffice: where most of it goes."""
    pairs = [(load, share) for load in loads for share in sweep_requests(load, volume, span)]
    load, share = max(pairs, key=lambda pair: pair[1].requests)
    advice = f"most go to {share.sweep} of searches.{share.search}: {_advice(load, share)}"
    if needed <= _ALLOWED * (span / _PER):
        return f"{advice}; or raise budget.requests to {math.ceil(needed)}"
    return f"{advice}; Cloudflare allows no more than {_ALLOWED} in {format_duration(_PER)}"


def _advice(load: SearchLoad, share: SweepRequests) -> str:
    if share.sweep == AUDIT:
        return "audit less often, or less far back"
    if share.sweep == ENRICHMENT:
        return "ask fewer endpoints, or give enrich a when"
    if share.reading > share.walking:
        return "narrow its filters" + ("" if load.per_page >= 1000 else ", or raise per_page")  # noqa: PLR2004
    fewer = "" if load.walks == 1 else "; ask for fewer values of final_disposition, each is a walk"
    if share.sweep == LIVE:
        return f"poll less often{fewer}"
    return f"leave {share.sweep.removeprefix('revisit_')} out of revisit{fewer}"


def _number(value: float) -> str:
    return f"{math.ceil(value):,}" if value > 1 or value == 0 else "under 1"


def _rounded(value: int) -> int:
    """*value* cut to two digits that count."""
    unit = int(10 ** max(0, len(str(value)) - 2))
    return value // unit * unit


def _count(field: str, span: int) -> int:
    """How many values a field of a cron expression stands for; the expression is known to be one."""
    return len({value for part in field.split(",") for value in _values(part, span)})


def _values(part: str, span: int) -> Iterator[int]:
    body, _, step = part.partition("/")
    first, _, last = body.partition("-")
    low, high = (0, span - 1) if body == "*" else (int(first), int(last or first))
    yield from range(low, high + 1, int(step or 1))
