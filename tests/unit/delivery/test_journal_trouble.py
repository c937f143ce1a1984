"""When the journal cannot take an acknowledgement, or somebody moves the position."""

from __future__ import annotations

import asyncio

import pytest

from connector.errors import JournalBroken, JournalFull, Retryable
from connector.facts import OutputHeld, OutputReleased
from connector.model import Limits, Receipt
from connector.testing.scripted import ScriptedOutput, hang
from tests.support.jumping_loop import run
from tests.unit.delivery.fakes import MemoryLog, RunningDeliverer, revision, revisions


def test_a_full_journal_pauses_the_output_instead_of_sending_again() -> None:
    async def scenario() -> None:
        output = ScriptedOutput(limits=Limits(events=2, concurrency=2, linger=0.0))
        log = MemoryLog(revisions(8), failures=[JournalFull("the disk is full")] * 5)
        async with RunningDeliverer(output, log) as running:
            await asyncio.sleep(0.1)
            assert running.deliverer.state.hold is not None
            assert "the disk is full" in running.deliverer.state.hold
            assert len(output.sends) <= 2
            await running.delivered()

        assert sorted(output.identities) == [str(number) for number in range(1, 9)]
        assert len(running.seen.of(OutputHeld)) == len(running.seen.of(OutputReleased)) == 1

    run(scenario())


def test_nothing_is_sent_again_while_an_acknowledgement_cannot_be_stored() -> None:
    async def scenario() -> None:
        limits = Limits(events=1, concurrency=2, linger=0.0)
        output = ScriptedOutput([Receipt(), Retryable("down")], limits=limits)
        log = MemoryLog(revisions(2), failures=[JournalFull("the disk is full")] * 10)
        async with RunningDeliverer(output, log) as running:
            await asyncio.sleep(60)
            assert log.position == 0
            assert output.sends == [["1"], ["2"]]
            await running.delivered()

        assert output.sends == [["1"], ["2"], ["2"]]

    run(scenario())


def test_a_rewind_is_followed_even_when_nothing_new_comes() -> None:
    async def scenario() -> None:
        output = ScriptedOutput()
        log = MemoryLog(revisions(4))
        async with RunningDeliverer(output, log) as running:
            await running.delivered()
            log.rewind(2)
            await running.delivered()

        assert output.identities == ["1", "2", "3", "4", "3", "4"]
        assert output.contract_violations == []

    run(scenario())


def test_a_rewind_during_a_send_drops_what_is_in_memory_and_goes_on_from_there() -> None:
    async def scenario() -> None:
        output = ScriptedOutput([hang], limits=Limits(events=2, linger=0.0))
        log = MemoryLog(revisions(4))
        async with RunningDeliverer(output, log) as running:
            await asyncio.sleep(10)
            log.rewind(1)
            await running.delivered()

        assert output.sends == [["1", "2"], ["2", "3"], ["4"]]
        assert output.contract_violations == []

    run(scenario())


def test_a_journal_that_is_broken_is_the_supervisors_matter() -> None:
    async def scenario() -> None:
        output = ScriptedOutput()
        log = MemoryLog([revision("a")], failures=[JournalBroken("restore it from a backup")])
        async with RunningDeliverer(output, log) as running:
            with pytest.raises(JournalBroken):
                await running.task

        assert log.position == 0
        assert output.calls[-1] == "close"

    run(scenario())
