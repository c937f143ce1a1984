"""What an output could not deliver after all becomes a dead letter, once, whatever ends in between."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from connector.model import Event, LateFailure, LateFailures, Receipt
from connector.testing.scripted import ScriptedOutput
from tests.support.jumping_loop import run
from tests.unit.delivery.fakes import MemoryLog, RunningDeliverer, revisions


class Doubtful(ScriptedOutput):
    """Accepts everything, and doubts or abandons records by their names afterwards."""

    def __init__(self, suspected: Sequence[str] = (), abandoned: Sequence[str] = ()) -> None:
        super().__init__()
        self.suspected = set(suspected)
        self.abandoned = set(abandoned)
        self._sent: dict[str, Event] = {}

    async def send(self, events: Sequence[Event]) -> Receipt:
        self._sent.update({event.revision.record.id: event for event in events})
        return await super().send(events)

    def late_failures(self) -> LateFailures:
        abandoned = self.abandoned & self._sent.keys()
        self.abandoned -= abandoned
        return LateFailures(
            tuple(self._failure(name) for name in sorted(self.suspected & self._sent.keys())),
            tuple(self._failure(name) for name in sorted(abandoned)),
        )

    def _failure(self, name: str) -> LateFailure:
        return LateFailure(self._sent[name], "reset by peer", 5)


def test_what_is_given_up_later_is_a_dead_letter_at_an_unchanged_position() -> None:
    async def scenario() -> None:
        output, log = Doubtful(suspected=["2"]), MemoryLog(revisions(3))
        async with RunningDeliverer(output, log) as running:
            await running.delivered()
            await asyncio.sleep(1)
            assert [letter.sequence for letter in log.suspected] == [2]
            assert running.deliverer.state.suspects == 1
            assert log.letters == []

            output.suspected, output.abandoned = set(), {"2"}
            log.append(revisions(1, 4))
            await running.delivered()
            await asyncio.sleep(1)

        assert [(letter.sequence, letter.reason, letter.attempts) for letter in log.letters] == [
            (2, "poison", 5)
        ]
        assert log.suspected == []

    run(scenario())


def test_a_suspect_that_passes_is_forgotten() -> None:
    async def scenario() -> None:
        output, log = Doubtful(suspected=["2"]), MemoryLog(revisions(3))
        async with RunningDeliverer(output, log) as running:
            await running.delivered()
            output.suspected = set()
            log.append(revisions(1, 4))
            await running.delivered()
            await asyncio.sleep(1)
        assert (log.suspected, log.letters) == ([], [])

    run(scenario())


def test_a_suspect_left_behind_is_a_dead_letter_and_one_that_is_sent_again_is_not() -> None:
    async def scenario() -> None:
        output, log = Doubtful(suspected=["1", "3"]), MemoryLog(revisions(3))
        async with RunningDeliverer(output, log) as running:
            await running.delivered()
            await asyncio.sleep(1)
        assert [letter.sequence for letter in log.suspected] == [1, 3]
        log.rewind(2)

        async with RunningDeliverer(Doubtful(), log) as running:
            await running.delivered()
            await asyncio.sleep(1)
        assert [letter.sequence for letter in log.letters] == [1]
        assert log.suspected == []

    run(scenario())


def test_the_end_does_not_wait_for_a_journal_that_is_away() -> None:
    async def never(*_: object, **__: object) -> None:
        await asyncio.Event().wait()

    async def scenario() -> None:
        output, log = Doubtful(), MemoryLog(revisions(3))
        async with RunningDeliverer(output, log) as running:
            await running.delivered()
            await asyncio.sleep(1)
            log.acknowledge = never  # type: ignore[method-assign]
            output.suspected = {"2"}
            began = asyncio.get_running_loop().time()
            running.task.cancel()
            await asyncio.gather(running.task, return_exceptions=True)
            assert asyncio.get_running_loop().time() - began < 10

    run(scenario())
