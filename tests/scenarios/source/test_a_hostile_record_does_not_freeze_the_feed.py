"""Whatever a mail holds, the page it is on is read, and every row of it arrives."""

from __future__ import annotations

import json

import orjson
import pytest

from connector.facts import PageDecoded
from tests.scenarios.source.account import account, in_turn, page, run
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
