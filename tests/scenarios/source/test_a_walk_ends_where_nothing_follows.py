"""``next`` says in several ways that nothing follows; each ends the walk, completely."""

from __future__ import annotations

import json

import pytest

from connector.model import Query
from connector.simulator import Behaviour
from tests.scenarios.source.account import account, in_turn, page, rows, run
from tests.scenarios.source.simulated import SPAN, simulated
from tests.support.scripted_http import Reply, json_reply


def _last(info: object) -> Reply:
    reply = page(rows(1, 1))
    document = {**json.loads(reply.body), "result_info": info}
    return json_reply({name: value for name, value in document.items() if value != "absent"})


ENDINGS = {
    "null": {"count": 1, "next": None},
    "empty": {"count": 1, "next": ""},
    "absent": {"count": 1, "per_page": 1000},
    "false": {"next": False},
    "only previous": {"previous": "a"},
    "no result_info": "absent",
    "result_info is null": None,
    "result_info is a list": [],
}


@pytest.mark.parametrize("name", ENDINGS)
def test_the_walk_is_complete(name: str) -> None:
    async def story() -> None:
        async with account(in_turn(page(rows(0, 1), next="a"), _last(ENDINGS[name]))) as it:
            assert await it.ids() == ["record-0", "record-1"]
            assert len(it.searches) == 2

    run(story())


@pytest.mark.parametrize("last", ["null", "absent", "empty"])
def test_against_the_emulator_every_record_came_once(last: str) -> None:
    async def story() -> None:
        async with simulated(Behaviour(last_page=last)) as it:  # type: ignore[arg-type]
            found = [
                record.id
                async for got in it.source.search(Query(per_page=40), SPAN)
                for record in got.records
            ]
            assert sorted(found) == sorted(it.expected)

    run(story())


def test_a_number_is_a_cursor_like_any_other() -> None:
    async def story() -> None:
        async with account(in_turn(page(rows(0, 1), next=0), page(rows(1, 1), next=7), page([]))) as it:
            await it.ids()
            assert [asked.params.get("cursor") for asked in it.searches] == [None, "0", "7"]

    run(story())
