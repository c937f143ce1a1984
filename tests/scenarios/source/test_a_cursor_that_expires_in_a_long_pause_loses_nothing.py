"""Who reads slowly, or sits out a rate limit, may find the cursor expired; then the search continues behind
its last record, or is repeated where the order of its records does not tell what is left."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from connector.errors import SearchIncomplete
from connector.facts import SearchContinued
from connector.model import Query
from connector.simulator import Behaviour, Fault
from connector.simulator.behaviour import Order
from tests.scenarios.source.account import run
from tests.scenarios.source.simulated import SPAN, collect, simulated

MINUTE = timedelta(minutes=1)


@pytest.mark.parametrize("order", ["newest", "oldest"])
@pytest.mark.parametrize("status", [400, 404])
def test_a_search_in_order_continues_behind_its_last_record(status: int, order: Order) -> None:
    async def story() -> None:
        async with simulated(Behaviour(cursor_lifetime=MINUTE, cursor_expired=status, order=order)) as it:
            found: list[str] = []
            pages = it.source.search(Query(per_page=50), SPAN)
            for _ in range(3):
                found += [record.id for record in (await anext(pages)).records]
            await asyncio.sleep(300)
            async for page in pages:
                found += [record.id for record in page.records]
            assert set(found) == it.expected
            assert len(found) < len(it.expected) + 5, "only records of the second where it ended come twice"
            assert it.asked.count("first") == 2
            assert [fact.pages for fact in it.facts if isinstance(fact, SearchContinued)] == [3]

    run(story())


@pytest.mark.parametrize("status", [400, 404])
def test_without_order_a_long_pause_aborts_the_search_with_its_reason(status: int) -> None:
    async def story() -> None:
        manner = Behaviour(cursor_lifetime=MINUTE, cursor_expired=status, order="unordered")
        async with simulated(manner) as it:
            walk = it.source.search(Query(per_page=50), SPAN)
            first = await anext(walk)
            assert len(first.records) == 50
            await asyncio.sleep(300)
            with pytest.raises(SearchIncomplete, match="refused_cursor") as caught:
                await anext(walk)
            assert caught.value.status == status

    run(story())


@pytest.mark.parametrize("order", ["newest", "unordered"])
def test_a_rate_limit_longer_than_the_cursor_lives_loses_nothing(order: Order) -> None:
    async def story() -> None:
        behaviour = Behaviour(cursor_lifetime=MINUTE, order=order)
        behaviour.script([None, None, Fault("rate_limited", retry_after=300)])
        async with simulated(behaviour) as it:
            found = await collect(it.source)
            assert it.expected <= found
            # The search sat it out, met the expired cursor, and continued, or was read again in two halves.
            assert it.asked.count("first") >= (2 if order == "newest" else 3)

    run(story())


def test_a_short_pause_costs_nothing() -> None:
    async def story() -> None:
        async with simulated(Behaviour(cursor_lifetime=MINUTE)) as it:
            found: set[str] = set()
            async for page in it.source.search(Query(per_page=100), SPAN):
                found.update(record.id for record in page.records)
                await asyncio.sleep(5)
            assert found == it.expected
            assert it.asked.count("first") == 1

    run(story())
