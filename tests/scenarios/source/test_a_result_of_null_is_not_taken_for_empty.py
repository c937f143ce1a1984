"""``result: null`` says nothing about the mail there is; only an answer that counts none is empty."""

from __future__ import annotations

import pytest

from connector.errors import Unavailable
from tests.scenarios.source.account import account, in_turn, page, rows, run
from tests.support.scripted_http import Reply, json_reply

FORMS = {
    "null": json_reply({"success": True, "errors": [], "messages": [], "result": None}),
    "null, but counted": page(None, info={"count": 3}),
    "absent": json_reply({"success": True, "errors": [], "messages": []}),
    "an object": page({"id": "x"}),
    "a text": page("none"),
    "a number": page(0),
}


@pytest.mark.parametrize("name", FORMS)
def test_it_is_tried_again_and_then_unavailable(name: str) -> None:
    async def story() -> None:
        async with account(in_turn(page(rows(0, 1), next="a"), FORMS[name], page(rows(1, 1)))) as it:
            assert await it.ids() == ["record-0", "record-1"]
        async with account(in_turn(FORMS[name])) as it:
            _, error = await it.read_until_error()
            assert isinstance(error, Unavailable)
            assert "the result is not a list" in str(error)

    run(story())


@pytest.mark.parametrize("reply", [page([]), page(None, info={"count": 0})])
def test_an_answer_that_counts_nothing_is_empty(reply: Reply) -> None:
    async def story() -> None:
        async with account(in_turn(reply)) as it:
            assert await it.ids() == []
            assert len(it.searches) == 1

    run(story())
