"""Backpressure: a collector that refuses part of each request slows delivery down, not to a crawl."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from random import Random

import pytest

from connector.errors import Retryable
from connector.model import Event, Limits, Receipt
from connector.testing.scripted import ScriptedOutput
from tests.support.jumping_loop import run
from tests.unit.delivery.fakes import MemoryLog, RunningDeliverer, revisions

COUNT = 6000


def seconds_for(share: float, concurrency: int) -> float:
    """Virtual seconds to deliver ``COUNT`` events per lane, *share* of the items answered 429."""
    seconds: list[float] = []

    async def scenario() -> None:
        dice = Random(1)

        def overloaded(events: Sequence[Event]) -> Receipt:
            return Receipt(retry=frozenset(i for i in range(len(events)) if dice.random() < share))

        limits = Limits(events=100, concurrency=concurrency, linger=0.0)
        output = ScriptedOutput(then=overloaded, limits=limits, seconds=0.1)
        log = MemoryLog(revisions(COUNT * concurrency))
        loop = asyncio.get_running_loop()
        async with RunningDeliverer(output, log) as running:
            began = loop.time()
            await running.delivered()
            seconds.append(loop.time() - began)

        assert len(output.identities) == COUNT * concurrency
        assert output.repeats == 0
        assert log.letters == []
        assert output.contract_violations == []

    run(scenario())
    return seconds[0]


@pytest.mark.parametrize("concurrency", [1, 3])
def test_with_30_percent_of_items_answered_429_delivery_keeps_half_its_speed(
    concurrency: int,
) -> None:
    assert seconds_for(0.3, concurrency) <= 2 * seconds_for(0.0, concurrency)


@pytest.mark.parametrize("concurrency", [1, 3])
def test_a_queue_of_one_request_is_not_made_to_crawl_by_concurrent_requests(concurrency: int) -> None:
    """Every request beyond the first at a time is refused whole, as by a write queue of 1."""

    async def scenario() -> None:
        under_way = 0

        async def queue_of_one(_: Sequence[Event]) -> Receipt:
            nonlocal under_way
            if under_way:
                raise Retryable("HTTP 429: queue full")
            under_way += 1
            await asyncio.sleep(0.1)
            under_way -= 1
            return Receipt()

        limits = Limits(events=100, concurrency=concurrency, linger=0.0)
        output = ScriptedOutput(then=queue_of_one, limits=limits)
        log = MemoryLog(revisions(COUNT * concurrency))
        loop = asyncio.get_running_loop()
        async with RunningDeliverer(output, log) as running:
            began = loop.time()
            await running.delivered()

        assert loop.time() - began <= 30 * concurrency
        assert log.letters == []
        assert sorted(map(int, output.identities)) == list(range(1, COUNT * concurrency + 1))

    run(scenario())
