"""When a feed polls, on a loop that jumps."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, date, datetime, timedelta
from datetime import time as clock_time

import pytest

from connector.collect.schedule import Cron, Interval, Schedule, period_of
from tests.support.jumping_loop import EPOCH, run, wall_clock

MINUTE = timedelta(minutes=1)


async def _ticks(schedule: Schedule, count: int, *, busy: float = 0.0) -> list[float]:
    loop = asyncio.get_running_loop()
    ticks = []
    for _ in range(count):
        await schedule.wait()
        ticks.append(loop.time())
        await asyncio.sleep(busy)
    return ticks


def test_an_interval_begins_at_once_and_keeps_its_beat() -> None:
    async def story() -> None:
        assert await _ticks(Interval(MINUTE), 3, busy=10) == [0, 60, 120]

    run(story())


def test_ticks_missed_during_a_long_walk_count_as_one() -> None:
    async def story() -> None:
        assert await _ticks(Interval(MINUTE), 3, busy=150) == [0, 150, 300]

    run(story())


def test_cron_means_the_wall_clock_in_utc() -> None:
    async def story() -> None:
        clock = wall_clock(asyncio.get_running_loop())
        await Cron("30 * * * *", clock).wait()
        assert clock() == EPOCH + 30 * MINUTE

    run(story())


async def _three_days(start: datetime) -> None:
    clock = wall_clock(asyncio.get_running_loop(), start)
    due = Cron("30 2 * * *", clock)
    for later in range(3):
        await due.wait()
        assert clock() == start + timedelta(days=later, hours=2, minutes=30)


@pytest.mark.parametrize("zone", ["Europe/Berlin", "America/New_York"])
def test_daylight_saving_neither_drops_nor_doubles_a_poll(zone: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both changes of a year, on a machine that lives in *zone*: a day has one 02:30, and it is UTC's."""
    monkeypatch.setenv("TZ", zone)
    time.tzset()
    try:
        for day in (date(2026, 3, 7), date(2026, 3, 28), date(2026, 10, 24), date(2026, 10, 31)):
            start = datetime.combine(day, clock_time(), UTC)

            run(_three_days(start))
    finally:
        monkeypatch.undo()
        time.tzset()


def test_one_time_of_an_expression_is_one_poll() -> None:
    async def story() -> None:
        clock = wall_clock(asyncio.get_running_loop())
        assert await _ticks(Cron("*/10 * * * *", clock), 3) == [600, 1200, 1800]

    run(story())


def test_a_clock_set_back_begins_the_wait_anew() -> None:
    async def story() -> None:
        loop = asyncio.get_running_loop()
        shift = timedelta(0)
        due = Cron("0 * * * *", lambda: wall_clock(loop)() + shift)
        waiting = asyncio.create_task(due.wait())
        await asyncio.sleep(1800)
        shift = -timedelta(hours=10)
        await waiting
        assert loop.time() == 3600

    run(story())


def test_an_expression_that_never_comes_waits_for_ever_and_does_not_poll_without_pause() -> None:
    async def story() -> None:
        waiting = asyncio.create_task(Cron("0 0 30 2 *", wall_clock(asyncio.get_running_loop())).wait())
        await asyncio.wait({waiting}, timeout=timedelta(days=3).total_seconds())
        assert not waiting.done()
        waiting.cancel()

    run(story())


@pytest.mark.parametrize(
    ("cron", "longest"),
    [("*/5 * * * *", 5 * MINUTE), ("0 6,18 * * *", timedelta(hours=12)), ("0 0 30 2 *", timedelta(days=8))],
)
def test_the_longest_time_between_two_polls_is_known(cron: str, longest: timedelta) -> None:
    noon = datetime(2026, 11, 22, 12, tzinfo=UTC)

    assert period_of(None, cron, lambda: noon) == longest


@pytest.mark.parametrize(
    ("last", "ticks"), [(120, [0, 42 * 60]), (19, [0, 42 * 60]), (12, [42 * 60, 102 * 60])]
)
def test_a_cron_time_that_passed_during_downtime_is_caught_up(last: int, ticks: list[float]) -> None:
    """It is 12:18, the expression means every full hour, and the last poll was *last* minutes ago."""

    async def story() -> None:
        clock = wall_clock(asyncio.get_running_loop(), datetime(2026, 11, 22, 12, 18, tzinfo=UTC))
        schedule = Cron("0 * * * *", clock)
        schedule.catch_up(clock() - last * MINUTE)
        assert await _ticks(schedule, 2) == ticks

    run(story())
