"""Whatever a mail holds, the page it is on is read, and every row of it arrives."""

from __future__ import annotations

import contextlib
import json

import orjson
import pytest

from connector.facts import PageDecoded
from connector.model import Quarantined, Query
from tests.scenarios.source.account import HOUR, account, in_turn, page, run
from tests.support.scripted_http import Reply


def raw(rows: bytes) -> Reply:
    body = b'{"success":true,"errors":[],"messages":[],"result_info":{"next":null},"result":' + rows + b"}"
    return Reply(200, body, {"content-type": "application/json"})


HOSTILE = {
    "half a surrogate pair": b'"\\ud83d lone"',
    "reversed pair": b'"\\udc00\\ud800"',
    "no utf-8": b'"\xff\xfe\x80"',
    "a surrogate as bytes": b'"\xed\xa0\x80"',
    "raw control characters": b'"a\x01\x1fb\nc"',
    "a number beyond all bounds": b"1e999",
    "a very long number": b"9" * 5000,
    "no number": b"NaN",
    "endless": b"-Infinity",
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_page_that_the_fast_decoder_refuses_is_read_anyway(name: str) -> None:
    body = b'[{"id":"a","subject":"fine"},{"id":"b","subject":' + HOSTILE[name] + b'},{"id":"c"}]'

    async def story() -> None:
        async with account(in_turn(raw(body))) as it:
            pages = await it.pages()
            records = [record for found in pages for record in found]
            assert [record.id for record in records] == ["a", "b", "c"]
            assert it.seen(PageDecoded)[0].lenient
            for record in records:
                orjson.dumps(record.body)
                json.dumps(record.body, allow_nan=False).encode()

    run(story())


def test_a_record_without_an_id_gets_one_that_is_the_same_next_time() -> None:
    first = b'[{"subject":"x","to":["a"]},{"id":null,"n":1},{"id":"","n":1},{"id":7}]'
    reordered = b'[{"to":["a"],"subject":"x"}]'

    async def story() -> None:
        async with account(in_turn(raw(first), raw(reordered))) as it:
            ids = await it.ids()
            assert ids[0].startswith("sha256:")
            assert ids[3] == "7"
            assert len(set(ids)) == 4
            assert it.seen(PageDecoded)[0].without_id == 3
            assert (await it.ids())[0] == ids[0]

    run(story())


def test_a_row_that_is_no_object_is_kept_whole() -> None:
    async def story() -> None:
        async with account(in_turn(page([{"id": "a"}, "text", None, [1, 2]]))) as it:
            (records,) = await it.pages()
            assert [record.body for record in records] == [
                {"id": "a"},
                {"not_an_object": "text"},
                {"not_an_object": None},
                {"not_an_object": [1, 2]},
            ]

    run(story())


@pytest.mark.parametrize("levels", [300, 1025, 50_000])
def test_a_record_nested_too_deeply_is_set_aside_and_the_page_goes_on(levels: int) -> None:
    deep = b'{"id":"b","subject":' + b"[" * levels + b"]" * levels + b"}"
    body = b'[{"id":"a"},' + deep + b',{"id":"c"}]'

    async def story() -> None:
        async with account(in_turn(raw(body))) as it:
            async with contextlib.aclosing(it.source.search(Query(), HOUR)) as pages:
                found = [page async for page in pages]
            assert [record.id for part in found for record in part.records] == ["a", "c"]
            assert [item for part in found for item in part.quarantined] == [
                Quarantined(deep, "nested_too_deeply")
            ]
            assert len(it.searches) == 1

    run(story())


def test_two_states_of_one_message_in_a_page_are_one_record_whatever_their_order() -> None:
    states = [b'{"id":"a","final_disposition":"SPAM"}', b'{"id":"a","final_disposition":"MALICIOUS"}']

    async def story() -> None:
        bodies = [b"[" + b",".join(order) + b"]" for order in (states, states[::-1])]
        async with account(in_turn(*map(raw, bodies))) as it:
            first, second = await it.pages(), await it.pages()
            assert first == second
            assert [record.id for record in first[0]] == ["a"]

    run(story())
