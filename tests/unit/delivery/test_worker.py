"""The worker: everything reaches the output, in order, and the position follows."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import timedelta

from connector.delivery import DeliveryOptions
from connector.facts import (
    BatchSending,
    BatchSent,
    EventDeadLettered,
    EventsFiltered,
    MappingWarnings,
    OutputPosition,
)
from connector.model import Event, Limits, Receipt, Revision
from connector.testing.scripted import ScriptedOutput
from tests.support.jumping_loop import run
from tests.unit.delivery.fakes import MemoryLog, RunningDeliverer, at, plain, revision, revisions


def test_every_revision_arrives_in_order_and_the_position_ends_at_the_head() -> None:
    async def scenario() -> None:
        output = ScriptedOutput(limits=Limits(events=3, linger=0.0))
        log = MemoryLog(revisions(7), revisions(4, first=8))
        async with RunningDeliverer(output, log) as running:
            await running.delivered()

        assert output.identities == [str(number) for number in range(1, 12)]
        assert log.positions == sorted(set(log.positions))
        assert output.contract_violations == []
        assert output.calls[0] == "open"
        assert output.calls[-1] == "close"

    run(scenario())


def test_what_comes_later_arrives_too() -> None:
    async def scenario() -> None:
        output = ScriptedOutput()
        log = MemoryLog(revisions(2))
        async with RunningDeliverer(output, log) as running:
            await running.delivered()
            await asyncio.sleep(3600)
            log.append([revision("late")])
            await running.delivered()

        assert output.identities == ["1", "2", "late"]

    run(scenario())


def test_a_tail_leaves_when_its_linger_ends_although_no_further_event_comes() -> None:
    async def scenario() -> None:
        output = ScriptedOutput(limits=Limits(events=500, linger=5.0))
        log = MemoryLog(revisions(2))
        async with RunningDeliverer(output, log) as running:
            await running.delivered(patience=1.0)
            log.append(revisions(1, first=3))
            log.append(revisions(1, first=4))
            await running.delivered(patience=6.0)

        assert output.sends == [["1", "2"], ["3", "4"]]

    run(scenario())


def test_what_an_output_does_not_want_still_moves_the_position_and_is_counted() -> None:
    def wants_even(found: Revision) -> Event | None:
        if found.record.id == "old":
            return Event(found, b"old", at(-7200), 3, "email.test")
        return plain(found) if found.record.id in {"2", "4"} else None

    async def scenario() -> None:
        output = ScriptedOutput()
        log = MemoryLog(revisions(5), [revision("2", number=2), revision("old")])
        log.append([revision("6")], only="another")
        options = DeliveryOptions(emit="first", max_age=timedelta(hours=1))
        async with RunningDeliverer(output, log, mapper=wants_even, options=options) as running:
            await running.delivered()

        assert output.identities == ["2", "4"]
        counted: dict[str, int] = {}
        for fact in running.seen.of(EventsFiltered):
            counted[fact.reason] = counted.get(fact.reason, 0) + fact.count
        assert counted == {"when": 3, "emit": 1, "max_age": 1, "addressed": 1}

    run(scenario())


def test_a_replay_for_this_output_passes_emit_and_max_age() -> None:
    def old(found: Revision) -> Event:
        return Event(found, b"old", at(-7200), 3, "email.test")

    async def scenario() -> None:
        output = ScriptedOutput()
        log = MemoryLog()
        log.append([revision("a", number=3)], only="siem")
        options = DeliveryOptions(emit="first", max_age=timedelta(hours=1))
        async with RunningDeliverer(output, log, mapper=old, options=options) as running:
            await running.delivered()

        assert output.identities == ["a"]

    run(scenario())


def test_a_revision_that_cannot_be_mapped_is_dead_lettered_and_the_rest_arrives() -> None:
    def hostile(found: Revision) -> Event:
        if found.record.id == "2":
            raise ValueError("no such table")
        return plain(found)

    async def scenario() -> None:
        output = ScriptedOutput()
        log = MemoryLog(revisions(3))
        async with RunningDeliverer(output, log, mapper=hostile) as running:
            await running.delivered()

        assert output.identities == ["1", "3"]
        # The error's text may quote the message; neither the dead letter nor the log repeats it.
        [letter] = log.letters
        assert letter.answer.startswith("ValueError at test_worker.py:")
        assert "no such table" not in letter.answer
        dead_lettered = [(fact.reason, fact.answer) for fact in running.seen.of(EventDeadLettered)]
        assert dead_lettered == [("mapping", letter.answer)]

    run(scenario())


def test_an_event_that_is_too_large_is_shrunk_where_that_works_and_dead_lettered_where_not() -> None:
    def large(found: Revision) -> Event:
        return Event(found, found.record.id.encode() * 100, at(0), 3, "email.test")

    def shrink(event: Event, limit: int) -> Event | None:
        if event.revision.record.id == "2":
            return None
        return Event(event.revision, event.payload[:limit], event.time, 3, event.code, ("shortened",))

    async def scenario() -> None:
        output = ScriptedOutput(limits=Limits(event_bytes=10, linger=0.0))
        log = MemoryLog(revisions(3))
        async with RunningDeliverer(output, log, mapper=large, shrink=shrink) as running:
            await running.delivered()

        assert output.identities == ["1", "3"]
        assert log.dead_lettered == {"2": "too_large"}
        assert [(fact.count, fact.notes) for fact in running.seen.of(MappingWarnings)] == [
            (2, ("shortened",))
        ]
        assert output.contract_violations == []

    run(scenario())


def test_facts_tell_of_each_send_and_each_step_of_the_position() -> None:
    async def scenario() -> None:
        output = ScriptedOutput(limits=Limits(events=2, linger=0.0), seconds=0.5)
        log = MemoryLog(revisions(4))
        async with RunningDeliverer(output, log) as running:
            await running.delivered()
            await asyncio.sleep(0)

            state = running.deliverer.state
        assert [fact.events for fact in running.seen.of(BatchSending)] == [2, 2]
        assert [(fact.accepted, fact.seconds) for fact in running.seen.of(BatchSent)] == [(2, 0.5), (2, 0.5)]
        assert [fact.position for fact in running.seen.of(OutputPosition)] == [2, 4]
        assert (state.position, state.hold, state.attempt, state.in_flight) == (4, None, 0, 0)
        assert state.last_success is not None

    run(scenario())


def test_numbers_that_nobody_will_ever_see_do_not_stop_the_position() -> None:
    async def scenario() -> None:
        output = ScriptedOutput()
        log = MemoryLog(revisions(2))
        log.append(revisions(2, first=3), hole=10)
        async with RunningDeliverer(output, log) as running:
            await running.delivered()

        assert output.identities == ["1", "2", "3", "4"]
        assert log.position == 14

    run(scenario())


def test_concurrent_sends_overlap_and_the_position_waits_for_the_slowest() -> None:
    async def scenario() -> None:
        first = asyncio.Event()

        async def held(_: Sequence[Event]) -> Receipt:
            await first.wait()
            return Receipt()

        output = ScriptedOutput([held], limits=Limits(events=1, concurrency=3, linger=0.0))
        log = MemoryLog(revisions(6))
        async with RunningDeliverer(output, log) as running:
            await asyncio.sleep(60)
            assert log.position == 0
            assert output.sends == [["1"], ["2"], ["3"]]
            first.set()
            await running.delivered()

        assert sorted(output.identities) == ["1", "2", "3", "4", "5", "6"]
        assert output.contract_violations == []

    run(scenario())
