"""JSON documents come out as one line, whatever a record held."""

import json
import math
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from connector.formats.json import encode, instant, repair

TEXTS = st.text(st.characters(codec=None, exclude_categories=()))
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | TEXTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4),
    max_leaves=12,
)


@given(st.dictionaries(TEXTS, JSON, max_size=4))
def test_anything_that_json_can_hold_becomes_one_readable_line(document: dict[str, Any]) -> None:
    """Surrogates, huge numbers, control characters: one line of UTF-8 that a strict reader takes."""
    line = encode(document)

    assert b"\n" not in line
    assert b"\r" not in line
    assert isinstance(json.loads(line.decode("utf-8"), parse_constant=_refuse), dict)


@given(st.dictionaries(st.text(), st.text() | st.integers(-(2**63), 2**64 - 1) | st.booleans()))
def test_ordinary_values_survive_exactly(document: dict[str, Any]) -> None:
    assert json.loads(encode(document)) == document


def test_half_a_surrogate_pair_becomes_a_replacement_character() -> None:
    """The rest of the text stays; both halves together are the character they mean."""
    line = encode({"subject": "a\ud83db", "whole": "\ud83d\ude00", "k\udc00": 1})

    assert json.loads(line) == {"subject": "a\ufffdb", "whole": "\U0001f600", "k\ufffd": 1}


def test_an_integer_of_any_size_stays_a_number() -> None:
    big = 10**40

    assert encode({"big": big, "small": -(2**63)}) == b'{"big":%d,"small":-9223372036854775808}' % big
    assert json.loads(encode({"big": -big}))["big"] == -big


def test_an_integer_too_long_to_write_becomes_text() -> None:
    assert json.loads(encode({"n": 1 << 20_000}))["n"] == hex(1 << 20_000)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_what_json_has_no_number_for_is_null(value: float) -> None:
    assert encode({"score": value, "bad": "\ud800"}) == b'{"score":null,"bad":"\xef\xbf\xbd"}'
    assert encode({"score": value}) == b'{"score":null}'


def test_times_are_utc_with_milliseconds() -> None:
    """Collectors that guess a date format must always see the same one."""
    local = datetime(2026, 11, 18, 10, 41, 7, 123_999, tzinfo=timezone(timedelta(hours=1)))

    assert encode({"t": local}) == b'{"t":"2026-11-18T09:41:07.123Z"}'
    assert instant(datetime(2026, 1, 2)) == "2026-01-02T00:00:00.000Z"  # noqa: DTZ001, the naive case
    assert json.loads(encode({"t": datetime(2026, 1, 2, tzinfo=UTC), "s": "\ud800"}))["t"].endswith("Z")


@pytest.mark.parametrize("wrap", [lambda inner: [inner], lambda inner: {"in": inner}])
def test_a_document_nested_without_end_still_goes_out(wrap: Any) -> None:
    """The upper levels stay readable, the rest says that it was too deep."""
    nested: Any = "bottom"
    for _ in range(900):
        nested = wrap(nested)

    line = encode({"id": "x", "nested": nested})

    assert orjson.loads(line)["id"] == "x"
    assert b"nested too deeply" in line


def test_containers_and_bytes_that_are_not_json_are_written_as_what_they_hold() -> None:
    document = {"set": frozenset({"b", "a"}), "tuple": (1, 2), "bytes": b"\xff\n", 3: "number as a key"}

    assert json.loads(encode(document)) == {  # type: ignore[arg-type]  # more than the promise
        "set": ["a", "b"],
        "tuple": [1, 2],
        "bytes": "\ufffd\n",
        "3": "number as a key",
    }


def test_repair_leaves_sound_text_alone() -> None:
    assert repair("Grüße 😀") == "Grüße 😀"


def _refuse(constant: str) -> None:
    raise AssertionError(f"{constant} is no JSON")
