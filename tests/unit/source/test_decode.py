"""Decoding: everything complete is read, and whatever was read can be encoded again."""

from __future__ import annotations

import json
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from connector.source.decode import Undecodable, decode
from tests.support.examples import examples

scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(codec=None))
values = st.recursive(
    scalars, lambda inner: st.lists(inner) | st.dictionaries(st.text(st.characters(codec=None)), inner)
)


@given(values)
@settings(max_examples=examples(40), deadline=None)
def test_every_value_that_python_can_write_is_read_and_can_be_written_again(value: Any) -> None:
    decoded = decode(json.dumps(value).encode())
    orjson.dumps(decoded.value)
    json.dumps(decoded.value, allow_nan=False, ensure_ascii=False).encode("utf-8")


@given(st.binary(max_size=200))
def test_any_bytes_in_a_string_are_read(content: bytes) -> None:
    harmless = content.replace(b'"', b"").replace(b"\\", b"")
    decoded = decode(b'{"subject":"' + harmless + b'"}').value
    assert isinstance(decoded, dict)
    decoded["subject"].encode("utf-8")


@given(values)
@settings(max_examples=examples(40), deadline=None)
def test_what_the_fast_decoder_takes_is_its_own(value: Any) -> None:
    body = json.dumps(value).encode()
    try:
        expected = orjson.loads(body)
    except orjson.JSONDecodeError:
        assert decode(body).lenient
    else:
        assert decode(body).value == expected


@given(st.data())
def test_what_is_cut_off_is_never_taken_for_complete(data: st.DataObject) -> None:
    body = orjson.dumps({"success": True, "result": [{"id": "a", "subject": "äö\x00 <b>"}]})
    cut = data.draw(st.integers(0, len(body) - 1))
    with pytest.raises(Undecodable):
        decode(body[:cut])


def test_pairs_stay_pairs_and_halves_become_replacements() -> None:
    decoded = decode(b'{"a":"\\ud83d\\ude00 \\ud83d x","\\udc00":1}')
    assert decoded.lenient
    assert decoded.value == {"a": "\N{GRINNING FACE} \ufffd x", "\ufffd": 1}


def test_numbers_that_fit_nowhere_are_kept_digit_for_digit() -> None:
    text = b'{"beyond":1e999,"long":' + b"1" * 400 + b',"max":18446744073709551615,"x":"\\ud800"}'
    assert decode(text).value == {
        "beyond": "1e999",
        "long": "1" * 400,
        "max": 18446744073709551615,
        "x": "\ufffd",
    }


@pytest.mark.parametrize("number", ["123456789012345678901234567890", "-9223372036854775809", "1" * 300])
def test_an_integer_beyond_64_bits_is_the_same_alone_and_beside_a_record_that_needs_the_lenient_decoder(
    number: str,
) -> None:
    """``mapping apply`` decodes one record at a time, the daemon a page."""
    record = f'{{"n":{number}}}'.encode()

    alone, page = decode(record), decode(b"[" + record + b',{"x":"\\ud800"}]')

    assert (alone.lenient, page.lenient) == (False, True)
    assert page.value == [alone.value, {"x": "\ufffd"}]


@pytest.mark.parametrize("body", [b"", b"  ", b"<html>", b"{", b'{"a":1}}', b"[" * 100_000])
def test_what_is_no_json_is_refused(body: bytes) -> None:
    with pytest.raises(Undecodable):
        decode(body)
