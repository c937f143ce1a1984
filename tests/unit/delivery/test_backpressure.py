"""Backpressure: a collector that refuses part of each request slows delivery down, not to a crawl."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from random import Random

import pytest

from connector.delivery import reader
from connector.errors import Retryable
from connector.model import Event, Limits, Receipt
from connector.testing.scripted import ScriptedOutput
from tests.support.jumping_loop import run
from tests.unit.delivery.fakes import MemoryLog, RunningDeliverer, revisions

COUNT = 12_000


def seconds_for(share: float, concurrency: int) -> float:
    """Virtual seconds to deliver ``COUNT`` events, *share* of the items answered 429."""
    seconds: list[float] = []

    async def scenario() -> None:
        dice = Random(1)

        def overloaded(events: Sequence[Event]) -> Receipt:
            return Receipt(retry=frozenset(i for i in range(len(events)) if dice.random() < share))

        limits = Limits(events=100, concurrency=concurrency, linger=0.0)
        output = ScriptedOutput(then=overloaded, limits=limits, seconds=0.1)
        log = MemoryLog(revisions(COUNT))
        loop = asyncio.get_running_loop()
        async with RunningDeliverer(output, log) as running:
            began = loop.time()
            await running.delivered()
            seconds.append(loop.time() - began)

        assert len(output.identities) == COUNT
        assert output.repeats == 0
        assert log.letters == []
        assert output.contract_violations == []

    run(scenario())
    return seconds[0]


@pytest.mark.parametrize("concurrency", [1, 3, 8])
def test_with_30_percent_of_items_answered_429_delivery_keeps_half_its_speed(
    concurrency: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A busy machine would let the reader take turns elsewhere, and so change which request meets which dice.
    monkeypatch.setattr(reader, "_TURN_SECONDS", float("inf"))
    assert seconds_for(0.3, concurrency) <= 2 * seconds_for(0.0, concurrency)


def refused_whole(events: Sequence[Event]) -> Receipt:
    """What Elasticsearch answers where the write queue of the only shard is full: 429 for each item."""
    return Receipt(retry=frozenset(range(len(events))), retry_reason="429: the write queue is full")


def refused_by_status(_: Sequence[Event]) -> Receipt:
    raise Retryable("HTTP 429: queue full", busy=True)


@pytest.mark.parametrize("refuse", [refused_whole, refused_by_status])
@pytest.mark.parametrize("concurrency", [1, 3, 8])
def test_a_queue_of_one_request_is_not_made_to_crawl_by_concurrent_requests(
    concurrency: int, refuse: Callable[[Sequence[Event]], Receipt]
) -> None:
    """Every request beyond the first at a time is refused whole, as by a write queue of 1."""

    async def scenario() -> None:
        under_way = 0
        sizes: list[int] = []

        async def queue_of_one(events: Sequence[Event]) -> Receipt:
            nonlocal under_way
            await asyncio.sleep(0.002)
            if under_way:
                return refuse(events)
            under_way += 1
            await asyncio.sleep(0.1)
            under_way -= 1
            sizes.append(len(events))
            return Receipt()

        limits = Limits(events=100, concurrency=concurrency, linger=0.0)
        output = ScriptedOutput(then=queue_of_one, limits=limits)
        log = MemoryLog(revisions(COUNT))
        loop = asyncio.get_running_loop()
        async with RunningDeliverer(output, log) as running:
            began = loop.time()
            await running.delivered()

        one_by_one = 0.102 * COUNT / 100
        assert loop.time() - began <= 2 * one_by_one
        assert sizes == [100] * (COUNT // 100), "requests are not cut into pieces"
        assert log.letters == []
        assert sorted(map(int, output.identities)) == list(range(1, COUNT + 1))

    run(scenario())


def test_a_collector_that_accepts_nothing_is_asked_less_and_less_often() -> None:
    """An answer per event shows that it is up, so the first waits are short; each is about twice as long."""

    async def scenario() -> None:
        loop = asyncio.get_running_loop()
        tried: list[float] = []

        def refuse(events: Sequence[Event]) -> Receipt:
            tried.append(loop.time())
            return refused_whole(events) if loop.time() < 600 else Receipt()

        began = loop.time()
        output = ScriptedOutput(
            then=refuse, limits=Limits(events=100, concurrency=8, linger=0.0), seconds=0.1
        )
        log = MemoryLog(revisions(2000))
        async with RunningDeliverer(output, log) as running:
            await running.delivered()

        assert sum(moment < began + 10 for moment in tried) >= 5
        assert sum(began + 300 <= moment < began + 600 for moment in tried) <= 40
        assert log.letters == []

    run(scenario())
