"""The ledger: the position moves over the finished beginning only, with all it covers."""

from __future__ import annotations

from connector.delivery.batcher import Batch
from connector.delivery.in_flight import Fate, Ledger, Part
from tests.unit.delivery.test_batcher import item, letter


def opened(ledger: Ledger, *sequences: int, upto: int | None = None) -> Part:
    """Enter a batch with events of these numbers."""
    part = ledger.open(Batch(tuple(item(each) for each in sequences), upto or sequences[-1]))
    assert part is not None
    return part


def test_only_the_finished_beginning_is_covered() -> None:
    ledger = Ledger()
    first, second, third = opened(ledger, 1, 2), opened(ledger, 3), opened(ledger, 4)
    second.fate = Fate.DONE
    assert ledger.finished() is None

    first.fate = Fate.DONE
    covered = ledger.finished()
    assert covered is not None
    assert covered.upto == 3
    ledger.release(covered)
    assert ledger.finished() is None
    third.fate = Fate.DONE
    last = ledger.finished()
    assert last is not None
    ledger.release(last)
    assert ledger.empty


def test_what_finishes_while_a_position_is_being_stored_is_not_forgotten() -> None:
    ledger = Ledger()
    first, second = opened(ledger, 1), opened(ledger, 2)
    first.fate = Fate.DONE
    covered = ledger.finished()
    assert covered is not None
    second.fate = Fate.DONE
    assert ledger.open(Batch((), 9, filtered={"when": 7})) is None
    ledger.release(covered)

    rest = ledger.finished()
    assert rest is not None
    assert (rest.upto, rest.filtered["when"]) == (9, 7)


def test_a_stretch_without_events_is_not_lost_when_the_part_before_it_is_being_stored() -> None:
    ledger = Ledger()
    first = opened(ledger, 1)
    first.fate = Fate.DONE
    covered = ledger.finished()
    assert covered is not None
    ledger.open(Batch((), 5, filtered={"when": 4}))
    ledger.release(covered)

    rest = ledger.finished()
    assert rest is not None
    assert rest.upto == 5


def test_parts_of_a_split_take_over_what_their_batch_covers() -> None:
    ledger = Ledger()
    part = ledger.open(
        Batch((item(2), item(4), item(6)), 7, (letter(1), letter(5), letter(7)), {"when": 1}, 1, ("note",))
    )
    assert part is not None
    pieces = ledger.carve(part, [(each,) for each in part.items])

    assert [piece.upto for piece in pieces] == [2, 4, 7]
    assert [[each.sequence for each in piece.dead] for piece in pieces] == [[1], [], [5, 7]]
    for piece in pieces:
        piece.fate = Fate.DONE
    covered = ledger.finished()
    assert covered is not None
    assert [each.sequence for each in covered.dead] == [1, 5, 7]
    assert (covered.filtered["when"], covered.noted, covered.notes) == (1, 1, ("note",))


def test_batches_in_doubt_do_not_count_as_busy() -> None:
    ledger = Ledger()
    part = opened(ledger, 1, 2)
    assert ledger.busy == 1
    for piece in ledger.carve(part, [part.items[:1], part.items[1:]]):
        assert ledger.busy == 1
        piece.fate = Fate.DOUBTFUL
    assert ledger.busy == 0
