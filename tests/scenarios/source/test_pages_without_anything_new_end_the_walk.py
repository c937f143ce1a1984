"""New cursors alone are no progress: pages that hold nothing new end the walk, after a while."""

from __future__ import annotations

import itertools

import pytest

from connector.errors import SearchIncomplete
from connector.source.options import SourceOptions
from tests.scenarios.source.account import Account, account, in_turn, page, rows, run
from tests.support.scripted_http import Asked, Reply


async def _walk_until_abort(it: Account) -> tuple[list[str], SearchIncomplete]:
    read, error = await it.read_until_error()
    assert isinstance(error, SearchIncomplete)
    return read, error


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


def test_empty_pages_that_lead_on_for_ever_end_the_walk() -> None:
    numbers = itertools.count()

    async def story() -> None:
        async with account(lambda _: page([], next=f"cursor-{next(numbers)}")) as it:
            read, aborted = await _walk_until_abort(it)
            assert (read, aborted.reason) == ([], "no_new_records")
            assert len(it.searches) == 20

    run(story())


@pytest.mark.parametrize("barren", [[], rows(0, 1)])
def test_a_few_barren_pages_are_borne(barren: list[dict[str, object]]) -> None:
    async def story() -> None:
        pages_without_new = [page(barren, next=f"barren-{number}") for number in range(15)]
        async with account(in_turn(page(rows(0, 1), next="a"), *pages_without_new, page(rows(1, 1)))) as it:
            assert sorted(set(await it.ids())) == ["record-0", "record-1"]

    run(story())
