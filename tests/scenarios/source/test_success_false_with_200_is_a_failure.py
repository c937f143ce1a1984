"""``success: false`` in a 200 is a failure with Cloudflare's words, never an empty result."""

from __future__ import annotations

import pytest

from connector.errors import Unavailable
from tests.scenarios.source.account import account, failure, in_turn, page, rows, run
from tests.support.scripted_http import Reply, json_reply

WITH_ROWS = json_reply({"success": False, "errors": [], "messages": [], "result": rows(9, 1)})


@pytest.mark.parametrize("reply", [failure(200, 1234, "internal problem"), failure(200), WITH_ROWS])
def test_it_is_tried_again_in_place(reply: Reply) -> None:
    async def story() -> None:
        async with account(in_turn(page(rows(0, 1), next="a"), reply, page(rows(1, 1)))) as it:
            assert await it.ids() == ["record-0", "record-1"]

    run(story())


@pytest.mark.parametrize(
    ("reply", "text"),
    [
        (failure(200, 1234, "internal problem"), "internal problem (1234)"),
        (failure(200), "no reason given"),
        (json_reply({"success": False, "errors": None}), "no reason given"),
        (json_reply({"success": False, "errors": ["x", {"message": None}]}), "no text given"),
    ],
)
def test_where_it_lasts_its_words_are_reported(reply: Reply, text: str) -> None:
    async def story() -> None:
        async with account(in_turn(reply)) as it:
            read, error = await it.read_until_error()
            assert isinstance(error, Unavailable)
            assert (read, text in str(error), "reported a failure" in str(error)) == ([], True, True)

    run(story())
