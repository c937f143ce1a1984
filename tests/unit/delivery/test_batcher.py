"""Batches: within the limits, in order, and none waits longer than its patience."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from connector.delivery.batcher import Batch, Batcher
from connector.model import DeadLetter, Event, Limits
from tests.unit.delivery.fakes import at, revision


def event(sequence: int, size: int = 1, notes: tuple[str, ...] = ()) -> Event:
    """An event of *size* bytes."""
    return Event(revision(str(sequence)), b"x" * size, at(0), 3, "email.test", notes, sequence)


def letter(sequence: int) -> DeadLetter:
    """A dead letter."""
    return DeadLetter("siem", sequence, revision(str(sequence)), "mapping", "?", 0, at(0), at(0))


def everything(batcher: Batcher) -> list[Batch]:
    """Take all that is kept."""
    taken = []
    while (batch := batcher.take(0.0, flush=True)) is not None:
        taken.append(batch)
    return taken


@given(
    kinds=st.lists(st.integers(1, 9) | st.sampled_from(["when", "dead"]), max_size=60),
    events=st.integers(1, 7),
    size=st.integers(1, 20),
)
def test_batches_hold_every_revision_once_in_order_and_within_the_limits(
    kinds: list[int | str], events: int, size: int
) -> None:
    batcher = Batcher(Limits(events=events, bytes=size))
    for sequence, kind in enumerate(kinds, 1):
        if kind == "when":
            batcher.skip(sequence, "when", 0.0)
        elif kind == "dead":
            batcher.dead_letter(letter(sequence), 0.0)
        else:
            batcher.add(event(sequence, int(kind)), 0.0)
    batches = everything(batcher)

    sent = [each.sequence for batch in batches for each in batch.events]
    assert sent == [sequence for sequence, kind in enumerate(kinds, 1) if isinstance(kind, int)]
    assert sum(len(batch.dead) for batch in batches) == kinds.count("dead")
    assert sum(sum(batch.filtered.values()) for batch in batches) == kinds.count("when")
    covered = [0, *(batch.upto for batch in batches)]
    assert covered == sorted(set(covered))
    assert covered[-1] == len(kinds)
    for batch in batches:
        assert len(batch.events) <= events
        total = sum(len(each.payload) for each in batch.events)
        assert total <= size or len(batch.events) == 1
        assert all(each.sequence <= batch.upto for each in batch.events)
        assert all(each.sequence <= batch.upto for each in batch.dead)


def test_a_batch_that_is_not_full_leaves_when_its_linger_ends() -> None:
    batcher = Batcher(Limits(events=10, linger=5.0))
    batcher.add(event(1), 100.0)
    assert batcher.take(101.0) is not None

    batcher.add(event(2), 102.0)
    assert batcher.take(106.9) is None
    assert batcher.due == 107.0
    assert batcher.take(107.0) is not None
    assert batcher.empty


def test_what_comes_after_a_quiet_time_hardly_waits() -> None:
    batcher = Batcher(Limits(events=10, linger=5.0))
    batcher.add(event(1), 100.0)

    assert batcher.due is not None
    assert batcher.due <= 100.1


def test_a_long_stretch_without_events_still_moves_on() -> None:
    batcher = Batcher(Limits(events=10, linger=3600.0))
    for sequence in range(1, 2501):
        batcher.skip(sequence, "when", 0.0)

    first, second = batcher.take(0.0), batcher.take(0.0)
    assert first is not None
    assert second is not None
    assert (first.upto, second.upto) == (1000, 2000)
    assert first.filtered == {"when": 1000}


def test_notes_are_counted_per_event_and_kept_once() -> None:
    batcher = Batcher(Limits())
    for sequence in range(1, 4):
        batcher.add(event(sequence, notes=("subject shortened",)), 0.0)
    batch = batcher.take(0.0, flush=True)

    assert batch is not None
    assert (batch.noted, batch.notes) == (3, ("subject shortened",))


def test_batches_shrink_at_once_when_found_too_large_and_grow_back_slowly() -> None:
    batcher = Batcher(Limits(events=1000, bytes=100))

    def largest() -> int:
        for sequence in range(1, 301):
            batcher.add(event(sequence), 0.0)
        return max(len(batch.events) for batch in everything(batcher))

    assert largest() == 100
    batcher.shrink(100)
    assert largest() == 50
    batcher.grow()
    assert 50 < largest() < 60
    for _ in range(100):
        batcher.grow()
    assert largest() == 100
