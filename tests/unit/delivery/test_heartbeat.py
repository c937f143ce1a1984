"""Heartbeats come at regular times and disturb nothing: no order, no position, no dead letters."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import timedelta

from connector.delivery import DeliveryOptions, Heartbeat
from connector.errors import Hold, Refused, Retryable
from connector.facts import (
    BatchSent,
    EventDeadLettered,
    HeartbeatRefused,
    HeartbeatSent,
    OutputHeld,
    OutputReleased,
)
from connector.model import Event, Limits, Receipt
from connector.testing.scripted import ScriptedOutput, Step, hang, refusing
from tests.support.jumping_loop import EPOCH, run
from tests.unit.delivery.fakes import MemoryLog, RunningDeliverer, revision, revisions

MINUTES = timedelta(minutes=5)


def beat() -> Event:
    return Event(revision("beat"), b"beat", EPOCH, 0, "connector.heartbeat")


def beating(every: timedelta = MINUTES) -> DeliveryOptions:
    return DeliveryOptions(heartbeat=Heartbeat(every, beat))


def only(turn: Step, *, heartbeats: bool) -> Step:
    """*turn* for heartbeats, or for everything else; the rest is taken."""

    def answer(events: Sequence[Event]) -> Receipt:
        if (events[0].payload == b"beat") is not heartbeats:
            return Receipt()
        if isinstance(turn, Exception):
            raise turn
        assert isinstance(turn, Receipt)
        return turn

    return answer


def test_the_first_beat_comes_at_once_and_then_one_per_interval_whether_or_not_there_is_mail() -> None:
    async def scenario() -> None:
        output = ScriptedOutput()
        log = MemoryLog()
        async with RunningDeliverer(output, log, options=beating()) as running:
            await asyncio.sleep(10)
            assert output.identities == ["beat"]
            log.append(revisions(3))
            await running.delivered()
            await asyncio.sleep(3600)

        assert output.identities.count("beat") == 13
        assert [name for name in output.identities if name != "beat"] == ["1", "2", "3"]
        assert log.positions == [3]
        assert output.contract_violations == []
        assert len(running.seen.of(HeartbeatSent)) == 13
        assert sum(sent.accepted for sent in running.seen.of(BatchSent)) == 3

    run(scenario())


def test_a_backlog_keeps_its_order_and_does_not_keep_heartbeats_away() -> None:
    async def scenario() -> None:
        output = ScriptedOutput(limits=Limits(events=10, linger=0.0), seconds=10.0)
        log = MemoryLog(revisions(1000))
        async with RunningDeliverer(output, log, options=beating()) as running:
            await running.delivered()

        mail = [name for name in output.identities if name != "beat"]
        assert mail == [str(number) for number in range(1, 1001)]
        assert 3 <= output.identities.count("beat") <= 5
        assert output.contract_violations == []

    run(scenario())


def test_no_more_sends_are_under_way_than_the_output_allows() -> None:
    async def scenario() -> None:
        output = ScriptedOutput(limits=Limits(events=10, concurrency=3, linger=0.0), seconds=10.0)
        log = MemoryLog(revisions(1000))
        async with RunningDeliverer(output, log, options=beating(timedelta(seconds=15))) as running:
            await running.delivered()

        assert output.identities.count("beat") > 5
        assert output.contract_violations == []

    run(scenario())


def test_a_heartbeat_that_is_refused_is_reported_and_is_no_dead_letter() -> None:
    async def scenario() -> None:
        for refusal in (Refused("not this"), Receipt(rejected={0: "not this"})):
            output = ScriptedOutput(then=only(refusal, heartbeats=True))
            log = MemoryLog(revisions(3))
            async with RunningDeliverer(output, log, options=beating()) as running:
                await running.delivered()
                await asyncio.sleep(620)
                assert running.deliverer.state.hold is None

            assert [fact.reason for fact in running.seen.of(HeartbeatRefused)] == ["not this"] * 3
            assert running.seen.of(EventDeadLettered) == []
            assert log.letters == []
            assert output.identities == ["1", "2", "3"]

    run(scenario())


def test_a_heartbeat_that_cannot_be_made_harms_nothing() -> None:
    def broken() -> Event:
        raise ValueError("no such field")

    async def scenario() -> None:
        output = ScriptedOutput()
        log = MemoryLog(revisions(3))
        options = DeliveryOptions(heartbeat=Heartbeat(MINUTES, broken))
        async with RunningDeliverer(output, log, options=options) as running:
            await running.delivered()
            await asyncio.sleep(10)

        assert output.identities == ["1", "2", "3"]
        [fact] = running.seen.of(HeartbeatRefused)
        assert "ValueError" in fact.reason
        assert "field" not in fact.reason

    run(scenario())


def test_a_heartbeat_that_is_taken_does_not_prove_that_events_are_to_blame() -> None:
    """A collector that takes heartbeats and refuses all mail has a fault of its own: nothing is buried."""

    async def scenario() -> None:
        output = ScriptedOutput(then=only(Receipt(rejected=dict.fromkeys(range(50), "no")), heartbeats=False))
        log = MemoryLog(revisions(50))
        async with RunningDeliverer(output, log, options=beating(timedelta(seconds=10))) as running:
            await asyncio.sleep(3600)
            assert running.deliverer.state.hold is not None

        assert log.letters == []
        assert log.position == 0
        assert running.seen.of(HeartbeatSent)
        assert running.seen.of(OutputReleased) == []

    run(scenario())


def test_a_collector_that_fails_on_heartbeats_only_still_gets_its_mail() -> None:
    async def scenario() -> None:
        output = ScriptedOutput(
            then=only(Retryable("busy"), heartbeats=True), limits=Limits(events=1, linger=0.0)
        )
        log = MemoryLog(revisions(200))
        async with RunningDeliverer(output, log, options=beating(timedelta(seconds=10))) as running:
            await running.delivered(patience=3600)

        assert output.identities == [str(number) for number in range(1, 201)]
        assert log.letters == []

    run(scenario())


def test_a_quiet_output_learns_from_its_heartbeat_that_the_collector_is_gone_and_back() -> None:
    async def scenario() -> None:
        output = ScriptedOutput([Receipt(), Hold("the token is gone"), Hold("the token is gone")])
        async with RunningDeliverer(output, MemoryLog(), options=beating()) as running:
            await asyncio.sleep(1000)
            assert len(running.seen.of(OutputHeld)) == len(running.seen.of(OutputReleased)) == 1
            assert running.deliverer.state.hold is None
        assert output.contract_violations == []

    run(scenario())


def test_a_drain_does_not_wait_for_a_heartbeat() -> None:
    async def scenario() -> None:
        for stuck in (hang, Retryable("away", after=3600)):
            output = ScriptedOutput([stuck])
            async with RunningDeliverer(output, MemoryLog(), options=beating()) as running:
                await asyncio.sleep(1)
                async with asyncio.timeout(1):
                    assert await running.deliverer.drain(25)
            assert output.contract_violations == []

    run(scenario())


def test_a_drain_that_stops_a_heartbeat_in_mid_send_still_delivers_the_rest() -> None:
    async def scenario() -> None:
        output = ScriptedOutput([hang])
        log = MemoryLog()
        async with RunningDeliverer(output, log, options=beating()) as running:
            await asyncio.sleep(1)
            log.append(revisions(3))
            assert await running.deliverer.drain(25)

        assert output.identities == ["1", "2", "3"]
        assert output.contract_violations == []

    run(scenario())


def test_a_rewind_brings_no_further_heartbeat() -> None:
    async def scenario() -> None:
        output = ScriptedOutput()
        log = MemoryLog(revisions(3))
        async with RunningDeliverer(output, log, options=beating()) as running:
            await running.delivered()
            log.rewind(0)
            await running.delivered()
            await asyncio.sleep(10)

        assert output.identities.count("beat") == 1
        assert output.identities.count("1") == 2

    run(scenario())


def test_doubt_about_the_last_event_is_settled_as_without_heartbeats() -> None:
    async def scenario() -> None:
        output = ScriptedOutput(then=refusing(lambda event: event.payload == b"3"))
        log = MemoryLog(revisions(3))
        async with RunningDeliverer(output, log, options=beating(timedelta(seconds=10))) as running:
            await running.delivered(patience=60)

        assert log.dead_lettered == {"3": "refused"}

    run(scenario())
