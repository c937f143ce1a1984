"""A result that is not ready may look like an empty one: it is believed after the search was repeated."""

from __future__ import annotations

import pytest

from connector.facts import SearchDeferred
from connector.simulator import Behaviour
from tests.scenarios.source.account import (
    POLL,
    SEARCH,
    account,
    deferred,
    in_turn,
    page,
    rows,
    run,
)
from tests.scenarios.source.simulated import collect, simulated
from tests.support.scripted_http import Asked, Reply


def test_an_empty_end_is_confirmed_by_searching_again() -> None:
    async def story() -> None:
        async with account(in_turn(deferred(), page([]), page(rows(0, 1)))) as it:
            assert await it.ids() == ["record-0"]
            assert [asked.path for asked in it.server.asked] == [SEARCH, POLL, SEARCH]
        async with account(in_turn(deferred(), page([]), page([]))) as it:
            assert await it.ids() == []
            assert it.seen(SearchDeferred)[-1].outcome == "empty"

    run(story())


def test_a_server_that_says_empty_while_it_still_works_loses_nothing() -> None:
    replies = in_turn(deferred(), page([]), deferred(), page([]), deferred(), page(rows(0, 1)))

    async def story() -> None:
        async with account(replies) as it:
            assert await it.ids() == ["record-0"]

    run(story())


@pytest.mark.parametrize("looks", [1, 5, 12])
def test_however_long_the_emulator_shows_pending_as_empty_every_record_comes(looks: int) -> None:
    async def story() -> None:
        async with simulated(Behaviour(pending=looks, pending_shown="200-empty")) as it:
            assert it.expected <= await collect(it.source)

    run(story())


def test_an_api_that_defers_everything_can_still_say_that_there_is_nothing() -> None:
    """Each search gets a place of its own: three different searches that end empty are believed."""
    numbers = iter(range(100))

    def answer(asked: Asked) -> Reply:
        return deferred(f"{POLL}{next(numbers)}") if asked.path == SEARCH else page([])

    async def story() -> None:
        async with account(answer) as it:
            assert await it.ids() == []
            assert len(it.searches) == 3
            assert it.seen(SearchDeferred)[-1].outcome == "empty"

    run(story())


def test_an_api_that_shows_pending_as_202_is_believed_sooner() -> None:
    """The place is the same every time, but it says 202 while it works: its empty 200 is the end."""
    looks = iter([True, False, False, False])

    def answer(asked: Asked) -> Reply:
        return deferred() if asked.path == SEARCH or next(looks) else page([])

    async def story() -> None:
        async with account(answer) as it:
            assert await it.ids() == []
            assert len(it.searches) == 3

    run(story())
