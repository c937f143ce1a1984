"""Any JSON body survives the way into the journal and back."""

from __future__ import annotations

import json
import math
import zlib
from datetime import UTC, datetime
from types import MappingProxyType

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connector.journal.codec import (
    Text,
    choose_compression,
    from_blob,
    from_text,
    portions,
    printable,
    revision_text,
    to_blob,
    to_micros,
    to_moment,
    to_text,
    whole_seconds,
)
from connector.testing.journal import revision

TEXT = st.text(st.characters(codec=None), max_size=20)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=20,
)


@given(st.dictionaries(TEXT, JSON, max_size=4))
def test_whatever_a_json_parser_can_return_comes_back(body: dict[str, object]) -> None:
    parsed = json.loads(json.dumps(body))
    text = revision_text(revision("a", parsed))
    revisions, _ = from_blob(to_blob([text], zlib.compress).data, tolerant=text.tolerant)
    assert revisions == (revision("a", parsed),)


def test_one_hostile_body_leaves_its_neighbours_as_they_are() -> None:
    bodies: list[dict[str, object]] = [{"n": 2**70}, {"n": 1.5, "s": "\ud800"}, {"n": 1}]
    blob = to_blob([revision_text(revision("a", body)) for body in bodies], zlib.compress)
    revisions, _ = from_blob(blob.data, tolerant=blob.tolerant)
    assert [one.record.body for one in revisions] == bodies


@pytest.mark.parametrize("depth", [150, 253, 254, 990, 5000, 100_000])
def test_nesting_of_any_depth_is_written_and_read(depth: int) -> None:
    body: dict[str, object] = {}
    for _ in range(depth):
        body = {"in": body, "kept": 1}
    text = revision_text(revision("a", body))
    revisions, _ = from_blob(to_blob([text], zlib.compress).data, tolerant=text.tolerant)
    assert revisions[0].record.body["kept"] == 1
    if depth <= 150:
        assert revisions[0].record.body == body


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ({"n": math.nan}, {"n": None}),
        ({"n": math.inf, "s": "\udfff"}, {"n": math.inf, "s": "\udfff"}),
        (MappingProxyType({"a": MappingProxyType({"b": (1, 2)})}), {"a": {"b": [1, 2]}}),
        (MappingProxyType({"a": frozenset({1}), "s": "\udfff"}), {"a": [1], "s": "\udfff"}),
        ({1: datetime(2026, 1, 1, tzinfo=UTC)}, {"1": "2026-01-01 00:00:00+00:00"}),
        ({"n": 1 << 20_000}, {"n": hex(1 << 20_000)}),
        ({"o": b"bytes"}, {"o": "b'bytes'"}),
    ],
)
def test_what_is_no_json_is_replaced_rather_than_refused(value: object, expected: object) -> None:
    assert from_text(to_text(value)) == expected


@pytest.mark.parametrize(
    "damage", [lambda data: data[:-9], lambda data: data[:9], lambda data: b"junk" + data]
)
def test_a_damaged_blob_is_a_value_error(damage: object) -> None:
    assert callable(damage)
    blob = to_blob([revision_text(revision("a"))], zlib.compress)
    with pytest.raises(ValueError, match=r"."):
        from_blob(damage(blob.data), tolerant=False)


@given(st.lists(st.binary(min_size=1, max_size=30), max_size=30), st.integers(1, 9), st.integers(1, 60))
def test_portions_keep_everything_in_order_and_are_bounded(
    values: list[bytes], most: int, most_bytes: int
) -> None:
    found = list(portions((Text(value, tolerant=False) for value in values), most, most_bytes))
    assert [text.data for portion in found for text in portion] == values
    for portion in found:
        assert 1 <= len(portion) <= most
        assert len(portion) == 1 or sum(len(text.data) for text in portion) <= most_bytes


def test_the_compressor_writes_what_zlib_reads() -> None:
    name, compress = choose_compression()
    data = b"the same words again and again, " * 1000
    assert zlib.decompress(compress(data)) == data
    assert name in {"isal", "zlib"}


def test_printable_text_keeps_everything_but_lone_surrogates() -> None:
    assert printable("\u00fc \U0001f600 \ud800") == "\u00fc \U0001f600 ?"


@given(st.datetimes(timezones=st.just(UTC)))
def test_moments_are_exact(moment: datetime) -> None:
    assert to_moment(to_micros(moment)) == moment


@given(st.integers(-(10**15), 10**15), st.integers(0, 10**10))
def test_whole_seconds_hold_both_ends(earliest: int, length: int) -> None:
    start, end = whole_seconds(earliest, earliest + length)
    assert start <= earliest
    assert earliest + length < end
    assert start % 1_000_000 == end % 1_000_000 == 0
