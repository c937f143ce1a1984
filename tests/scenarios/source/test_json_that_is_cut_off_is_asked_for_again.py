"""A body that stops too early is no answer, wherever it stops; half a page is never taken for a whole."""

from __future__ import annotations

import pytest

from connector.errors import Unavailable
from tests.scenarios.source.account import account, in_turn, page, rows, run
from tests.support.scripted_http import Reply

WHOLE = page(rows(0, 3), next="b").body
JSON = {"content-type": "application/json"}


@pytest.mark.parametrize("length", range(0, len(WHOLE), 17))
def test_wherever_it_is_cut_the_whole_page_comes_in_the_end(length: int) -> None:
    async def story() -> None:
        cut = Reply(200, WHOLE[:length], JSON)
        async with account(in_turn(cut, page(rows(0, 3), next="b"), cut, page(rows(3, 1)))) as it:
            assert await it.ids() == [f"record-{number}" for number in range(4)]

    run(story())


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (b"", "body is empty"),
        (b"  \n", "body is empty"),
        (WHOLE[:-1], "truncated"),
        (b"[]", "not a JSON object"),
    ],
)
def test_where_it_lasts_the_text_says_what_is_wrong(body: bytes, text: str) -> None:
    async def story() -> None:
        async with account(in_turn(Reply(200, body, JSON))) as it:
            read, error = await it.read_until_error()
            assert isinstance(error, Unavailable)
            assert (read, text in str(error)) == ([], True)
            assert len(it.searches) == 4

    run(story())


def test_a_connection_that_ends_within_the_body_is_the_same() -> None:
    head = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(WHOLE)

    async def story() -> None:
        cut = Reply(raw=head + WHOLE[:-5])
        async with account(in_turn(cut, page(rows(0, 3)))) as it:
            assert len(await it.ids()) == 3
            assert len(it.searches) == 2

    run(story())
