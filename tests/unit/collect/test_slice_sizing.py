"""How much one walk takes on: less after trouble, as much as before when it is over; waits likewise."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from connector.broadcast import Broadcast
from connector.collect.backoff import FailureBackoff
from connector.collect.slices import SliceSizing
from connector.collect.windows import FIRST_SLICE, LONGEST_SLICE, SECOND
from connector.errors import Unavailable
from connector.facts import CollectionFailed, CollectionRecovered, Fact
from connector.model import Feed, Window
from tests.support.jumping_loop import run

START = datetime(2026, 11, 22, tzinfo=UTC)
LONG = Window(START, START + timedelta(days=30))


def _smallest(sizing: SliceSizing) -> int:
    """Halve until nothing is left to halve; how often that was."""
    count = 0
    while sizing.split("live", sizing.first_slice("live", LONG)):
        count += 1
    return count


def test_trouble_ends_at_one_second_and_small_pages() -> None:
    sizing = SliceSizing(1000)

    assert _smallest(sizing) < 20
    assert sizing.first_slice("live", LONG).length == SECOND
    assert sizing.per_page == 50


def test_pages_are_never_made_larger_than_they_were() -> None:
    sizing = SliceSizing(20)

    assert _smallest(sizing) > 0
    assert sizing.per_page == 20


@pytest.mark.parametrize(("per_hour", "longest"), [(4_000, timedelta(hours=4)), (0.01, LONGEST_SLICE)])
def test_slices_grow_to_sixteen_pages_and_pages_to_what_they_were(
    per_hour: float, longest: timedelta
) -> None:
    sizing = SliceSizing(1000)
    _smallest(sizing)
    for _ in range(20):
        part = sizing.first_slice("live", LONG)
        sizing.adapt("live", part, int(per_hour * part.length / FIRST_SLICE), per_page=1000)

    assert longest * 0.95 <= sizing.first_slice("live", LONG).length <= longest
    assert sizing.per_page == 1000


@pytest.mark.parametrize(
    ("records", "length"),
    [(32_500, FIRST_SLICE / 2), (64_000, FIRST_SLICE / 4), (20_000, FIRST_SLICE), (4_000, 4 * FIRST_SLICE)],
)
def test_a_busy_slice_makes_the_next_one_shorter_and_leaves_other_sweeps_alone(
    records: int, length: timedelta
) -> None:
    sizing = SliceSizing(1000)
    sizing.adapt("live", sizing.first_slice("live", LONG), records, per_page=1000)

    assert length * 0.95 <= sizing.length("live") <= length
    assert sizing.length("revisit_1h") == FIRST_SLICE


def test_a_length_that_was_too_slow_is_not_tried_again_soon() -> None:
    sizing, tried = SliceSizing(1000), 0
    for _ in range(100):
        part = sizing.first_slice("live", LONG)
        if part.length <= FIRST_SLICE * 8:
            sizing.adapt("live", part, 0, per_page=1000)
        else:
            tried += 1
            assert sizing.split("live", part, "search_timeout")

    assert 3 <= tried <= 100 / 16 + 4


def test_a_poll_says_nothing_about_longer_slices() -> None:
    sizing = SliceSizing(1000)
    sizing.adapt("live", Window(START, START + timedelta(minutes=1)), 0, per_page=1000)

    assert sizing.length("live") == FIRST_SLICE


@pytest.mark.parametrize("progress", [True, False])
def test_waits_grow_only_as_long_as_nothing_is_achieved(progress: bool) -> None:
    async def story() -> None:
        facts: list[Fact] = []
        backoff = FailureBackoff(Feed("a", "b"), "live", facts.append, lambda: False, Broadcast())
        began = asyncio.get_running_loop().time()
        for _ in range(30):
            if progress:
                backoff.reset()
            await backoff.wait(Unavailable("HTTP 503"))
        waited = asyncio.get_running_loop().time() - began
        assert (waited < 60) == progress
        backoff.succeeded()
        assert sum(isinstance(fact, CollectionFailed) for fact in facts) == 30
        assert isinstance(facts[-1], CollectionRecovered)

    run(story())
