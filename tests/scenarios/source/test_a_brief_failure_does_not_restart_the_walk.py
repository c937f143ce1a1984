"""A failure in the middle of a walk is tried again in place; only a lasting one ends the walk."""

from __future__ import annotations

import pytest

from connector.errors import Unavailable
from connector.facts import RequestAnswered, RequestRetried
from tests.scenarios.source.account import account, failure, html, in_turn, page, rows, run
from tests.support.scripted_http import Asked, Reply

BRIEF = {
    "408": failure(408),
    "500": failure(500),
    "530 with 1016": Reply(530, b"error code: 1016", {"content-type": "text/plain"}),
    "502 as HTML": html(502),
    "reset": Reply(raw=b""),
    "empty body": Reply(200, b"", {"content-type": "application/json"}),
    "success false": failure(200, 1234, "internal problem"),
    "result null": page(None, info={"count": 3}),
}


@pytest.mark.parametrize("name", BRIEF)
def test_the_walk_goes_on_where_it_was(name: str) -> None:
    replies = in_turn(page(rows(0, 1), next="a"), BRIEF[name], BRIEF[name], page(rows(1, 1)))

    async def story() -> None:
        async with account(replies) as it:
            assert await it.ids() == ["record-0", "record-1"]
            assert [asked.params.get("cursor") for asked in it.searches] == [None, "a", "a", "a"]
            assert len(it.seen(RequestRetried)) == 2

    run(story())


@pytest.mark.parametrize("name", BRIEF)
def test_what_lasts_is_unavailable_after_a_few_tries(name: str) -> None:
    async def story() -> None:
        async with account(in_turn(BRIEF[name])) as it:
            _, error = await it.read_until_error()
            assert isinstance(error, Unavailable)
            assert len(it.searches) == 4
            assert {fact.outcome for fact in it.seen(RequestAnswered)} == {"unavailable"}

    run(story())


def test_a_server_that_asks_for_a_short_wait_gets_it() -> None:
    times = []

    async def story() -> None:
        waiting = [failure(503, retry_after="20"), page(rows(0, 1))]

        def answer(_: Asked) -> Reply:
            times.append(it.clock())
            return waiting.pop(0)

        async with account(answer) as it:
            assert await it.ids() == ["record-0"]
        assert (times[1] - times[0]).total_seconds() >= 20

    run(story())


def test_a_long_wait_is_left_to_the_caller() -> None:
    async def story() -> None:
        async with account(in_turn(failure(503, retry_after="3600"))) as it:
            _, error = await it.read_until_error()
            assert isinstance(error, Unavailable)
            assert error.after == 3600
            assert len(it.searches) == 1

    run(story())
