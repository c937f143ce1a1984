"""202 with ``Location``: looked after until the result is there, and never taken for an empty result."""

from __future__ import annotations

import itertools

import pytest

from connector.errors import Unavailable, WalkAborted
from connector.facts import RequestAnswered, SearchPending
from tests.scenarios.source.account import SEARCH, TOKEN, account, failure, in_turn, page, rows, run
from tests.support.scripted_http import Asked, Reply, scripted

POLL = "/client/v4/polls/7"


def deferred(location: str | None = POLL, **headers: str) -> Reply:
    given = {"location": location} if location is not None else {}
    return page([], status=202, headers={**given, **headers})


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
            assert [(fact.outcome, fact.polls) for fact in it.seen(SearchPending)] == [("ready", 1)]
            assert [fact.outcome for fact in it.seen(RequestAnswered)] == ["pending", "ok"]

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


def test_a_search_that_is_never_done_is_aborted_at_the_deadline() -> None:
    async def story() -> None:
        async with account(in_turn(deferred())) as it:
            began = it.clock()
            _, error = await it.read_until_error()
            assert isinstance(error, WalkAborted)
            assert error.reason == "pending_timeout"
            assert (it.clock() - began).total_seconds() == pytest.approx(120, abs=1)
            assert it.seen(SearchPending)[-1].outcome == "timeout"

    run(story())


@pytest.mark.parametrize("status", [404, 410])
def test_a_search_that_the_api_forgot_starts_again(status: int) -> None:
    replies = in_turn(deferred(), failure(status, 1002, "expired"), deferred(), page(rows(0, 1)))

    async def story() -> None:
        async with account(replies) as it:
            assert await it.ids() == ["record-0"]
            assert [asked.path for asked in it.server.asked] == [SEARCH, POLL, SEARCH, POLL]

    run(story())


def test_a_search_that_is_forgotten_again_and_again_is_aborted() -> None:
    def answer(asked: Asked) -> Reply:
        return deferred() if asked.path == SEARCH else failure(404, 1002, "expired")

    async def story() -> None:
        async with account(answer) as it:
            _, error = await it.read_until_error()
            assert isinstance(error, WalkAborted)
            assert error.reason == "pending_expired"
            assert len(it.searches) == 3

    run(story())


def test_an_empty_end_is_confirmed_by_searching_again() -> None:
    async def story() -> None:
        async with account(in_turn(deferred(), page([]), page(rows(0, 1)))) as it:
            assert await it.ids() == ["record-0"]
            assert [asked.path for asked in it.server.asked] == [SEARCH, POLL, SEARCH]
        async with account(in_turn(deferred(), page([]), page([]))) as it:
            assert await it.ids() == []
            assert it.seen(SearchPending)[-1].outcome == "empty"

    run(story())


def test_a_server_that_says_empty_while_it_still_works_loses_nothing() -> None:
    replies = in_turn(deferred(), page([]), deferred(), page([]), deferred(), page(rows(0, 1)))

    async def story() -> None:
        async with account(replies) as it:
            assert await it.ids() == ["record-0"]

    run(story())


def test_without_an_address_the_search_itself_is_asked_again() -> None:
    async def story() -> None:
        async with account(in_turn(deferred(None), deferred(None), page(rows(0, 1)))) as it:
            assert await it.ids() == ["record-0"]
            assert len({tuple(asked.params.items()) for asked in it.searches}) == 1

    run(story())


def test_an_address_elsewhere_gets_no_credential() -> None:
    async def story() -> None:
        async with scripted(lambda _: page(rows(0, 1))) as elsewhere:
            for location in (
                f"{elsewhere.url}{POLL}",
                f"//127.0.0.1:{elsewhere.port}{POLL}",
                "http://[broken",
            ):
                async with account(in_turn(deferred(location))) as it:
                    _, error = await it.read_until_error()
                    assert isinstance(error, WalkAborted)
                    assert error.reason == "foreign_location"
            assert elsewhere.asked == []

    run(story())


def test_an_address_with_a_user_in_it_cannot_replace_the_credential() -> None:
    def answer(asked: Asked) -> Reply:
        return deferred(f"http://user:password@{asked.headers['host']}{POLL}")

    async def story() -> None:
        async with account(answer) as it:
            _, error = await it.read_until_error()
            assert isinstance(error, WalkAborted)
            assert len(it.server.asked) == 1

    run(story())


def test_a_failure_while_looking_is_tried_again_and_then_unavailable() -> None:
    async def story() -> None:
        async with account(in_turn(deferred(), failure(502), failure(502), page(rows(0, 1)))) as it:
            assert await it.ids() == ["record-0"]
        async with account(in_turn(deferred(), failure(502))) as it:
            _, error = await it.read_until_error()
            assert isinstance(error, Unavailable)
            assert it.seen(SearchPending)[-1].outcome == "unavailable"

    run(story())


def test_a_rate_limit_while_looking_is_no_fault_of_the_search() -> None:
    async def story() -> None:
        async with account(in_turn(deferred(), failure(429, retry_after="200"))) as it:
            _, error = await it.read_until_error()
            assert isinstance(error, Unavailable)
            assert error.after == 200

    run(story())
