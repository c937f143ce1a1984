"""Who reads slowly, or sits out a rate limit, may find the cursor expired; then the walk is begun anew."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from connector.errors import SearchIncomplete
from connector.model import Query
from connector.simulator import Behaviour, Fault
from tests.scenarios.source.account import run
from tests.scenarios.source.simulated import SPAN, collect, simulated

MINUTE = timedelta(minutes=1)


@pytest.mark.parametrize("status", [400, 404])
def test_a_long_pause_between_two_pages_aborts_the_walk_with_its_reason(status: int) -> None:
    async def story() -> None:
        async with simulated(Behaviour(cursor_lifetime=MINUTE, cursor_expired=status)) as it:
            walk = it.source.search(Query(per_page=50), SPAN)
            first = await anext(walk)
            assert len(first.records) == 50
            await asyncio.sleep(300)
            with pytest.raises(SearchIncomplete, match="refused_cursor") as caught:
                await anext(walk)
            assert caught.value.status == status

    run(story())


def test_a_rate_limit_longer_than_the_cursor_lives_loses_nothing() -> None:
    async def story() -> None:
        behaviour = Behaviour(cursor_lifetime=MINUTE)
        behaviour.script([None, None, Fault("rate_limited", retry_after=300)])
        async with simulated(behaviour) as it:
            found = await collect(it.source)
            assert it.expected <= found
            # The walk sat it out, met the expired cursor, and was read again in two halves.
            assert it.asked.count("first") >= 3

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
