"""A catch-up asks for every page once: at most five percent more requests than pages, and five."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from connector.model import Commit
from connector.simulator.behaviour import Order
from tests.scenarios.collection.feed import HOUR, Tenant, run, tenant

PAGE = 50
DAY = 24 * HOUR
REVISITS = (HOUR / 12, HOUR, 4 * HOUR, DAY, 7 * DAY)
"""The default of ``revisit``."""

QUIET: dict[str, Any] = {"rate": 0, "backlog": 0, "late": 0, "changes": 0}


def _evenly(count: int, length: timedelta) -> Iterator[timedelta]:
    return (length * (index + 0.5) / count for index in range(count))


def _bursts(count: int, length: timedelta) -> Iterator[timedelta]:
    """Half an hour of mail every week, and nothing in between."""
    weeks = length // (7 * DAY)
    for index in range(count):
        week, place = divmod(index, math.ceil(count / weeks))
        yield 7 * DAY * week + 3 * DAY + HOUR / 2 * place / math.ceil(count / weeks)


def _office_hours(count: int, length: timedelta) -> Iterator[timedelta]:
    """Ten busy hours a day, five days a week, and a hundredth of that at night."""
    hours = [hour for hour in range(length // HOUR) if hour % 168 < 120 and 8 <= hour % 24 < 18]
    for index in range(count):
        if index % 100 == 0:
            yield length * index / count
        else:
            place, part = divmod(index * len(hours), count)
            yield hours[place] * HOUR + HOUR * part / count


SHAPES: dict[str, tuple[Callable[[int, timedelta], Iterator[timedelta]], timedelta]] = {
    "an hour": (_evenly, HOUR),
    "a day": (_evenly, DAY),
    "30 days": (_evenly, 30 * DAY),
    "bursts": (_bursts, 28 * DAY),
    "office hours": (_office_hours, 14 * DAY),
}


async def _fill(account: Tenant, times: Iterator[timedelta], since: datetime) -> None:
    # Times are whole seconds, as the API gives them, so that several records share one.
    for offset in sorted(times):
        at = (since + offset).replace(microsecond=0)
        account.simulator.world.add(scanned_at=at, searchable_at=at)


async def _catch_up(account: Tenant, length: timedelta) -> int:
    """Start a feed that begins *length* ago, twice; returns how many searches all its sweeps asked for."""
    account.plan = replace(account.plan, timing=replace(account.plan.timing, start=length + HOUR))
    await account.collector().once()
    await account.collector().once()
    await account.sleep(timedelta(seconds=5))
    # One request asks for the API's clock before the feed begins.
    return account.requests["first"] + account.requests["next"] - 1


@pytest.mark.parametrize("order", ["newest", "oldest"])
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(
    "records",
    [
        10 * PAGE,
        10 * PAGE + 1,
        *(pytest.param(60 * PAGE + more, marks=pytest.mark.slow) for more in (-1, 0)),
        *(pytest.param(100 * PAGE + more, marks=pytest.mark.slow) for more in (-1, 0, 1)),
    ],
)
def test_full_pages_are_requested_once(tmp_path: Path, order: Order, shape: str, records: int) -> None:
    async def story() -> None:
        times, length = SHAPES[shape]
        manner = {"order": order}
        async with tenant(tmp_path, ages=REVISITS, per_page=PAGE, behaviour=manner, **QUIET) as account:
            await _fill(account, times(records, length), account.clock() - length)
            asked = await _catch_up(account, length)

            found = account.simulator.ledger.ids(account.plan.query.filters)
            assert {one.id for one in account.reported} == found
            assert asked <= 1.05 * math.ceil(records / PAGE) + 5

    run(story())


class Killed(BaseException):
    """The process ends here."""


@pytest.mark.parametrize("order", ["newest", "oldest"])
@pytest.mark.parametrize("pages", [16, pytest.param(60, marks=pytest.mark.slow)])
def test_an_interruption_costs_a_few_requests_whatever_the_length_of_a_slice(
    tmp_path: Path, order: Order, pages: int
) -> None:
    """Killed after every second or third page that became durable, as often as it takes."""

    async def story() -> None:
        manner = {"order": order}
        async with tenant(tmp_path, ages=(), per_page=PAGE, behaviour=manner, **QUIET) as account:
            await _fill(account, _evenly(pages * PAGE, DAY), account.clock() - DAY)
            account.plan = replace(account.plan, timing=replace(account.plan.timing, start=DAY + HOUR))
            durable, interruptions, left = account.journal.commit, 0, 0

            async def commit(commit: Commit) -> None:
                nonlocal left
                await durable(commit)
                left -= bool(commit.revisions)
                if not left:
                    raise Killed

            account.journal.commit = commit  # type: ignore[method-assign]
            while True:
                left = 2 + interruptions % 2
                try:
                    await account.collector().once()
                    break
                except Killed:
                    interruptions += 1
            await account.sleep(timedelta(seconds=5))

            found = account.simulator.ledger.ids(account.plan.query.filters)
            assert {one.id for one in account.reported} == found
            assert len(account.reported) == pages * PAGE
            assert interruptions > pages // 4
            asked = account.requests["first"] + account.requests["next"]
            assert asked <= 1.05 * pages + 5 + 5 * interruptions

    run(story())


@pytest.mark.parametrize("records", [0, 1, 20, PAGE])
def test_a_nearly_empty_month_is_crossed_in_growing_steps(tmp_path: Path, records: int) -> None:
    async def story() -> None:
        async with tenant(tmp_path, ages=REVISITS, per_page=PAGE, **QUIET) as account:
            await _fill(account, _evenly(records, 30 * DAY), account.clock() - 30 * DAY)
            asked = await _catch_up(account, 30 * DAY)

            assert len(account.reported) == records
            assert asked <= 1.05 + 5

    run(story())
