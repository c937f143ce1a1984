"""A cursor that comes again would lead in circles: the walk is given up, what it read stays read."""

from __future__ import annotations

import itertools

from connector.errors import SearchIncomplete
from connector.facts import SearchAborted
from tests.scenarios.source.account import Account, account, in_turn, page, rows, run
from tests.support.scripted_http import Asked, Reply


async def _walk_until_abort(it: Account) -> tuple[list[str], SearchIncomplete]:
    read, error = await it.read_until_error()
    assert isinstance(error, SearchIncomplete)
    return read, error


def test_a_cursor_that_comes_again_is_an_abort() -> None:
    async def story() -> None:
        async with account(in_turn(page(rows(0, 2), next="a"), page(rows(2, 2), next="a"))) as it:
            read, aborted = await _walk_until_abort(it)
            assert read == [f"record-{number}" for number in range(4)]
            assert aborted.reason == "repeated_cursor"
            assert [(fact.reason, fact.pages) for fact in it.seen(SearchAborted)] == [("repeated_cursor", 2)]

    run(story())


def test_a_cursor_of_long_ago_counts_as_repeated() -> None:
    numbers = itertools.count()

    def answer(_: Asked) -> Reply:
        number = next(numbers)
        return page(rows(number, 1), next=f"cursor-{number % 30}")

    async def story() -> None:
        async with account(answer) as it:
            read, aborted = await _walk_until_abort(it)
            assert aborted.reason == "repeated_cursor"
            assert len(read) == 31

    run(story())
