"""What is kept in case it never arrived: the last minute, within its limit, never twice, never reordered."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from connector.outputs.syslog.resend_buffer import ResendBuffer


def test_what_the_connection_outlived_is_not_sent_again() -> None:
    tail = ResendBuffer(1000, age=60.0)
    tail.sent([b"old"], now=0.0)
    tail.sent([b"young"], now=50.0)
    tail.connection_lost(at=100.0)
    assert tail.unconfirmed == [b"young"]


def test_doubt_does_not_age_away_while_the_collector_is_gone() -> None:
    tail = ResendBuffer(1000, age=60.0)
    tail.sent([b"a"], now=0.0)
    tail.connection_lost(at=1.0)
    tail.connection_lost(at=5000.0)
    assert tail.unconfirmed == [b"a"]


def test_what_was_sent_again_can_fall_into_doubt_again_in_its_place() -> None:
    tail = ResendBuffer(1000, age=60.0)
    tail.sent([b"a"], now=0.0)
    tail.connection_lost(at=1.0)
    tail.sent([b"b"], now=2.0)
    assert tail.unconfirmed == []
    tail.connection_lost(at=3.0)
    assert tail.unconfirmed == [b"a", b"b"]


@given(st.lists(st.lists(st.binary(min_size=1, max_size=40), max_size=6), max_size=12), st.integers(0, 200))
def test_the_tail_is_the_end_of_what_was_sent_and_fits_its_limit(
    batches: list[list[bytes]], limit: int
) -> None:
    tail = ResendBuffer(limit, age=60.0)
    for batch in batches:
        tail.sent(batch, now=0.0)
    tail.connection_lost(at=0.0)
    everything = [frame for batch in batches for frame in batch]
    kept = list(tail.unconfirmed)
    assert sum(map(len, kept)) <= limit
    assert everything[len(everything) - len(kept) :] == kept
    left_out = everything[: len(everything) - len(kept)]
    assert not left_out or sum(map(len, kept)) + len(left_out[-1]) > limit
