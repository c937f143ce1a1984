"""Quotes of answers: short, on one line, and without the credentials that an answer may repeat."""

from __future__ import annotations

import dataclasses
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connector.outputs.shared.answer_text import excerpt
from connector.secret import MASK
from connector.testing.outputs import events


@given(st.binary(max_size=2000), st.binary(max_size=2000))
def test_no_answer_shows_a_secret_or_a_control_character(before: bytes, after: bytes) -> None:
    shown = excerpt(before + b"canary-token" + after, ["canary-token"])
    assert "canary-token" not in shown
    assert shown.isprintable()
    assert len(shown) <= 300


def test_a_secret_inside_a_longer_one_does_not_leave_the_rest() -> None:
    assert excerpt(b"key: canary-token", ["canary", "canary-token"]) == f"key: {MASK}"


def test_a_secret_at_the_edge_is_masked_before_the_cut() -> None:
    assert "canary" not in excerpt(b"x" * 294 + b"canary-token", ["canary-token"])


def test_an_answer_that_is_no_text_is_shown_as_far_as_it_goes() -> None:
    assert excerpt(b"\xff\xfe ok", []) == "\ufffd\ufffd ok"


@pytest.mark.timeout(60)
@pytest.mark.parametrize("piece", ["\\", "<", "<script>", "&", "%", "a.", "a ", "\\u00", "[", "ab1"])
def test_the_time_for_hostile_text_grows_with_its_length_only(piece: str) -> None:
    """A megabyte of each: what grew with the square of the length would take minutes."""
    text = (piece * 1_000_000)[:1_000_000]
    sent = [dataclasses.replace(events(1)[0], payload=json.dumps({"subject": text}).encode())]
    assert len(excerpt(text.encode(), ["canary"], sent)) <= 300
