"""Finishing: what is in hand leaves, the rest waits for a successor, and a dead collector delays nobody."""

from __future__ import annotations

import asyncio

from connector.errors import Hold, Retryable
from connector.model import Limits, Receipt
from connector.testing.scripted import ScriptedOutput, hang
from tests.support.jumping_loop import run
from tests.unit.delivery.fakes import MemoryLog, RunningDeliverer, revisions


class SlowToFail(ScriptedOutput):
    """A collector that refuses every connection after five seconds."""

    async def open(self) -> None:
        await asyncio.sleep(5)
        raise Retryable("connection refused")


def test_a_send_under_way_ends_and_is_acknowledged_so_that_a_successor_repeats_nothing() -> None:
    async def scenario() -> None:
        first = ScriptedOutput(limits=Limits(events=2, linger=0.0), seconds=5.0)
        log = MemoryLog(revisions(6))
        async with RunningDeliverer(first, log) as running:
            await asyncio.sleep(1)
            assert await running.deliverer.finish(60)
            await running.task
        second = ScriptedOutput(limits=Limits(events=2, linger=0.0))
        async with RunningDeliverer(second, log) as running:
            await running.delivered()

        assert sorted([*first.identities, *second.identities]) == list("123456")

    run(scenario())


def test_a_collector_that_does_not_take_anything_is_not_waited_for() -> None:
    async def scenario() -> None:
        for trouble in (Retryable("HTTP 503"), Hold("HTTP 401")):
            output = ScriptedOutput([trouble] * 99, limits=Limits(events=2, linger=0.0))
            log, loop = MemoryLog(revisions(4)), asyncio.get_running_loop()
            async with RunningDeliverer(output, log) as running:
                await asyncio.sleep(1)
                began = loop.time()
                assert not await running.deliverer.finish(60)
                assert loop.time() == began
                await running.task
            assert log.position == 0

    run(scenario())


def test_a_send_that_never_ends_is_cut_and_sent_again_by_the_successor() -> None:
    async def scenario() -> None:
        output = ScriptedOutput([Receipt(), hang], limits=Limits(events=2, linger=0.0))
        log = MemoryLog(revisions(6))
        async with RunningDeliverer(output, log) as running:
            await asyncio.sleep(1)
            assert not await running.deliverer.finish(10)
            await running.task
        again = ScriptedOutput(limits=Limits(events=2, linger=0.0))
        async with RunningDeliverer(again, log) as running:
            await running.delivered()

        assert again.identities == ["3", "4", "5", "6"]

    run(scenario())


def test_a_delivery_that_has_only_begun_ends_at_once() -> None:
    """Two reloads in a row: the second comes before the outputs of the first have read anything."""

    async def scenario() -> None:
        output = ScriptedOutput(limits=Limits(events=2, linger=0.0))
        log, loop = MemoryLog(revisions(6)), asyncio.get_running_loop()
        async with RunningDeliverer(output, log) as running:
            began = loop.time()
            assert await running.deliverer.finish(60)
            await running.task
            assert loop.time() < began + 1

        assert output.identities == []

    run(scenario())


def test_a_collector_that_fails_to_open_while_delivery_ends_is_not_waited_for() -> None:
    async def scenario() -> None:
        output = SlowToFail()
        log, loop = MemoryLog(revisions(4)), asyncio.get_running_loop()
        async with RunningDeliverer(output, log) as running:
            await asyncio.sleep(1)  # the connection is being made, and nothing has failed yet
            began = loop.time()
            assert not await running.deliverer.finish(60)
            assert loop.time() < began + 10
            await running.task

    run(scenario())
