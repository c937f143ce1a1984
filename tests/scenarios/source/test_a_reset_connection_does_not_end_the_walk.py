"""Connections break: before an answer, within it, and while nobody looks. The walk goes on where it was."""

from __future__ import annotations

import pytest

from connector.errors import Unavailable
from connector.simulator import Behaviour
from tests.scenarios.source.account import account, in_turn, page, rows, run
from tests.scenarios.source.simulated import collect, simulated
from tests.support.scripted_http import Reply

HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 999\r\n\r\n"
BROKEN = {
    "no answer": b"",
    "within the head": HEAD[:25],
    "after the head": HEAD,
    "within the body": HEAD + b'{"success":true,"result":[{"id":"x"}',
    "no HTTP": b"\x16\x03\x01\x00garbage\r\n\r\n",
}


@pytest.mark.parametrize("name", BROKEN)
def test_the_same_page_is_asked_for_again(name: str) -> None:
    async def story() -> None:
        broken = Reply(raw=BROKEN[name])
        async with account(in_turn(page(rows(0, 1), next="a"), broken, broken, page(rows(1, 1)))) as it:
            assert await it.ids() == ["record-0", "record-1"]
            assert [asked.params.get("cursor") for asked in it.searches] == [None, "a", "a", "a"]

    run(story())


@pytest.mark.parametrize("name", BROKEN)
def test_where_it_lasts_the_text_names_the_other_side(name: str) -> None:
    async def story() -> None:
        async with account(in_turn(Reply(raw=BROKEN[name]))) as it:
            _, error = await it.read_until_error()
            assert isinstance(error, Unavailable)
            assert f"127.0.0.1:{it.server.port}" in error.reason

    run(story())


@pytest.mark.parametrize("fault", ["reset", "cut"])
def test_the_emulators_resets_cost_no_record(fault: str) -> None:
    behaviour = Behaviour()
    behaviour.script([fault, None, fault, fault, None, fault])

    async def story() -> None:
        async with simulated(behaviour) as it:
            assert it.expected <= await collect(it.source)

    run(story())


def test_nobody_there_is_unavailable_and_named() -> None:
    async def story() -> None:
        async with account(in_turn(page([]))) as it:
            it.source._url = "http://127.0.0.1:1/client/v4"
            _, error = await it.read_until_error()
            assert isinstance(error, Unavailable)
            assert "127.0.0.1:1" in error.reason

    run(story())
