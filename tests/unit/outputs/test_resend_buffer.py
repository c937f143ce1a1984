"""What is kept in case it never arrived: the last minute, within its limit, never twice, never reordered."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from connector.outputs.syslog.resend_buffer import Frame, ResendBuffer
from tests.unit.delivery.fakes import plain, revision


def frames(*data: bytes) -> list[Frame]:
    return [Frame(each, plain(revision(each.decode("latin-1")))) for each in data]


def unconfirmed(buffer: ResendBuffer) -> list[bytes]:
    return [frame.data for frame in buffer.unconfirmed]


def test_what_the_connection_outlived_is_not_sent_again() -> None:
    buffer = ResendBuffer(1000, age=60.0)
    buffer.sent(frames(b"old"), now=0.0)
    buffer.sent(frames(b"young"), now=50.0)
    buffer.connection_lost(at=100.0)
    assert unconfirmed(buffer) == [b"young"]


def test_unconfirmed_frames_do_not_age_while_the_collector_is_gone() -> None:
    buffer = ResendBuffer(1000, age=60.0)
    buffer.sent(frames(b"a"), now=0.0)
    buffer.connection_lost(at=1.0)
    buffer.connection_lost(at=5000.0)
    assert unconfirmed(buffer) == [b"a"]


def test_what_the_collector_read_is_not_sent_again() -> None:
    buffer = ResendBuffer(1000, age=60.0)
    buffer.sent(frames(b"a"), now=0.0)
    buffer.connection_lost(at=1.0)
    buffer.resent()
    buffer.sent(frames(b"b"), now=2.0)
    buffer.connection_lost(at=3.0)
    assert unconfirmed(buffer) == [b"b"]


def test_the_frame_that_breaks_connections_ends_alone_and_the_others_are_sent_once() -> None:
    buffer = ResendBuffer(1000, age=60.0)
    everything = [b"%d" % number for number in range(100)]
    buffer.sent(frames(*everything), now=0.0)
    buffer.connection_lost(at=1.0)
    passed: list[bytes] = []
    breaks = 0
    while group := [frame.data for frame in buffer.group]:
        if b"61" in group:
            breaks += 1
            buffer.broke("reset")
        else:
            passed += group
            buffer.resent()
    assert sorted(passed) == sorted(set(everything) - {b"61"})
    assert [suspect.frame.data for suspect in buffer.suspects] == [b"61"]
    assert breaks <= 8


def test_a_suspect_is_dropped_once_it_broke_five_connections() -> None:
    buffer = ResendBuffer(1000, age=60.0)
    buffer.sent(frames(b"a"), now=0.0)
    buffer.connection_lost(at=1.0)
    buffer.broke("reset")
    assert [buffer.suspect_broke("reset") for _ in range(3)] == [None, None, None]
    dropped = buffer.suspect_broke("reset")
    assert dropped is not None
    assert (dropped.frame.event.revision.record.id, dropped.breaks) == ("a", 5)
    assert not buffer.suspects


@given(st.lists(st.lists(st.binary(min_size=1, max_size=40), max_size=6), max_size=12), st.integers(0, 200))
def test_the_buffer_is_the_end_of_what_was_sent_and_fits_its_limit(
    batches: list[list[bytes]], limit: int
) -> None:
    buffer = ResendBuffer(limit, age=60.0)
    for batch in batches:
        buffer.sent(frames(*batch), now=0.0)
    buffer.connection_lost(at=0.0)
    everything = [frame for batch in batches for frame in batch]
    kept = unconfirmed(buffer)
    assert sum(map(len, kept)) <= limit
    assert everything[len(everything) - len(kept) :] == kept
    left_out = everything[: len(everything) - len(kept)]
    assert not left_out or sum(map(len, kept)) + len(left_out[-1]) > limit
