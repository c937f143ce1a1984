"""The request plan is a bound that a simulated day of sweeps stays under, and not far under."""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from apscheduler.triggers.cron import CronTrigger
from hypothesis import given, settings
from hypothesis import strategies as st

from connector.collect.slices import SliceSizing
from connector.collect.windows import LONGEST_SLICE, Timing, live_window, next_slice, revisit_window
from connector.model import Window
from connector.ops.request_plan import (
    DAY,
    ENRICHMENT,
    SearchLoad,
    assess,
    backfill_requests,
    describe_backfill,
    describe_load,
    max_volume,
    polls_a_day,
    requests,
    sweep_requests,
)
from tests.support.examples import examples

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
SPAN = timedelta(minutes=5)
USUAL = SearchLoad(
    "detections",
    polls=1440,
    overlap=timedelta(minutes=2),
    ages=(
        timedelta(minutes=5),
        timedelta(hours=1),
        timedelta(hours=4),
        timedelta(hours=24),
        timedelta(days=7),
    ),
)


def asked(load: SearchLoad, window: Window, volume: float) -> int:
    """Requests that one walk of *window* makes, with mail that comes evenly."""
    count = 0
    while window.length:
        part = next_slice(window, LONGEST_SLICE)
        read = (part.length + timedelta(seconds=2)) / DAY * volume / load.walks
        count += load.walks * max(1, math.ceil(read / load.per_page))
        window = Window(part.end, window.end)
    return count


def simulated(load: SearchLoad, volume: float) -> float:
    """Requests of a day of all sweeps, walked with collection's own arithmetic, revisits looked at often."""
    total, live = 0, NOON
    every = DAY / load.polls
    revisits = {age: NOON - age for age in load.ages}
    look = max(timedelta(seconds=1), min([timedelta(minutes=1), *(age / 10 for age in load.ages)]))
    polls = [NOON + every * number for number in range(1, int(load.polls) + 1)]
    looks = [NOON + look * number for number in range(1, int(DAY / look) + 1)] if load.ages else []
    for now, polling in sorted([*((at, True) for at in polls), *((at, False) for at in looks)]):
        if polling:
            window = live_window(live, None, now, Timing(overlap=load.overlap))
            total += asked(load, window, volume) if window else 0
            live = window.end if window else live
            continue
        for age, checkpoint in revisits.items():
            due = revisit_window(checkpoint, live, now, age)
            total += asked(load, due, volume) if due else 0
            revisits[age] = due.end if due else checkpoint
    return total


@settings(max_examples=examples(40), deadline=None)
@given(
    every=st.sampled_from([30, 60, 300, 1800]),
    overlap=st.integers(0, 600),
    ages=st.sets(st.sampled_from([300, 3600, 14_400]), max_size=3),
    walks=st.integers(1, 4),
    per_page=st.sampled_from([100, 1000]),
    volume=st.integers(0, 100_000),
)
def test_a_day_of_sweeps_stays_under_the_plan(
    every: int, overlap: int, ages: set[int], walks: int, per_page: int, volume: int
) -> None:
    """For every schedule, overlap, choice of ages, dispositions, page size and volume."""
    load = SearchLoad(
        "clean",
        polls=DAY / timedelta(seconds=every),
        walks=walks,
        per_page=per_page,
        overlap=timedelta(seconds=overlap),
        ages=tuple(timedelta(seconds=age) for age in sorted(ages)),
    )

    real = simulated(load, volume)

    assert real <= requests([load], volume, DAY) * 1.001 + walks


def test_the_plan_of_the_usual_search_is_close_to_what_happens() -> None:
    """A bound that is far off would make people change what is fine."""
    for volume in (0, 10_000, 200_000):
        real, planned = simulated(USUAL, volume), requests([USUAL], volume, DAY)
        assert real <= planned <= 1.35 * real


def test_a_poll_is_a_request_per_disposition_and_records_cost_a_page_per_thousand() -> None:
    """The arithmetic in numbers that can be checked by hand."""
    plain = SearchLoad("a", polls=1440)
    three = SearchLoad("b", polls=1440, walks=3)

    assert requests([plain], 0, SPAN) == pytest.approx(5)
    assert requests([three], 0, SPAN) == pytest.approx(15)
    assert requests([plain], 1_440_000, DAY) - requests([plain], 0, DAY) == pytest.approx(1440 * 62 / 60)


def test_an_overlap_brings_records_back_at_every_poll() -> None:
    """Two minutes of overlap at a poll per minute read each record three times."""
    live = sweep_requests(USUAL, 1_000_000, DAY)[0]

    assert live.reading == pytest.approx(1000 * 182 / 60)


def test_each_revisit_walks_at_a_tenth_of_its_age() -> None:
    """Five minutes: every thirty seconds. Seven days: every 16.8 hours, in one slice."""
    planned = {share.sweep: share.walking for share in sweep_requests(USUAL, 0, DAY)}

    assert planned["revisit_5m"] == pytest.approx(2880)
    assert planned["revisit_7d"] == pytest.approx(24 / 16.8)


def test_enrichment_is_a_request_per_record_and_endpoint() -> None:
    """It dwarfs everything else, and says so."""
    share = sweep_requests(SearchLoad("a", polls=1440, details=2), 5000, DAY)[-1]

    assert (share.sweep, share.requests) == (ENRICHMENT, 10_000)


def test_a_long_window_is_cut_into_slices() -> None:
    """No slice is longer than 16 days."""
    assert requests([SearchLoad("a", polls=1 / 40)], 0, DAY) == pytest.approx(3 / 40)


@given(budget=st.integers(1, 5000), volume=st.integers(0, 10_000_000))
def test_room_is_the_border(budget: int, volume: int) -> None:
    """What fits into the room fits into the budget, one record more a day does not."""
    loads = [USUAL, SearchLoad("b", polls=96, walks=2, details=1)]
    most = max_volume(loads, budget, SPAN)

    if most is None:
        assert requests(loads, 0, SPAN) > budget
    else:
        assert requests(loads, most, SPAN) <= budget < requests(loads, most + 1, SPAN)
        assert (requests(loads, volume, SPAN) <= budget) == (volume <= most)


_MINUTES = st.sampled_from(["*", "0", "*/5", "*/7", "10-20", "5,10,55", "0-30/10", "*/15,3"])
_HOURS = st.sampled_from(["*", "3", "*/6", "8-17", "0,12", "8-17/3"])


@given(minutes=_MINUTES, hours=_HOURS)
def test_polls_of_a_cron_expression_are_those_that_its_trigger_makes(minutes: str, hours: str) -> None:
    """The count is that of the library which computes the real times."""
    expression = f"{minutes} {hours} * * mon"
    trigger = CronTrigger.from_crontab(expression, timezone=UTC)
    moment: datetime = trigger.get_next_fire_time(None, datetime(2026, 3, 2, tzinfo=UTC))
    times = 0
    while moment.day == 2:
        times += 1
        moment = trigger.get_next_fire_time(None, moment + timedelta(microseconds=1))

    assert polls_a_day(None, expression) == times


def test_without_a_volume_the_plan_says_how_much_there_is_room_for() -> None:
    verdict = assess([USUAL], None, 600, SPAN)

    assert verdict.level == "enough"
    assert "at least 17 of 600 requests in 5m" in verdict.text
    assert "enough for about" in verdict.text


def test_a_plan_that_does_not_fit_names_the_sweep_and_what_to_change() -> None:
    short = assess([SearchLoad("fast", polls=86_400, walks=2)], 0, 300, SPAN)
    revisiting = assess([SearchLoad("again", polls=24, ages=(timedelta(seconds=5),))], 0, 100, SPAN)
    reading = assess([SearchLoad("clean", polls=1440, per_page=100)], 20_000_000, 600, SPAN)
    enriching = assess([SearchLoad("rich", polls=1440, details=1)], 300_000, 600, SPAN)

    assert {verdict.level for verdict in (short, revisiting, reading, enriching)} == {"short"}
    assert "searches.fast: poll less often; filter by fewer values" in short.hint
    assert "raise budget.requests to 600" in short.hint
    assert "remove 5s from revisit" in revisiting.hint
    assert "narrow its filters, or raise per_page" in reading.hint
    assert "use fewer endpoints" in enriching.hint


def test_more_than_cloudflare_allows_cannot_be_had_by_raising_the_budget() -> None:
    verdict = assess([SearchLoad("fast", polls=86_400, walks=6)], 0, 600, SPAN)

    assert "raise budget" not in verdict.hint
    assert "Cloudflare allows at most 1200 in 5m" in verdict.hint


def test_a_budget_that_only_a_busy_hour_exceeds_is_a_note() -> None:
    most = max_volume([USUAL], 60, SPAN)
    assert most is not None

    verdict = assess([USUAL], most // 2, 60, SPAN)

    assert verdict.level == "tight"
    assert "busy hour" in verdict.text
    assert "raise budget.requests" in verdict.hint


def test_the_plan_of_a_search_names_every_sweep() -> None:
    text = describe_load(USUAL, 0, SPAN)

    assert text.startswith("live 5, revisit_5m 10, ")
    assert "revisit_7d under 1" in text


def test_an_audit_is_part_of_the_plan_and_of_the_advice() -> None:
    load = replace(USUAL, audit=(DAY, timedelta(days=30)))
    found = {share.sweep: share for share in sweep_requests(load, 24_000, DAY)}

    assert found["audit"].walking == pytest.approx(23 * 24 / 15.5, rel=0.01)
    assert 23 * 24 <= found["audit"].reading <= 23 * 24 * 1.01
    often = replace(USUAL, audit=(timedelta(minutes=5), timedelta(days=30)))
    assert "audit less often" in assess([often], 24_000, 300, SPAN).hint
    assert requests([USUAL], 0, SPAN) < requests([load], 0, SPAN)


@pytest.mark.parametrize(
    ("length", "requests"),
    [
        (timedelta(minutes=5), 1),
        (timedelta(hours=3), 2),
        (timedelta(days=30), 5),
        (timedelta(days=365), 26),
    ],
)
def test_the_requests_of_a_backfill_that_finds_nothing(length: timedelta, requests: int) -> None:
    """The estimate is what the sizing of slices makes of an empty range."""
    start = datetime(2026, 1, 1, tzinfo=UTC)
    sizing, window, count = SliceSizing(1000), Window(start, start + length), 0
    while window.length:
        part = sizing.first_slice("backfill", window)
        sizing.adapt("backfill", part, 0, 1000)
        window, count = Window(part.end, window.end), count + 1

    assert backfill_requests(length) == count == requests
    assert backfill_requests(length, walks=3) == 3 * count


def test_the_cost_of_a_backfill_in_words() -> None:
    cost = describe_backfill(
        timedelta(days=30), walks=1, per_page=1000, budget=600, window=timedelta(minutes=5)
    )
    assert cost == (
        "at least 5 requests (3s of the budget of 600 per 5m), plus one per 1,000 records: a million "
        "records take about 0.1 h"
    )
