"""202 with ``Location``: looked after until the result is there, and never taken for an empty result."""

from __future__ import annotations

import itertools

import pytest

from connector.errors import Unavailable
from connector.facts import RequestAnswered, SearchDeferred
from connector.simulator import Behaviour
from tests.scenarios.source.account import (
    POLL,
    SEARCH,
    TOKEN,
    account,
    deferred,
    failure,
    in_turn,
    page,
    rows,
    run,
)
from tests.scenarios.source.simulated import collect, simulated
from tests.support.scripted_http import Asked, Reply


@pytest.mark.parametrize("form", [POLL, "polls/7", "absolute"])
def test_location_may_be_rooted_relative_or_absolute(form: str) -> None:
    base = SEARCH.rpartition("/")[0]

    def answer(asked: Asked) -> Reply:
        if asked.path == SEARCH:
            return deferred(f"http://{asked.headers['host']}{POLL}" if form == "absolute" else form)
        return page(rows(0, 2))

    async def story() -> None:
        async with account(answer) as it:
            assert await it.ids() == ["record-0", "record-1"]
            poll = it.server.asked[1]
            assert poll.path == (f"{base}/polls/7" if form == "polls/7" else POLL)
            assert poll.headers["authorization"] == f"Bearer {TOKEN}"
            assert [(fact.outcome, fact.polls) for fact in it.seen(SearchDeferred)] == [("ready", 1)]
            assert [fact.outcome for fact in it.seen(RequestAnswered)] == ["deferred", "ok"]

    run(story())


def test_a_result_with_further_pages_goes_on_at_the_search() -> None:
    def answer(asked: Asked) -> Reply:
        if asked.path == POLL:
            return page(rows(0, 1), next="a")
        return page(rows(1, 1)) if "cursor" in asked.params else deferred()

    async def story() -> None:
        async with account(answer) as it:
            assert await it.ids() == ["record-0", "record-1"]
            assert it.searches[1].params["start"] == it.searches[0].params["start"]

    run(story())


def test_looking_waits_longer_each_time_and_as_long_as_asked() -> None:
    moved = "/client/v4/polls/8"
    replies = [deferred(), deferred(retry_after="30"), deferred(moved), deferred(None), page(rows(0, 1))]

    async def story() -> None:
        times = []

        def answer(asked: Asked) -> Reply:
            times.append(it.clock())
            return replies.pop(0)

        async with account(answer) as it:
            assert await it.ids() == ["record-0"]
            assert [asked.path for asked in it.server.asked] == [SEARCH, POLL, POLL, moved, moved]
        waits = [(after - before).total_seconds() for before, after in itertools.pairwise(times)]
        assert waits[1] >= 30
        assert 0 < waits[0] < waits[2] < waits[3]

    run(story())


def test_without_an_address_the_search_itself_is_asked_again() -> None:
    async def story() -> None:
        async with account(in_turn(deferred(None), deferred(None), page(rows(0, 1)))) as it:
            assert await it.ids() == ["record-0"]
            assert len({tuple(asked.params.items()) for asked in it.searches}) == 1

    run(story())


def test_a_failure_while_looking_is_tried_again_and_then_unavailable() -> None:
    async def story() -> None:
        async with account(in_turn(deferred(), failure(502), failure(502), page(rows(0, 1)))) as it:
            assert await it.ids() == ["record-0"]
        async with account(in_turn(deferred(), failure(502))) as it:
            _, error = await it.read_until_error()
            assert isinstance(error, Unavailable)
            assert it.seen(SearchDeferred)[-1].outcome == "unavailable"

    run(story())


def test_a_rate_limit_while_looking_is_no_fault_of_the_search() -> None:
    async def story() -> None:
        async with account(in_turn(deferred(), failure(429, retry_after="200"))) as it:
            _, error = await it.read_until_error()
            assert isinstance(error, Unavailable)
            assert error.after == 200

    run(story())


@pytest.mark.parametrize("location", ["absolute", "relative"])
def test_chains_of_deferred_pages_give_every_record(location: str) -> None:
    behaviour = Behaviour(pending=4, pending_on="every", pending_location=location)  # type: ignore[arg-type]

    async def story() -> None:
        async with simulated(behaviour, backlog=200) as it:
            assert it.expected <= await collect(it.source)
            assert it.asked.count("poll") >= 4 * it.asked.count("next")

    run(story())
