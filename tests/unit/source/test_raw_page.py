"""Records of a page that is split are what they are when it is decoded; only later."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from connector.collect.revisions import WATCHED, compare, known_time_of, message_of
from connector.model import Feed, Record, Window
from connector.source.pages import PageSlice, Span, decode_span
from connector.source.raw_page import PageSplitter
from tests.unit.source.test_pages import JSON, body_of, nested

NOW = datetime(2026, 11, 18, 12, tzinfo=UTC)
SPLITTER = PageSplitter(WATCHED)
ORDINARY = {
    "id": "m",
    "scanned_at": "2026-11-18T09:41:07Z",
    "final_disposition": "SPAM",
    "properties": {"a": [1]},
}


def split(*items: bytes) -> PageSlice:
    page = SPLITTER.split(body_of(*items))
    assert page is not None
    return page.slice()


def decoded(*items: bytes) -> PageSlice:
    data = b",".join(items)
    return decode_span(data, Span(0, len(data), len(items)))


RECORDS = st.dictionaries(
    st.sampled_from(["id", "scanned_at", "ts", "from", "subject", "other", *WATCHED]) | st.text(max_size=3),
    JSON,
)


@given(st.lists(RECORDS | JSON, max_size=6), st.booleans(), st.booleans())
def test_a_page_of_any_json_has_the_same_records(items: list[Any], ascii_only: bool, indented: bool) -> None:
    texts = [
        json.dumps(item, ensure_ascii=ascii_only, indent=1 if indented else None).encode("utf-8", "replace")
        for item in items
    ]

    assert split(*texts) == decoded(*texts)


def judged(record: Record) -> object:
    """Everything that is told of a record without its body."""
    window = Window(NOW - timedelta(days=1), NOW)
    message, time = message_of(record.head), known_time_of(record)
    seen = compare(record, None, feed=Feed("a", "s"), window=window, collected=NOW).seen
    return message, time, seen


@given(st.lists(RECORDS, min_size=1, max_size=4))
def test_a_record_is_compared_alike_before_and_after_it_is_decoded(items: list[dict[str, Any]]) -> None:
    texts = [orjson.dumps({**item, "id": f"m{number}"}) for number, item in enumerate(items)]

    before, after = split(*texts).records, [Record(r.id, r.body) for r in decoded(*texts).records]

    assert list(map(judged, before)) == list(map(judged, after))


HOSTILE = [
    b'{"id":"m","x":"\xff\xfe"}',
    b'{"id":"m","x":"\\ud800"}',
    b'{"id":"m","x":"\x01"}',
    b'{"id":"m","x":1e999,"subject":"s"}',
    b'{"id":"m","final_disposition":1e999}',
    b'{"id":"m","x":123456789012345678901234567890}',
    b'{"id":"m","final_disposition":123456789012345678901234567890}',
    b'{"id":123456789012345678901234567890}',
    b'{"id":"m","id":"n","subject":"a","subject":"b"}',
    b'{"id":" "}',
    b'{"id":null,"scanned_at":7,"from":{"x":[]}}',
    b'{"id":7}',
    b'{"id":"m","scanned_at":["2026"]}',
    b'["no object"]',
    b"null",
    nested(150),
    nested(250),
    nested(5000),
    b'{"id":"m","many":[' + b"[]," * 300 + b"[]]}",
]


@pytest.mark.parametrize("item", HOSTILE)
def test_a_hostile_item_is_what_it_is_on_a_page_that_is_decoded(item: bytes) -> None:
    ordinary = orjson.dumps(ORDINARY)
    try:
        found = split(ordinary, item)
    except AssertionError:  # not JSON: the page is left to the scan
        assert SPLITTER.split(body_of(item)) is None
        return

    assert found.records == decoded(ordinary, item).records
    assert found.quarantined == decoded(ordinary, item).quarantined


@pytest.mark.parametrize("item", HOSTILE)
def test_the_text_of_a_record_is_strict_json_and_means_its_body(item: bytes) -> None:
    page = SPLITTER.split(body_of(item))
    for record in page.slice().records if page else ():
        if record.text is not None:
            assert orjson.loads(record.text) == record.body


def test_a_new_record_is_decoded_once_to_check_and_compare_it_and_its_body_is_not_kept(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[bytes] = []

    def counting(text: bytes) -> Any:
        asked.append(text)
        return orjson.loads(text)

    text = orjson.dumps(ORDINARY)
    [record] = split(text).records
    judged(record)  # what the state of so many records is, is known by then

    monkeypatch.setattr("connector.model.orjson", SimpleNamespace(loads=counting))
    [record] = split(text).records
    judged(record)
    assert asked == [text]

    assert record.body == ORDINARY
    assert record.body == ORDINARY
    assert asked == [text, text]
    assert record.text == text


def test_a_search_that_watches_another_field_compares_the_decoded_record() -> None:
    record = split(orjson.dumps({**ORDINARY, "brand": "x"})).records[0]
    window = Window(NOW - timedelta(days=1), NOW)

    found = compare(
        record, None, feed=Feed("a", "s"), window=window, collected=NOW, watched=("brand", "subject")
    )

    assert found.seen is not None
    assert found.seen.state == {"brand": "x"}


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[]", b'{"result":7}', b'{"result":[1}', b'{"result":[]} x', b"\xff"]
)
def test_what_is_no_page_is_not_split(body: bytes) -> None:
    assert SPLITTER.split(body) is None


@pytest.mark.parametrize("asked_before", [True, False])
def test_a_record_whose_body_is_forgotten_is_decoded_again(asked_before: bool) -> None:
    text = orjson.dumps(ORDINARY)
    [record] = split(text).records
    if asked_before:
        assert record.body == ORDINARY
    told = judged(record)

    record.forget_body()

    assert record.text == text
    assert (record.body, judged(record)) == (ORDINARY, told)


def test_a_record_without_a_text_keeps_its_body() -> None:
    record = Record("m", ORDINARY)

    record.forget_body()

    assert record.body == ORDINARY
