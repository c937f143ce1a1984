"""The ledger: the position moves over the finished beginning only, with all it covers."""

from __future__ import annotations

from connector.delivery.batcher import Batch
from connector.delivery.in_flight import Chunk, ChunkStatus, InFlight
from tests.unit.delivery.test_batcher import event, letter


def opened(in_flight: InFlight, *sequences: int, upto: int | None = None) -> Chunk:
    """Enter a batch with events of these numbers."""
    chunk = in_flight.open(Batch(tuple(event(each) for each in sequences), upto or sequences[-1]))
    assert chunk is not None
    return chunk


def test_only_the_finished_beginning_is_covered() -> None:
    in_flight = InFlight()
    first, second, third = opened(in_flight, 1, 2), opened(in_flight, 3), opened(in_flight, 4)
    second.status = ChunkStatus.DONE
    assert in_flight.finished() is None

    first.status = ChunkStatus.DONE
    prefix = in_flight.finished()
    assert prefix is not None
    assert prefix.upto == 3
    in_flight.release(prefix)
    assert in_flight.finished() is None
    third.status = ChunkStatus.DONE
    last = in_flight.finished()
    assert last is not None
    in_flight.release(last)
    assert in_flight.empty


def test_what_finishes_while_a_position_is_being_stored_is_not_forgotten() -> None:
    in_flight = InFlight()
    first, second = opened(in_flight, 1), opened(in_flight, 2)
    first.status = ChunkStatus.DONE
    prefix = in_flight.finished()
    assert prefix is not None
    second.status = ChunkStatus.DONE
    assert in_flight.open(Batch((), 9, filtered={"when": 7})) is None
    in_flight.release(prefix)

    rest = in_flight.finished()
    assert rest is not None
    assert (rest.upto, rest.filtered["when"]) == (9, 7)


def test_a_stretch_without_events_is_not_lost_when_the_part_before_it_is_being_stored() -> None:
    in_flight = InFlight()
    first = opened(in_flight, 1)
    first.status = ChunkStatus.DONE
    prefix = in_flight.finished()
    assert prefix is not None
    in_flight.open(Batch((), 5, filtered={"when": 4}))
    in_flight.release(prefix)

    rest = in_flight.finished()
    assert rest is not None
    assert rest.upto == 5


def test_parts_of_a_split_take_over_what_their_batch_covers() -> None:
    in_flight = InFlight()
    chunk = in_flight.open(
        Batch((event(2), event(4), event(6)), 7, (letter(1), letter(5), letter(7)), {"when": 1}, 1, ("note",))
    )
    assert chunk is not None
    pieces = in_flight.split(chunk, [(each,) for each in chunk.events])

    assert [piece.upto for piece in pieces] == [2, 4, 7]
    assert [[each.sequence for each in piece.dead] for piece in pieces] == [[1], [], [5, 7]]
    for piece in pieces:
        piece.status = ChunkStatus.DONE
    prefix = in_flight.finished()
    assert prefix is not None
    assert [each.sequence for each in prefix.dead] == [1, 5, 7]
    assert (prefix.filtered["when"], prefix.noted, prefix.notes) == (1, 1, ("note",))


def test_batches_in_doubt_do_not_count_as_busy() -> None:
    in_flight = InFlight()
    chunk = opened(in_flight, 1, 2)
    assert in_flight.busy == 1
    for piece in in_flight.split(chunk, [chunk.events[:1], chunk.events[1:]]):
        assert in_flight.busy == 1
        piece.status = ChunkStatus.SUSPECT
    assert in_flight.busy == 0
