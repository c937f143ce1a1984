"""``next`` may be an address instead of a cursor; only its cursor is used, and only of the same origin."""

from __future__ import annotations

import pytest

from connector.errors import SearchIncomplete
from tests.scenarios.source.account import SEARCH, account, page, rows, run
from tests.support.scripted_http import Asked, Reply, scripted


@pytest.mark.parametrize("form", ["absolute", "rooted"])
def test_the_cursor_is_taken_out_of_the_address(form: str) -> None:
    def answer(asked: Asked) -> Reply:
        if "cursor" in asked.params:
            return page(rows(1, 1))
        path = f"{SEARCH}?per_page=7&cursor=a%2Fb%2Bc"
        return page(rows(0, 1), next=path if form == "rooted" else f"http://{asked.headers['host']}{path}")

    async def story() -> None:
        async with account(answer) as it:
            assert await it.ids() == ["record-0", "record-1"]
            assert it.searches[1].params["cursor"] == "a/b+c"
            assert it.searches[1].params["per_page"] == "1000"

    run(story())


def test_a_cursor_that_begins_with_a_slash_stays_a_cursor() -> None:
    async def story() -> None:
        def answer(asked: Asked) -> Reply:
            return page(rows(1, 1)) if "cursor" in asked.params else page(rows(0, 1), next="/9j/4AAQ==")

        async with account(answer) as it:
            await it.ids()
            assert it.searches[1].params["cursor"] == "/9j/4AAQ=="

    run(story())


def test_another_origin_is_never_asked() -> None:
    async def story() -> None:
        async with scripted(lambda _: page([])) as elsewhere:
            away = f"{elsewhere.url}{SEARCH}?cursor=x"
            async with account(lambda _: page(rows(0, 1), next=away)) as it:
                with pytest.raises(SearchIncomplete, match="foreign_next"):
                    await it.ids()
            assert elsewhere.asked == []

    run(story())


@pytest.mark.parametrize("strange", [{"token": "x"}, ["x"], "https://", "http://[broken"])
def test_a_position_that_cannot_be_read_aborts_instead_of_ending(strange: object) -> None:
    async def story() -> None:
        async with account(lambda _: page(rows(0, 1), next=strange)) as it:
            with pytest.raises(SearchIncomplete):
                await it.ids()

    run(story())
