"""Pages in slices: the same records as decoded at once, bounded memory, hostile items set aside."""

from __future__ import annotations

import asyncio
import json
import tracemalloc
import zlib
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from connector.errors import SearchIncomplete
from connector.model import Quarantined, Record
from connector.net.gzip import BoundedBody
from connector.source.decode import Undecodable
from connector.source.pages import (
    MAX_DEPTH,
    PageSlice,
    decode_span,
    is_large,
    resolve_duplicates,
    scan,
)
from connector.source.records import parse_record, parse_row
from tests.support.sampling import slow


def body_of(*items: bytes, rest: bytes = b'"success":true,"result_info":{"next":null}') -> bytes:
    return b'{"errors":[],"result":[' + b",".join(items) + b"]," + rest + b"}"


def slices(body: bytes) -> list[PageSlice]:
    layout = asyncio.run(scan(body))
    assert layout is not None
    return [decode_span(body, span) for span in layout.spans]


def records(body: bytes) -> list[Record]:
    return [record for part in slices(body) for record in part.records]


def quarantined(body: bytes) -> list[Quarantined]:
    return [item for part in slices(body) for item in part.quarantined]


def nested(levels: int, name: str = "x") -> bytes:
    return b'{"id":"' + name.encode() + b'","deep":' + b"[" * levels + b"]" * levels + b"}"


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.text()
    | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@given(st.lists(JSON, max_size=8), st.dictionaries(st.text(), JSON, max_size=3), st.booleans())
def test_a_scan_finds_every_item_and_the_rest_of_the_document(
    items: list[Any], more: dict[str, Any], indented: bool
) -> None:
    more.pop("result", None)
    document = {**more, "result": items, "z": more}
    body = json.dumps(document, indent=2 if indented else None).encode()

    layout = asyncio.run(scan(body))

    assert layout is not None
    assert layout.rows == len(items)
    assert layout.document == {**more, "z": more}
    rows = [record for span in layout.spans for record in decode_span(body, span).records]
    unique, _ = resolve_duplicates([parse_row(item) for item in items])
    assert rows == list(unique)


@pytest.mark.parametrize("cut", [1, 5, 20, 40, 60])
def test_a_body_that_ends_early_is_not_a_page(cut: int) -> None:
    body = body_of(b'{"id":"a","to":["x","y"]}', b'{"id":"b"}')

    with pytest.raises(Undecodable):
        asyncio.run(scan(body[:-cut]))


def test_a_result_that_is_not_an_array_is_not_a_page() -> None:
    assert asyncio.run(scan(b'{"result":{"id":"a"}}')) is None
    assert asyncio.run(scan(b'{"success":true}')) is None


@pytest.mark.parametrize("levels", [255, 1025, slow(100_000)])
def test_a_record_nested_too_deeply_is_set_aside_and_its_neighbours_are_kept(levels: int) -> None:
    deep = nested(levels)
    body = body_of(b'{"id":"a"}', deep, b'{"id":"b","subject":"\\ud83d"}')

    assert [record.id for record in records(body)] == ["a", "b"]
    assert quarantined(body) == [Quarantined(deep, "nested_too_deeply")]


def test_a_record_as_deep_as_allowed_is_kept() -> None:
    assert [record.id for record in records(body_of(nested(MAX_DEPTH - 1)))] == ["x"]
    assert len(quarantined(body_of(nested(MAX_DEPTH)))) == 1


def test_an_item_that_is_not_json_is_set_aside() -> None:
    body = body_of(b'{"id":"a"}', b'{"id":"b",,"x":}', b'{"id":"c"}')

    assert [record.id for record in records(body)] == ["a", "c"]
    assert [item.reason for item in quarantined(body)] == ["undecodable"]


def test_a_deep_record_without_an_id_gets_one() -> None:
    deep: Any = []
    for _ in range(300):
        deep = [deep]

    assert parse_record({"deep": deep}).id.startswith("sha256:")
    assert parse_record({"deep": deep}) == parse_record({"deep": deep})


def test_one_state_is_kept_whatever_the_order_and_other_messages_are_not_touched() -> None:
    spam = Record("a", {"id": "a", "from": "x@c.example", "final_disposition": "SPAM"})
    malicious = Record("a", {"id": "a", "from": "x@c.example", "final_disposition": "MALICIOUS"})
    other = Record("a", {"id": "a", "from": "y@c.example", "final_disposition": "SPAM"})

    one_way, conflicting = resolve_duplicates([spam, malicious, other, spam])
    other_way, _ = resolve_duplicates([malicious, spam, spam, other])

    assert set(map(repr, one_way)) == set(map(repr, other_way))
    assert len(one_way) == 2
    assert {item.reason for item in conflicting} == {"conflicting_duplicate"}
    assert orjson.loads(conflicting[0].raw)["final_disposition"] == "MALICIOUS"


@pytest.mark.slow
def test_forty_five_mebibytes_of_empty_objects_are_refused_in_little_memory() -> None:
    body = body_of(b",".join([b"{}"] * 15_000_000))
    assert is_large(body)
    tracemalloc.start()
    try:
        with pytest.raises(SearchIncomplete, match="too_many_rows"):
            asyncio.run(scan(body))
        assert tracemalloc.get_traced_memory()[1] < 16 << 20
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("objects", [230_000, slow(1_000_000)])
def test_one_enormous_item_is_set_aside_without_being_decoded(objects: int) -> None:
    body = body_of(b'{"id":"a"}', b'{"id":"b","x":[' + b",".join([b"{}"] * objects) + b"]}")

    assert [record.id for record in records(body)] == ["a"]
    assert [item.reason for item in quarantined(body)] == ["too_large"]


@pytest.mark.slow
def test_a_large_page_takes_the_memory_of_a_slice() -> None:
    row = orjson.dumps({"id": "a", "to": [f"r{number:04}@c.example" for number in range(2000)]})
    body = body_of(*[row.replace(b'"a"', b'"%d"' % number, 1) for number in range(1000)])
    assert is_large(body)
    layout = asyncio.run(scan(body))
    assert layout is not None
    tracemalloc.start()
    try:
        assert sum(len(decode_span(body, span).records) for span in layout.spans) == 1000
        assert tracemalloc.get_traced_memory()[1] < 48 << 20
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("pieces", [1, 3, 1000])
def test_bytes_after_a_gzip_stream_are_ignored(pieces: int) -> None:
    packer = zlib.compressobj(wbits=31)
    packed = packer.compress(b"hello") + packer.flush()
    sent = packed + packed + b"\x00\x1f garbage after the stream"
    body = BoundedBody(1000, gzip=True)
    for start in range(0, len(sent), pieces):
        body.feed(sent[start : start + pieces])

    assert body.finish() == b"hellohello"
