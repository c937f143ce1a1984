"""The API keeps the result of a deferred search for a while only: one it forgot is asked for again."""

from __future__ import annotations

from datetime import timedelta

import pytest

from connector.errors import SearchIncomplete, Unavailable
from connector.facts import SearchDeferred
from connector.simulator import Behaviour
from tests.scenarios.source.account import POLL, SEARCH, account, deferred, failure, in_turn, page, rows, run
from tests.scenarios.source.simulated import collect, simulated
from tests.support.scripted_http import Asked, Reply


@pytest.mark.parametrize("status", [404, 410])
def test_a_search_that_the_api_forgot_starts_again(status: int) -> None:
    replies = in_turn(deferred(), failure(status, 1002, "expired"), deferred(), page(rows(0, 1)))

    async def story() -> None:
        async with account(replies) as it:
            assert await it.ids() == ["record-0"]
            assert [asked.path for asked in it.server.asked] == [SEARCH, POLL, SEARCH, POLL]

    run(story())


def test_one_that_is_forgotten_again_and_again_asks_for_a_shorter_window() -> None:
    def answer(asked: Asked) -> Reply:
        if asked.path == POLL:
            return failure(404, 1002, "expired")
        return page(rows(0, 1)) if asked.params["per_page"] == "1" else deferred()

    async def story() -> None:
        async with account(answer) as it:
            _, error = await it.read_until_error()
            assert isinstance(error, SearchIncomplete)
            assert error.reason == "pending_expired"
            assert len([asked for asked in it.searches if asked.params["per_page"] != "1"]) == 3
            assert {fact.outcome for fact in it.seen(SearchDeferred)} == {"expired"}

    run(story())


def test_an_api_that_forgets_even_the_smallest_search_is_unavailable() -> None:
    def answer(asked: Asked) -> Reply:
        return deferred() if asked.path == SEARCH else failure(410, 1002, "expired")

    async def story() -> None:
        async with account(answer) as it:
            _, error = await it.read_until_error()
            assert isinstance(error, Unavailable)

    run(story())


@pytest.mark.parametrize("status", [404, 410])
def test_results_that_live_shortly_give_every_record(status: int) -> None:
    behaviour = Behaviour(
        pending=1, pending_on="every", pending_lifetime=timedelta(seconds=2), pending_expired=status
    )

    async def story() -> None:
        async with simulated(behaviour, backlog=200) as it:
            assert it.expected <= await collect(it.source)

    run(story())
