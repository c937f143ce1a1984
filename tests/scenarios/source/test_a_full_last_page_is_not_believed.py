"""A last page that is full may hide more: what lies behind its last record is asked for, where the order of
the records tells that; otherwise the caller is told to look at shorter windows, down to a second."""

from __future__ import annotations

from datetime import timedelta

import pytest

from connector.errors import SearchIncomplete
from connector.model import Query
from tests.scenarios.source.account import HOUR, SECOND, account, in_turn, page, rows, run


def test_a_full_page_without_next_aborts_after_it_was_read() -> None:
    async def story() -> None:
        async with account(in_turn(page(rows(0, 3)))) as it:
            read, error = await it.read_until_error(Query(per_page=3))
            assert len(read) == 3
            assert isinstance(error, SearchIncomplete)
            assert error.reason == "full_page_without_next"

    run(story())


@pytest.mark.parametrize("newest_first", [True, False])
def test_only_the_tail_of_a_search_in_order_is_requested_again(newest_first: bool) -> None:
    """The second of the last record is asked for again: more records may share it."""
    timed = [
        {
            "id": f"record-{number}",
            "scanned_at": f"{HOUR.start + timedelta(seconds=number):%Y-%m-%dT%H:%M:%SZ}",
        }
        for number in range(1, 61)
    ]
    if newest_first:
        timed.reverse()

    async def story() -> None:
        answers = [page(timed[:30]), page([*timed[29:30], *timed[30:58]]), page([])]
        async with account(in_turn(*answers)) as it:
            assert set(await it.ids(Query(per_page=30))) == {row["id"] for row in timed[:58]}
            asked = [search.params for search in it.searches]
            assert len(asked) == 2
            edge = HOUR.start + timedelta(seconds=31 if newest_first else 30)
            if newest_first:
                assert asked[1]["start"] == asked[0]["start"]
                assert asked[1]["end"] == f"{edge + 2 * SECOND.length:%Y-%m-%dT%H:%M:%SZ}"
            else:
                assert asked[1]["start"] == f"{edge - SECOND.length:%Y-%m-%dT%H:%M:%SZ}"
                assert asked[1]["end"] == asked[0]["end"]

    run(story())


def test_within_a_second_it_is_all_there_is() -> None:
    async def story() -> None:
        async with account(in_turn(page(rows(0, 3)))) as it:
            assert len(await it.ids(Query(per_page=3), SECOND)) == 3

    run(story())


def test_a_page_size_that_the_api_was_seen_to_use_is_remembered() -> None:
    capped = {"per_page": 100}

    async def story() -> None:
        async with account(in_turn(page(rows(0, 5), info=capped), page(rows(0, 100), info=capped))) as it:
            assert len(await it.ids()) == 5
            with pytest.raises(SearchIncomplete, match="full_page_without_next"):
                await it.ids()

    run(story())


def test_a_mere_count_of_rows_is_not_mistaken_for_a_page_size() -> None:
    async def story() -> None:
        async with account(in_turn(page(rows(0, 100), info={"per_page": 100}))) as it:
            assert len(await it.ids()) == 100

    run(story())


def test_a_last_page_as_large_as_the_largest_before_was_cut_to_the_same_size() -> None:
    cut = [page(rows(0, 17), next="a"), page(rows(17, 17), next="b")]

    async def story() -> None:
        async with account(in_turn(*cut, page(rows(34, 17)))) as it:
            read, error = await it.read_until_error()
            assert len(read) == 51
            assert isinstance(error, SearchIncomplete)
            assert error.reason == "full_page_without_next"
        async with account(in_turn(*cut, page(rows(34, 16)))) as it:
            assert len(await it.ids()) == 50
        async with account(in_turn(page(rows(0, 1), next="a"), page(rows(1, 1)))) as it:
            assert len(await it.ids()) == 2

    run(story())
