"""A walk that goes in circles is given up with its reason; what it read so far stays read."""

from __future__ import annotations

import itertools

from connector.errors import WalkAborted
from connector.facts import WalkEnded
from connector.source.options import SourceOptions
from tests.scenarios.source.account import Account, account, in_turn, page, rows, run
from tests.support.scripted_http import Asked, Reply


async def _walk_until_abort(it: Account) -> tuple[list[str], WalkAborted]:
    read, error = await it.read_until_error()
    assert isinstance(error, WalkAborted)
    return read, error


def test_a_cursor_that_comes_again_is_an_abort() -> None:
    async def story() -> None:
        async with account(in_turn(page(rows(0, 2), next="a"), page(rows(2, 2), next="a"))) as it:
            read, aborted = await _walk_until_abort(it)
            assert read == [f"record-{number}" for number in range(4)]
            assert aborted.reason == "repeated_cursor"
            assert [(fact.reason, fact.pages) for fact in it.seen(WalkEnded)] == [("repeated_cursor", 2)]

    run(story())


def test_a_server_that_ignores_the_cursor_does_not_hold_the_walk_for_ever() -> None:
    numbers = itertools.count()

    def same_page(_: Asked) -> Reply:
        return page(rows(0, 3), next=f"cursor-{next(numbers)}")

    async def story() -> None:
        async with account(same_page) as it:
            _, aborted = await _walk_until_abort(it)
            assert aborted.reason == "no_new_records"
            assert len(it.searches) == 21

    run(story())


def test_a_walk_without_end_is_given_up() -> None:
    numbers = itertools.count()

    def endless(_: Asked) -> Reply:
        number = next(numbers)
        return page(rows(number, 1), next=f"cursor-{number}")

    async def story() -> None:
        async with account(endless, options=SourceOptions(max_pages=30)) as it:
            _, aborted = await _walk_until_abort(it)
            assert aborted.reason == "too_many_pages"

    run(story())
