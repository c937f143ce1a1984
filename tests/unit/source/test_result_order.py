"""What is left of a search that ended early: known only where its records are clearly in order of time."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

import pytest

from connector.model import Record, Window
from connector.source.result_order import ResultOrder

START = datetime(2026, 11, 1, tzinfo=UTC)
SECOND = timedelta(seconds=1)
WINDOW = Window(START, START + timedelta(hours=1))


def _records(seconds: Iterable[float], name: str = "scanned_at", zone: str = "Z") -> list[Record]:
    times = [(START + timedelta(seconds=second)).isoformat().removesuffix("+00:00") for second in seconds]
    return [Record(str(number), {name: time + zone}) for number, time in enumerate(times)]


def _named(seconds: Iterable[float], zone: str = "Z") -> list[Record]:
    """Records that are none of ``_records``."""
    return [record.renamed(f"other {record.id}") for record in _records(seconds, zone=zone)]


def _left(*pages: list[Record], window: Window = WINDOW) -> Window | None:
    order = ResultOrder(window)
    for page in pages:
        order.add(page)
    return order.left()


@pytest.mark.parametrize("name", ["scanned_at", "ts"])
@pytest.mark.parametrize("zone", ["Z", "+00:00", ""])
def test_newest_first_leaves_what_is_older(name: str, zone: str) -> None:
    pages = [_records(range(100, 80, -1), name, zone), _records(range(80, 60, -1), name, zone)]

    assert _left(*pages) == Window(START, START + 62 * SECOND), "the second of the last record included"


def test_oldest_first_leaves_what_is_newer() -> None:
    assert _left(_records(range(50)), _records(range(50, 70))) == Window(START + 69 * SECOND, WINDOW.end)


def test_fractions_of_a_second_count_as_their_second() -> None:
    seconds = [10.5, 10.25, *(5 + number / 100 for number in range(30))]

    assert _left(_records(sorted(seconds))) == Window(START + 10 * SECOND, WINDOW.end)


@pytest.mark.parametrize(
    "pages",
    [
        [_records([*range(30), 7])],
        [_records(range(100, 70, -1)), _records(range(72, 50, -1))],
        [_records(range(30)), _records(range(60, 30, -1))],
        [_records(range(10))],
        [_records([5] * 40)],
        [_records([*range(30)], zone="+02:00")],
        [_records([*range(30)], name="sent_at")],
        [_records(range(-3000, 100, 20))],
        [[Record(str(number), {"scanned_at": "0" * 19}) for number in range(30)]],
        [[Record(str(number), {"scanned_at": number}) for number in range(30)]],
        [],
    ],
    ids=[
        "disorder in a page", "disorder between pages", "the direction changes", "few records", "one second",
        "another zone", "no time", "outside the window", "no such time", "not a text", "nothing",
    ],
)  # fmt: skip
def test_without_a_clear_order_nothing_is_known(pages: list[list[Record]]) -> None:
    assert _left(*pages) is None


def test_what_is_left_is_always_shorter() -> None:
    """Otherwise a search might continue for ever."""
    second = Window(START, START + 25 * SECOND)

    assert _left(_records([24] * 25), _records([24] * 5 + [23] * 5), window=second) == Window(
        START, START + 24 * SECOND
    )
    assert _left(_records([25] * 25 + [24] * 2), window=second) is None


@pytest.mark.parametrize(
    ("pages", "is_disordered"),
    [
        ([_records(range(100, 70, -1)), _named(range(90, 60, -1))], True),
        ([_records(range(0, 60, 2)), _named(range(1, 61, 2))], True),
        ([_records(range(30)), _named(range(60, 30, -1))], True),
        ([_records(range(99, 69, -1)), _records(range(99, 69, -1))[28:] + _named(range(70, 50, -1))], False),
        ([_records(range(30)), _records(range(30))], False),
        ([_records(range(30)), _named(range(30, 60), zone="+02:00")], False),
        ([_records([5] * 30), _named(range(10, 30))], False),
    ],
    ids=[
        "each page newest first", "each page oldest first", "the direction changes", "rows moved on",
        "a page again", "unknown times", "the first page tells nothing",
    ],
)  # fmt: skip
def test_pages_that_contradict_each_other_prove_that_there_is_no_order(
    pages: list[list[Record]], *, is_disordered: bool
) -> None:
    order = ResultOrder(WINDOW)
    for page in pages:
        order.add(page)

    assert order.is_disordered == is_disordered
