"""Frames: whatever a payload holds, a receiver gets the same number of messages out as went in."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connector.formats.framing import FRAMINGS, Framing, line, lines, octet_counted, one_line

HOSTILE = st.lists(
    st.one_of(st.binary(), st.sampled_from([b"\n", b"\r\n", b"\0", b"5 <1>1", b"<14>", b" ", b"x"])),
    max_size=8,
).map(b"".join)


def decode(framing: Framing, stream: bytes) -> list[bytes]:
    """A receiver, written from RFC 6587 alone."""
    if framing == "lf":
        assert stream.endswith(b"\n")
        return stream[:-1].split(b"\n")
    messages = []
    while stream:
        digits, _, rest = stream.partition(b" ")
        assert digits.isdigit()
        assert not digits.startswith(b"0")
        messages.append(rest[: int(digits)])
        assert len(messages[-1]) == int(digits)
        stream = rest[int(digits) :]
    return messages


@pytest.mark.parametrize("framing", FRAMINGS)
@given(payloads=st.lists(HOSTILE.filter(bool), min_size=1, max_size=5))
def test_receiver_gets_each_message_back_alone(framing: Framing, payloads: list[bytes]) -> None:
    stream = b"".join(FRAMINGS[framing](payload) for payload in payloads)
    assert decode(framing, stream) == [one_line(payload) for payload in payloads]


@given(HOSTILE)
def test_no_separator_survives_and_no_length_changes(payload: bytes) -> None:
    cleaned = one_line(payload)
    assert len(cleaned) == len(payload)
    assert not {0, 10, 13} & set(cleaned)
    assert line(payload).count(b"\n") == 1


@given(st.text())
def test_text_without_line_breaks_is_left_alone(text: str) -> None:
    payload = text.encode("utf-8", "replace")
    if not {0, 10, 13} & set(payload):
        assert one_line(payload) == payload


@given(st.lists(st.binary() | st.sampled_from([b"a\nb", b"a\rb", b"a\0b", b""])))
def test_lines_are_each_message_framed_and_joined(messages: list[bytes]) -> None:
    assert lines(messages) == b"".join(map(line, messages))


def test_an_empty_message_cannot_be_counted() -> None:
    with pytest.raises(ValueError, match="empty message"):
        octet_counted(b"")
