"""Refused events: the culprit alone is buried, and a collector that refuses everything buries nobody."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from connector.errors import Refused
from connector.facts import BatchSplit, EventDeadLettered, OutputHeld, OutputReleased
from connector.model import Event, Limits, Receipt, Revision
from connector.testing.scripted import Answer, ScriptedOutput, refusing
from tests.support.jumping_loop import run
from tests.unit.delivery.fakes import MemoryLog, RunningDeliverer, plain, revision, revisions


def refuse_all(_: Sequence[Event]) -> Receipt:
    """A collector that finds fault with everything."""
    raise Refused("mapping conflict")


def test_bisection_dead_letters_the_culprit_alone_and_keeps_the_order() -> None:
    async def scenario() -> None:
        output = ScriptedOutput(then=refusing(lambda event: event.payload == b"6"))
        log = MemoryLog(revisions(9))
        async with RunningDeliverer(output, log) as running:
            await running.delivered()

        assert output.identities == ["1", "2", "3", "4", "5", "7", "8", "9"]
        assert log.dead_lettered == {"6": "refused"}
        letter = log.letters[0]
        assert (letter.output, letter.sequence, letter.answer) == ("siem", 6, "malformed event")
        assert letter.attempts >= 2
        assert letter.first_tried <= letter.dead_lettered_at
        assert running.seen.of(BatchSplit)
        assert [fact.sequence for fact in running.seen.of(EventDeadLettered)] == [6]

    run(scenario())


def test_a_named_suspect_goes_alone_and_is_dead_lettered_only_if_it_is_refused_again() -> None:
    async def scenario() -> None:
        output = ScriptedOutput([Refused("event 2 is malformed", suspect=2)])
        log = MemoryLog(revisions(5))
        async with RunningDeliverer(output, log) as running:
            await running.delivered()

        assert output.sends == [["1", "2", "3", "4", "5"], ["1", "2"], ["3"], ["4", "5"]]
        assert log.letters == []

    run(scenario())


def test_twenty_refusals_in_a_row_hold_and_bury_nobody() -> None:
    async def scenario() -> None:
        output = ScriptedOutput([Receipt(), *[refuse_all] * 200], limits=Limits(events=8, linger=0.0))
        log = MemoryLog(revisions(40))
        async with RunningDeliverer(output, log) as running:
            await asyncio.sleep(200)
            holds = running.seen.of(OutputHeld)
            assert len(holds) == 1
            assert "20 refusals in a row" in holds[0].reason
            assert "mapping conflict" in holds[0].reason
            assert running.deliverer.state.hold == holds[0].reason
            assert log.letters == []
            assert log.position == 8

            await running.delivered()

        assert output.identities == [str(number) for number in range(1, 41)]
        assert log.letters == []
        assert len(running.seen.of(OutputReleased)) == 1

    run(scenario())


def test_a_collector_that_rejects_each_of_many_events_is_a_hold_too() -> None:
    def reject_all(events: Sequence[Event]) -> Receipt:
        return Receipt(rejected=dict.fromkeys(range(len(events)), "no such field"))

    async def scenario() -> None:
        output = ScriptedOutput([reject_all, reject_all])
        log = MemoryLog(revisions(30))
        async with RunningDeliverer(output, log) as running:
            await running.delivered()

        assert log.letters == []
        assert len(running.seen.of(OutputHeld)) == 1
        assert len(output.identities) == 30

    run(scenario())


def test_items_rejected_beside_accepted_ones_are_dead_lettered_at_once() -> None:
    async def scenario() -> None:
        output = ScriptedOutput([Receipt(rejected={1: "field too long"}, retry=frozenset({2}))])
        log = MemoryLog(revisions(4))
        async with RunningDeliverer(output, log) as running:
            await running.delivered()

        assert output.sends == [["1", "2", "3", "4"], ["3"]]
        assert log.dead_lettered == {"2": "rejected"}
        assert log.letters[0].answer == "field too long"

    run(scenario())


def test_a_lonely_culprit_is_dead_lettered_when_nothing_else_is_there_to_send() -> None:
    async def scenario() -> None:
        output = ScriptedOutput(then=refuse_all)
        log = MemoryLog([revision("poison")])
        async with RunningDeliverer(output, log) as running:
            await running.delivered(patience=5.0)

        assert log.dead_lettered == {"poison": "refused"}

    run(scenario())


def test_silence_proves_guilt_once_and_then_the_collector_has_to_accept_something() -> None:
    async def scenario() -> None:
        output = ScriptedOutput([refuse_all, refuse_all, refuse_all])
        log = MemoryLog([revision("first")])
        async with RunningDeliverer(output, log) as running:
            await running.delivered()
            log.append([revision("second")])
            await running.delivered()

        assert log.dead_lettered == {"first": "refused"}
        assert output.identities == ["second"]

    run(scenario())


def test_doubt_ends_when_a_later_event_is_accepted() -> None:
    async def scenario() -> None:
        output = ScriptedOutput(
            then=refusing(lambda event: event.payload == b"2"), limits=Limits(events=2, linger=0.0)
        )
        log = MemoryLog(revisions(4))
        async with RunningDeliverer(output, log) as running:
            await running.delivered()

        assert output.identities == ["1", "3", "4"]
        assert log.dead_lettered == {"2": "refused"}

    run(scenario())


def test_a_batch_that_is_too_large_shrinks_and_later_ones_start_smaller() -> None:
    def at_most_four_bytes(events: Sequence[Event]) -> Receipt:
        if sum(len(event.payload) for event in events) > 4:
            raise Refused("too large", too_large=True)
        return Receipt()

    async def scenario() -> None:
        output = ScriptedOutput(then=at_most_four_bytes, limits=Limits(events=100, linger=0.0))
        log = MemoryLog([revision(name) for name in "abcdefgh"], [revision(name) for name in "ijkl"])
        async with RunningDeliverer(output, log) as running:
            await running.delivered()
            log.append([revision("x" * 9)])
            log.append([revision(name) for name in "mnop"])
            await running.delivered()

        assert log.dead_lettered == {"x" * 9: "too_large"}
        assert output.identities == list("abcdefghijklmnop")
        assert output.sends[:3] == [list("abcdefgh"), list("abcd"), list("efgh")]
        assert all(len(sent) <= 5 for sent in output.sends[1:])

    run(scenario())


def test_a_bug_that_one_event_triggers_dead_letters_that_event() -> None:
    def stumbling(events: Sequence[Event]) -> Receipt:
        if any(event.payload == b"3" for event in events):
            raise KeyError("secret text")
        return Receipt()

    async def scenario() -> None:
        output = ScriptedOutput(then=stumbling)
        log = MemoryLog(revisions(6))
        async with RunningDeliverer(output, log) as running:
            await running.delivered()

        assert log.dead_lettered == {"3": "bug"}
        assert "KeyError" in log.letters[0].answer
        assert "secret text" not in log.letters[0].answer
        assert output.identities == ["1", "2", "4", "5", "6"]

    run(scenario())


def test_dead_letters_before_a_split_are_stored_with_the_position_that_covers_them() -> None:
    def unmappable(found: Revision) -> Event:
        if found.record.id in {"1", "4"}:
            raise ValueError("unmappable")
        return plain(found)

    async def scenario() -> None:
        stored: list[tuple[int, list[int]]] = []
        output = ScriptedOutput([Refused("?"), Receipt(), TimeoutError(), Receipt()])
        log = MemoryLog(revisions(6))
        log.on_acknowledged = lambda upto: stored.append((upto, [letter.sequence for letter in log.letters]))
        async with RunningDeliverer(output, log, mapper=unmappable) as running:
            await running.delivered()

        assert stored == [(3, [1]), (6, [1, 4])]

    run(scenario())


def test_what_lies_between_rejected_events_is_sent_again_together() -> None:
    """A collector that is overloaded and finds fault with two events must not get the others one by one."""

    async def scenario() -> None:
        first = Receipt({0: "no", 6: "no"}, frozenset({1, 2, 3, 4, 5, 7, 8, 9}))
        output = ScriptedOutput([first], limits=Limits(events=10, linger=0.0))
        log = MemoryLog(revisions(10))
        async with RunningDeliverer(output, log) as running:
            await running.delivered()

        assert output.sends[1:] == [["2", "3", "4", "5", "6"], ["8", "9", "10"]]
        assert log.dead_lettered == {"1": "rejected", "7": "rejected"}

    run(scenario())


def _is_replayed(event: Event) -> bool:
    return int(event.payload) <= 60


def _reject_replayed(events: Sequence[Event]) -> Receipt:
    rejected = [index for index, event in enumerate(events) if _is_replayed(event)]
    return Receipt(rejected=dict.fromkeys(rejected, "no such field"))


@pytest.mark.parametrize(
    ("answer", "reason"), [(refusing(_is_replayed), "refused"), (_reject_replayed, "rejected")]
)
def test_replayed_dead_letters_that_are_refused_again_hold_back_nobody(answer: Answer, reason: str) -> None:
    async def scenario() -> None:
        output = ScriptedOutput(then=answer, limits=Limits(events=50))
        log = MemoryLog(revisions(10, first=100))
        log.append(revisions(60), only="siem")
        log.append(revisions(5, first=200))
        async with RunningDeliverer(output, log) as running:
            await running.delivered()

        assert log.dead_lettered == {str(number): reason for number in range(1, 61)}
        assert output.identities == [str(number) for number in (*range(100, 110), *range(200, 205))]
        assert running.seen.of(OutputHeld) == []

    run(scenario())


def test_a_collector_that_refuses_everything_holds_behind_replayed_dead_letters_too() -> None:
    broken = True

    def refuse_while_broken(events: Sequence[Event]) -> Receipt:
        return refuse_all(events) if broken else Receipt()

    async def scenario() -> None:
        nonlocal broken
        output = ScriptedOutput(then=refuse_while_broken, limits=Limits(events=8, linger=0.0))
        log = MemoryLog()
        log.append(revisions(30), only="siem")
        log.append(revisions(30, first=200))
        async with RunningDeliverer(output, log) as running:
            await asyncio.sleep(100)
            assert len(running.seen.of(OutputHeld)) == 1
            assert log.dead_lettered == {str(number): "refused" for number in range(1, 31)}

            broken = False
            await running.delivered()

        assert output.identities == [str(number) for number in range(200, 230)]
        assert len(log.letters) == 30

    run(scenario())
