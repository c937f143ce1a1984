"""How much one walk takes on: less after trouble, as much as before when it is over; waits likewise."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from connector.collect.backoff import Patience
from connector.collect.slices import Pace
from connector.collect.windows import LONGEST_SLICE, SECOND
from connector.errors import Unavailable
from connector.facts import CollectionFailed, CollectionRecovered, Fact
from connector.model import Feed, Window
from tests.support.jumping_loop import run

START = datetime(2026, 11, 22, tzinfo=UTC)
LONG = Window(START, START + timedelta(days=3))


def _smallest(pace: Pace) -> int:
    """Halve until nothing is left to halve; how often that was."""
    count = 0
    while pace.halve("live", pace.cut("live", LONG)):
        count += 1
    return count


def test_trouble_ends_at_one_second_and_small_pages() -> None:
    pace = Pace(1000)

    assert _smallest(pace) < 20
    assert pace.cut("live", LONG).length == SECOND
    assert pace.per_page == 50


def test_pages_are_never_made_larger_than_they_were() -> None:
    pace = Pace(20)

    assert _smallest(pace) > 0
    assert pace.per_page == 20


def test_after_calm_slices_all_is_as_before() -> None:
    pace = Pace(1000)
    _smallest(pace)
    for _ in range(12):
        part = pace.cut("live", LONG)
        pace.adapt("live", part, records=3, per_page=pace.per_page)

    assert pace.cut("live", LONG).length == LONGEST_SLICE
    assert pace.per_page == 1000


def test_a_slice_full_of_mail_makes_the_next_one_shorter_and_leaves_other_sweeps_alone() -> None:
    pace = Pace(1000)
    pace.adapt("live", pace.cut("live", LONG), records=21_000, per_page=1000)

    assert pace.length("live") == LONGEST_SLICE / 2
    assert pace.length("revisit_1h") == LONGEST_SLICE


@pytest.mark.parametrize("progress", [True, False])
def test_waits_grow_only_as_long_as_nothing_is_achieved(progress: bool) -> None:
    async def story() -> None:
        facts: list[Fact] = []
        patience = Patience(Feed("a", "b"), "live", facts.append, lambda: False)
        began = asyncio.get_running_loop().time()
        for _ in range(30):
            if progress:
                patience.progressed()
            await patience.bear(Unavailable("HTTP 503"))
        waited = asyncio.get_running_loop().time() - began
        assert (waited < 60) == progress
        patience.succeeded()
        assert sum(isinstance(fact, CollectionFailed) for fact in facts) == 30
        assert isinstance(facts[-1], CollectionRecovered)

    run(story())
