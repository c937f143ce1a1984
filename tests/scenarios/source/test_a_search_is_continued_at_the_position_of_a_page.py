"""A search that was given up goes on behind the last page read, where the order tells what is left."""

from __future__ import annotations

import contextlib

import pytest

from connector.model import FilterValue, Query, SearchPosition
from connector.simulator import Behaviour
from connector.simulator.behaviour import Order
from tests.scenarios.source.account import run
from tests.scenarios.source.simulated import SPAN, Simulated, simulated

ALL: dict[str, FilterValue] = {"detections_only": False}
TWO: dict[str, FilterValue] = {"final_disposition": ("SPAM", "MALICIOUS")}
PAGE = 48


async def _read(
    it: Simulated, query: Query, position: SearchPosition | None = None, *, pages: int = 1000
) -> tuple[set[str], SearchPosition | None]:
    """The ids of up to *pages* pages from *position* on, and the position of the last of them."""
    ids: set[str] = set()
    async with contextlib.aclosing(it.source.search(query, SPAN, position)) as found:
        async for page in found:
            ids.update(record.id for record in page.records)
            position, pages = page.position, pages - 1
            if not pages:
                break
    return ids, position


@pytest.mark.parametrize("order", ["newest", "oldest", "unordered"])
@pytest.mark.parametrize("filters", [ALL, TWO])
@pytest.mark.parametrize("pages", [1, 3, 5])
def test_what_is_left_and_what_was_read_is_everything(
    order: Order, filters: dict[str, FilterValue], pages: int
) -> None:
    async def story() -> None:
        async with simulated(Behaviour(order=order)) as it:
            query = Query(filters, PAGE)
            values = filters.get("final_disposition")
            parts = [{"final_disposition": one} for one in values] if isinstance(values, tuple) else [ALL]
            expected = set[str]().union(*map(it.expected_of, parts))
            whole = -(-len(expected) // PAGE)
            read, position = await _read(it, query, pages=pages)
            left, _ = await _read(it, query, position)

            assert read | left == expected
            if order != "unordered" and pages < whole:
                assert position is not None
                assert len(it.asked) <= whole + len(parts) + 1
            if order == "unordered" and filters is ALL:
                assert position is None

    run(story())


def test_a_position_is_worth_nothing_once_the_order_turns_out_to_be_none() -> None:
    async def story() -> None:
        async with simulated(Behaviour(order="newest")) as it:
            query = Query(ALL, PAGE)
            _, position = await _read(it, query, pages=5)
            assert position is not None
            it.simulator.behaviour.order = "unordered"
            found, position = await _read(it, query, position)

            assert found == it.expected_of(ALL)
            assert position is None

    run(story())


def test_records_that_are_too_few_to_tell_an_order_have_no_position() -> None:
    async def story() -> None:
        async with simulated(Behaviour(order="newest")) as it:
            _, few = await _read(it, Query(ALL, 10), pages=1)
            _, more = await _read(it, Query(ALL, 10), pages=2)
            assert few is None
            assert more is not None

    run(story())
