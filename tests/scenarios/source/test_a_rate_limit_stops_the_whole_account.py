"""429: nothing of this credential is asked until the API allows it again, not even after a restart."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from connector.errors import JournalFull, Unavailable
from connector.facts import RateLimited, RateLimitRestored
from tests.scenarios.source.account import account, failure, in_turn, page, rows, run
from tests.support.jumping_loop import EPOCH
from tests.support.scripted_http import Reply


class Memory:
    """Notes that survive what a test calls a restart."""

    def __init__(self) -> None:
        self.kept: dict[str, str] = {}

    async def get_value(self, key: str) -> str | None:
        return self.kept.get(key)

    async def set_value(self, key: str, value: str | None) -> None:
        self.kept[key] = value or ""


class Full(Memory):
    async def set_value(self, key: str, value: str | None) -> None:
        raise JournalFull("the disk is full")


LIMIT = failure(429, 10100, "More than 1200 requests per 300 seconds reached", retry_after="420")


def test_the_caller_learns_how_long_to_wait() -> None:
    async def story() -> None:
        async with account(in_turn(LIMIT)) as it:
            _, error = await it.read_until_error()
            assert isinstance(error, Unavailable)
            assert (error.after, error.status, error.code) == (420, 429, 10100)
            fact = it.seen(RateLimited)[0]
            assert fact.seconds == 420
            assert fact.until - EPOCH >= timedelta(seconds=420)
            assert len(it.searches) == 1

    run(story())


@pytest.mark.parametrize(
    ("reply", "seconds"),
    [
        (Reply(429, b"<h1>Error 1015</h1>", {"content-type": "text/html", "retry-after": "90"}), 90),
        (failure(429, retry_after="86400"), 3600),
        (failure(429, retry_after="0"), 1),
    ],
)
def test_it_lasts_as_long_as_the_api_says_up_to_an_hour(reply: Reply, seconds: int) -> None:
    async def story() -> None:
        async with account(in_turn(reply)) as it:
            await it.read_until_error()
            assert it.budget.blocked == pytest.approx(seconds, abs=0.5)

    run(story())


def test_other_requests_of_the_account_wait_too() -> None:
    async def story() -> None:
        async with account(in_turn(LIMIT, page(rows(0, 1)))) as it:
            await it.read_until_error()
            began = it.clock()
            assert await it.ids() == ["record-0"]
            assert (it.clock() - began).total_seconds() == pytest.approx(420, abs=1)

    run(story())


def test_a_walk_with_progress_to_lose_sits_it_out() -> None:
    async def story() -> None:
        async with account(in_turn(page(rows(0, 1), next="a"), LIMIT, page(rows(1, 1)))) as it:
            assert await it.ids() == ["record-0", "record-1"]
            assert len(it.seen(RateLimited)) == 1

    run(story())


def test_a_walk_does_not_sit_out_hours() -> None:
    async def story() -> None:
        replies = in_turn(page(rows(0, 1), next="a"), failure(429, retry_after="3000"))
        async with account(replies) as it:
            read, error = await it.read_until_error()
            assert read == ["record-0"]
            assert isinstance(error, Unavailable)
            assert error.after == 3000

    run(story())


def test_the_pause_survives_a_restart() -> None:
    notes = Memory()

    async def before() -> None:
        async with account(in_turn(LIMIT), notes=notes) as it:
            await it.read_until_error()

    async def after() -> None:
        async with account(in_turn(page([])), notes=notes) as it:
            await asyncio.sleep(100)
            began = it.clock()
            await it.ids()
            assert (it.clock() - began).total_seconds() == pytest.approx(320, abs=1)
            [restored] = it.seen(RateLimitRestored)
            assert restored.until == began + timedelta(seconds=320)

    run(before())
    run(after())


def test_a_wall_clock_set_back_does_not_prolong_the_pause() -> None:
    notes = Memory()
    notes.kept["rate_limit/prod"] = f"{(EPOCH + timedelta(days=30)).isoformat()} 420"

    async def story() -> None:
        async with account(in_turn(page([])), notes=notes) as it:
            await it.ids()
            assert (it.clock() - EPOCH).total_seconds() == pytest.approx(420, abs=1)

    run(story())


@pytest.mark.parametrize("kept", ["", "nonsense", "2026-03-01T11:00:00+00:00 300", "2026-03-01 x"])
def test_an_old_or_damaged_note_stops_nothing(kept: str) -> None:
    notes = Memory()
    notes.kept["rate_limit/prod"] = kept

    async def story() -> None:
        async with account(in_turn(page([])), notes=notes) as it:
            await it.ids()
            assert (it.clock() - EPOCH).total_seconds() < 1

    run(story())


def test_a_full_journal_does_not_break_the_pause() -> None:
    async def story() -> None:
        async with account(in_turn(LIMIT), notes=Full()) as it:
            _, error = await it.read_until_error()
            assert isinstance(error, Unavailable)
            assert it.budget.blocked > 0

    run(story())


def test_an_answer_that_says_nothing_is_left_pauses_before_the_429() -> None:
    exhausted = page(rows(0, 1), headers={"ratelimit": '"burst";r=7;t=1, "default";r=0;t=45'})

    async def story() -> None:
        async with account(in_turn(exhausted, page([]))) as it:
            await it.ids()
            began = it.clock()
            await it.ids()
            assert (it.clock() - began).total_seconds() == pytest.approx(45, abs=1)

    run(story())
