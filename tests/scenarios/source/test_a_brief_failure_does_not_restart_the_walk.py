"""A failure in the middle of a walk is tried again in place; only a lasting one ends the walk."""

from __future__ import annotations

import asyncio

import pytest

from connector.errors import Unavailable, WalkAborted
from connector.facts import RequestAnswered, RequestRetried
from tests.scenarios.source.account import account, failure, in_turn, page, rows, run
from tests.support.scripted_http import Asked, Reply

HTML = b"<html><head><title>504 Gateway Time-out</title></head></html>"
CUT = Reply(raw=b'HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 99\r\n\r\n{"succ')

BRIEF = {
    "500": failure(500),
    "502 as HTML": Reply(502, HTML, {"content-type": "text/html"}),
    "504 as HTML": Reply(504, HTML, {"content-type": "text/html"}),
    "520": Reply(520, b"error code: 520", {"content-type": "text/plain"}),
    "530 with 1016": Reply(530, b"error code: 1016", {"content-type": "text/plain"}),
    "408": failure(408),
    "reset": Reply(raw=b""),
    "cut off": CUT,
    "truncated JSON": Reply(200, b'{"success": true, "result": [{"id"', {"content-type": "application/json"}),
    "HTML with 200": Reply(200, HTML, {"content-type": "text/html"}),
    "empty body": Reply(200, b"", {"content-type": "application/json"}),
    "no object": Reply(200, b"[]", {"content-type": "application/json"}),
    "success false": failure(200, 1234, "internal problem"),
    "result null": page(None, info={"count": 3}),
    "result no list": page({"id": "x"}),
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


@pytest.mark.parametrize("name", [name for name in BRIEF if "504" not in name])
def test_what_lasts_is_unavailable_after_a_few_tries(name: str) -> None:
    async def story() -> None:
        async with account(in_turn(BRIEF[name])) as it:
            _, error = await it.read_until_error()
            assert isinstance(error, Unavailable)
            assert len(it.searches) == 4
            assert {fact.outcome for fact in it.seen(RequestAnswered)} == {"Unavailable"}

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


def test_an_answer_too_large_asks_for_a_shorter_window() -> None:
    async def story() -> None:
        async with account(in_turn(page(rows(0, 5000))), max_body=10_000) as it:
            _, error = await it.read_until_error()
            assert isinstance(error, WalkAborted)
            assert error.reason == "answer_too_large"

    run(story())


@pytest.mark.parametrize("status", [504, 524])
def test_a_search_that_takes_too_long_asks_for_a_shorter_window(status: int) -> None:
    async def story() -> None:
        async with account(in_turn(Reply(status, HTML, {"content-type": "text/html"}))) as it:
            _, error = await it.read_until_error()
            assert isinstance(error, WalkAborted)
            assert (error.reason, error.status) == ("search_timeout", status)
            assert len(it.searches) == 4

    run(story())


def test_a_search_without_any_answer_asks_for_a_shorter_window() -> None:
    async def story() -> None:
        never = asyncio.Event()
        async with account(lambda _: Reply(hold=never)) as it:
            _, error = await it.read_until_error()
            assert isinstance(error, WalkAborted)
            assert error.reason == "search_timeout"
            assert "30 s" in str(error)

    run(story())


def test_nobody_there_is_unavailable() -> None:
    async def story() -> None:
        async with account(in_turn(page([]))) as it:
            it.source._url = "http://127.0.0.1:1/client/v4"
            _, error = await it.read_until_error()
            assert isinstance(error, Unavailable)
            assert "127.0.0.1:1" in error.reason

    run(story())
