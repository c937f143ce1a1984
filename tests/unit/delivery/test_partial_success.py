"""A collector that counts what it rejects and does not say which: nothing is doubled, nothing forgotten."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from connector.facts import BatchPartlyRejected, BatchRetried, BatchSent, OutputHeld
from connector.model import Event, Limits, Receipt
from connector.testing.scripted import ScriptedOutput
from tests.support.jumping_loop import run
from tests.unit.delivery.fakes import MemoryLog, RunningDeliverer, revisions


def counting(*poison: str) -> object:
    """A collector that rejects the events *poison*, by a count; one that is alone, by name."""

    def answer(batch: Sequence[Event]) -> Receipt:
        bad = [index for index, event in enumerate(batch) if event.payload.decode() in poison]
        if len(bad) == len(batch):
            return Receipt(rejected=dict.fromkeys(bad, "too old"))
        return Receipt(unnamed=len(bad), unnamed_reason="too old" if bad else "")

    return answer


def test_the_whole_batch_becomes_dead_letters_and_none_is_sent_again() -> None:
    async def scenario() -> None:
        output = ScriptedOutput(then=counting("2"), limits=Limits(events=3, linger=0.0))  # type: ignore[arg-type]
        log = MemoryLog(revisions(6))
        async with RunningDeliverer(output, log) as running:
            await running.delivered()

        sent = [identity for batch in output.sends for identity in batch]
        assert sorted(sent) == sorted(set(sent)), "nothing is sent twice"
        assert log.dead_lettered == dict.fromkeys(["1", "2", "3"], "partial_success")
        assert {letter.answer for letter in log.letters} == {
            "1 of 3 events rejected, the collector does not say which: too old"
        }
        assert running.seen.of(BatchPartlyRejected) == [BatchPartlyRejected("siem", 1, 3, "too old")]
        first = running.seen.of(BatchSent)[0]
        assert (first.accepted, first.rejected, first.retry) == (2, 0, 0)
        assert running.seen.of(BatchRetried) == []

    run(scenario())


def test_refusals_in_every_batch_never_hold_the_output() -> None:
    async def scenario() -> None:
        poison = [str(number) for number in range(1, 400, 4)]
        output = ScriptedOutput(then=counting(*poison), limits=Limits(events=8, linger=0.0))  # type: ignore[arg-type]
        log = MemoryLog(revisions(400))
        async with RunningDeliverer(output, log) as running:
            await running.delivered()

        assert running.seen.of(OutputHeld) == []
        assert set(poison) <= set(log.dead_lettered)

    run(scenario())


def test_batches_shrink_so_that_fewer_events_share_the_doubt() -> None:
    async def scenario() -> None:
        poison = [str(number) for number in range(1, 2000, 10)]
        output = ScriptedOutput(then=counting(*poison), limits=Limits(events=100, linger=0.0))  # type: ignore[arg-type]
        log = MemoryLog(*(revisions(10, first) for first in range(1, 2000, 10)))
        async with RunningDeliverer(output, log) as running:
            await running.delivered()

        innocent = [name for name in log.dead_lettered if name not in poison]
        assert set(poison) <= set(log.dead_lettered)
        assert len(innocent) < 600, "batches of a hundred would have condemned all 1800"

    run(scenario())


@pytest.mark.parametrize("count", [-1, 3, 4])
def test_a_count_that_cannot_be_is_not_believed(count: int) -> None:
    async def scenario() -> None:
        output = ScriptedOutput(
            [Receipt(unnamed=count, unnamed_reason="all")],
            limits=Limits(events=3, linger=0.0),
        )
        log = MemoryLog(revisions(3))
        async with RunningDeliverer(output, log) as running:
            await running.delivered()

        assert log.letters == []
        assert output.sends == [["1", "2", "3"]] * 2

    run(scenario())
