"""Parts of the envelope may lack, or say something on success: the result is what counts."""

from __future__ import annotations

import pytest

from connector.errors import Denied
from connector.simulator import Behaviour
from tests.scenarios.source.account import account, in_turn, run
from tests.scenarios.source.simulated import collect, simulated
from tests.support.scripted_http import Reply, json_reply

ROW = [{"id": "a"}]
TOLD = {"code": 10000, "message": "This API Token is valid and active"}


@pytest.mark.parametrize(
    "document",
    [
        {"result": ROW},
        {"success": True, "result": ROW},
        {"success": True, "errors": [], "result": ROW},
        {"success": True, "errors": None, "messages": None, "result": ROW, "result_info": None},
        {"success": True, "errors": [], "messages": [TOLD], "result": ROW},
        {"success": True, "errors": "none", "messages": "none", "result": ROW, "unknown": 1},
    ],
)
def test_the_result_is_read(document: dict[str, object]) -> None:
    async def story() -> None:
        async with account(in_turn(json_reply(document))) as it:
            assert await it.ids() == ["a"]

    run(story())


def test_a_byte_order_mark_before_it_does_not_matter() -> None:
    async def story() -> None:
        async with account(in_turn(Reply(200, b'\xef\xbb\xbf{"success":true,"result":[{"id":"a"}]}'))) as it:
            assert await it.ids() == ["a"]

    run(story())


def test_an_error_with_nothing_but_its_code_has_its_class() -> None:
    least = {"success": False, "errors": [{"code": 10000, "message": "Authentication error"}]}

    async def story() -> None:
        async with account(in_turn(json_reply(least, 403))) as it:
            _, error = await it.read_until_error()
            assert isinstance(error, Denied)
            assert error.code == 10000

    run(story())


def test_the_emulators_bare_envelopes_cost_nothing() -> None:
    async def story() -> None:
        async with simulated(Behaviour(rates={"bare": 1.0})) as it:
            assert it.expected == await collect(it.source)

    run(story())
