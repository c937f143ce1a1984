"""The API's clock counts: a window is asked with a margin, but never begins where the API has not been."""

from __future__ import annotations

import contextlib
from datetime import datetime, timedelta

import pytest

from connector.errors import BadQuery, SourceError, Unavailable
from connector.facts import ClockSkewed
from connector.model import Query, Window
from tests.scenarios.source.account import HOUR, account, failure, http_date, in_turn, page, rows, run
from tests.support.jumping_loop import EPOCH
from tests.support.scripted_http import Asked, Reply

MINUTE = timedelta(minutes=1)
LATE = "start must not be in the future"


def test_a_second_is_added_at_both_ends_of_whole_seconds() -> None:
    async def story() -> None:
        odd = Window(EPOCH - timedelta(seconds=59.25), EPOCH - timedelta(seconds=0.75))
        async with account(in_turn(page([]))) as it:
            await it.ids(window=odd)
            params = it.searches[0].params
        assert (params["start"], params["end"]) == ("2026-03-01T11:58:59Z", "2026-03-01T12:00:01Z")

    run(story())


def test_the_clock_is_the_servers_after_its_first_answer() -> None:
    behind = EPOCH - 10 * MINUTE

    async def story() -> None:
        async with account(in_turn(page([], headers={"date": http_date(behind)}))) as it:
            assert it.source.now() == it.clock()
            await it.ids(window=Window(EPOCH - 60 * MINUTE, EPOCH - 30 * MINUTE))
            assert abs(it.source.now() - behind) < timedelta(seconds=2)
            assert it.seen(ClockSkewed)[0].seconds == pytest.approx(-600, abs=2)

    run(story())


def test_a_window_that_ends_in_the_servers_future_is_not_completed() -> None:
    behind = EPOCH - 10 * MINUTE

    async def story() -> None:
        async with account(in_turn(page(rows(0, 1), headers={"date": http_date(behind)}))) as it:
            read, error = await it.read_until_error()
            assert read == []
            assert isinstance(error, Unavailable)
            assert "synchronize" in str(error)
            assert await it.ids(window=Window(HOUR.start, it.source.now())) == ["record-0"]

    run(story())


def test_the_start_is_pulled_back_to_the_servers_clock() -> None:
    behind = EPOCH - timedelta(seconds=4)

    async def story() -> None:
        async with account(in_turn(page([], headers={"date": http_date(behind)}))) as it:
            await it.ids()
            await it.ids(window=Window(EPOCH, EPOCH))
            assert it.searches[1].params["start"] <= "2026-03-01T11:59:56Z"

    run(story())


def test_a_start_that_the_api_takes_for_the_future_is_asked_earlier() -> None:
    def answer(asked: Asked) -> Reply:
        if datetime.fromisoformat(asked.params["start"]) > EPOCH - 30 * MINUTE:
            return failure(400, 1001, LATE)
        return page(rows(0, 1), next=None if "cursor" in asked.params else "a")

    async def story() -> None:
        async with account(answer) as it:
            await it.ids(Query(per_page=5), Window(EPOCH - MINUTE, EPOCH))
            starts = [asked.params["start"] for asked in it.searches]
            assert len(starts) == 4
            assert starts[2] == starts[3] == "2026-03-01T10:58:59Z"

    run(story())


def test_an_api_that_insists_is_believed() -> None:
    async def story() -> None:
        async with account(in_turn(failure(400, 1001, LATE))) as it:
            _, error = await it.read_until_error()
            assert isinstance(error, BadQuery)
            assert len(it.searches) == 4

    run(story())


@pytest.mark.parametrize(
    "reply",
    [
        failure(502, date="Thu, 01 Jan 1970 00:00:00 GMT"),
        Reply(200, b"<html>portal</html>", {"date": "Thu, 01 Jan 1970 00:00:00 GMT"}),
        failure(403, 10000, "no", date="Thu, 01 Jan 1970 00:00:00 GMT"),
        page([], headers={"date": "yesterday"}),
    ],
)
def test_only_a_good_answer_tells_the_time(reply: Reply) -> None:
    async def story() -> None:
        async with account(in_turn(reply, page([]))) as it:
            # Some of these fail and some do not; the clock is all that matters here.
            with contextlib.suppress(SourceError):
                await it.ids()
            assert it.source.now() == it.clock()

    run(story())
