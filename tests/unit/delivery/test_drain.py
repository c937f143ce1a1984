"""Draining: what is there leaves, what cannot leave stays, and nothing is lost either way."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from connector.errors import Hold, Refused, Retryable
from connector.model import Event, Limits, Receipt
from connector.testing.scripted import ScriptedOutput, hang
from tests.support.jumping_loop import run
from tests.unit.delivery.fakes import MemoryLog, RunningDeliverer, revision, revisions


def cancels_itself(_: Sequence[Event]) -> Receipt:
    """An output with a bug in its own cancellation."""
    raise asyncio.CancelledError


def test_a_drain_delivers_the_backlog_and_the_lingering_tail_then_ends_the_worker() -> None:
    async def scenario() -> None:
        output = ScriptedOutput(limits=Limits(events=3, linger=3600.0), seconds=1.0)
        log = MemoryLog(revisions(10))
        async with RunningDeliverer(output, log) as running:
            await asyncio.sleep(0)
            complete = await running.deliverer.drain(25)
            await running.task

        assert complete
        assert log.position == 10
        assert output.calls[-1] == "close"

    run(scenario())


def test_a_drain_reads_nothing_that_came_after_it_began() -> None:
    async def scenario() -> None:
        output = ScriptedOutput(seconds=5.0)
        log = MemoryLog(revisions(2))
        async with RunningDeliverer(output, log) as running:
            await asyncio.sleep(1)
            draining = asyncio.create_task(running.deliverer.drain(25))
            await asyncio.sleep(1)
            log.append([revision("late")])
            assert await draining

        assert output.identities == ["1", "2"]
        assert log.position == 2

    run(scenario())


def test_a_drain_that_takes_too_long_is_cut_and_the_rest_waits_in_the_journal() -> None:
    async def scenario() -> None:
        output = ScriptedOutput([Receipt(), hang], limits=Limits(events=2, linger=0.0))
        log = MemoryLog(revisions(6))
        loop = asyncio.get_running_loop()
        async with RunningDeliverer(output, log) as running:
            await asyncio.sleep(1)
            began = loop.time()
            assert not await running.deliverer.drain(25)
            assert loop.time() - began == 25
            await running.task
        assert log.position == 2

        again = ScriptedOutput(limits=Limits(events=2, linger=0.0))
        async with RunningDeliverer(again, log) as running:
            await running.delivered()
        assert again.identities == ["3", "4", "5", "6"]

    run(scenario())


def test_a_drain_dead_letters_a_last_culprit_so_that_it_can_end() -> None:
    def refuse_last(events: Sequence[Event]) -> Receipt:
        if any(event.payload == b"3" for event in events):
            raise Refused("malformed")
        return Receipt()

    async def scenario() -> None:
        output = ScriptedOutput(then=refuse_last)
        log = MemoryLog(revisions(3))
        async with RunningDeliverer(output, log) as running:
            await asyncio.sleep(0)
            assert await running.deliverer.drain(5)

        assert log.dead_lettered == {"3": "refused"}

    run(scenario())


def test_a_drain_of_an_idle_output_and_a_second_drain_end_at_once() -> None:
    async def scenario() -> None:
        log = MemoryLog(revisions(1))
        loop = asyncio.get_running_loop()
        async with RunningDeliverer(ScriptedOutput(), log) as running:
            await running.delivered()
            began = loop.time()
            assert await running.deliverer.drain(25)
            assert await running.deliverer.drain(25)
            assert loop.time() == began

    run(scenario())


def test_a_drain_is_not_fooled_by_a_worker_that_has_yet_to_start() -> None:
    async def scenario() -> None:
        output = ScriptedOutput()
        log = MemoryLog(revisions(2))
        async with RunningDeliverer(output, log) as running:
            assert await running.deliverer.drain(25)

        assert output.identities == ["1", "2"]

    run(scenario())


def test_a_drain_waits_for_a_retry_but_not_for_ever_for_a_hold() -> None:
    async def scenario() -> None:
        log = MemoryLog(revisions(2))
        output = ScriptedOutput([Retryable("down", after=20)])
        async with RunningDeliverer(output, log) as running:
            await asyncio.sleep(1)
            assert await running.deliverer.drain(25)
        assert output.identities == ["1", "2"]

        log.append([revision("late")])
        async with RunningDeliverer(ScriptedOutput(opening=[Hold("bad token")] * 99), log) as running:
            await asyncio.sleep(1)
            assert not await running.deliverer.drain(25)
            await running.task
        assert log.position == 2

    run(scenario())


def test_a_cancelled_worker_loses_nothing() -> None:
    async def scenario() -> None:
        log = MemoryLog(revisions(4))
        async with RunningDeliverer(ScriptedOutput([hang]), log):
            await asyncio.sleep(5)
        assert log.position == 0

        output = ScriptedOutput([Retryable("warming up")])
        async with RunningDeliverer(output, log) as running:
            await running.delivered()
        assert output.identities == ["1", "2", "3", "4"]

    run(scenario())


def test_an_output_that_turns_a_cancellation_into_an_error_does_not_keep_the_worker_alive() -> None:
    async def scenario() -> None:
        async def stubborn(_: object) -> Receipt:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                raise Retryable("connection lost") from None
            raise AssertionError

        log = MemoryLog(revisions(2))
        async with RunningDeliverer(ScriptedOutput(then=stubborn), log) as running:
            await asyncio.sleep(1)
            assert not await running.deliverer.drain(5)
            await running.task
        assert log.position == 0

    run(scenario())


def test_an_output_that_cancels_itself_is_a_failed_send_like_any_other() -> None:
    async def scenario() -> None:
        output = ScriptedOutput([cancels_itself])
        log = MemoryLog(revisions(2))
        async with RunningDeliverer(output, log) as running:
            await running.delivered()

        assert output.sends == [["1", "2"], ["1", "2"]]

    run(scenario())
