"""One event makes every request that contains it fail: it is isolated, and an outage is never mistaken for
it."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable, Sequence
from random import Random

import pytest

from connector.errors import DeliveryError, Hold, Retryable
from connector.facts import EventDeadLettered, OutputHeld
from connector.model import Event, Limits, Receipt
from connector.testing.scripted import ScriptedOutput
from tests.support.jumping_loop import run
from tests.support.sampling import slow
from tests.unit.delivery.fakes import MemoryLog, RunningDeliverer, revision, revisions

Refusal = Callable[[Sequence[Event]], Receipt]


def denied(_: Sequence[Event]) -> Receipt:
    raise Hold("HTTP 403: forbidden")


def failing(_: Sequence[Event]) -> Receipt:
    raise Retryable("HTTP 500: internal error")


def hanging(_: Sequence[Event]) -> Receipt:
    raise Retryable("no answer within 30 s")


def asking_to_wait(_: Sequence[Event]) -> Receipt:
    raise Retryable("HTTP 503", after=1e9)


def asking_again(events: Sequence[Event]) -> Receipt:
    return Receipt(retry=frozenset(range(len(events))))


REFUSALS = [denied, failing, hanging, asking_to_wait]


def poisoned_by(refuse: Refusal, *names: bytes) -> Refusal:
    """A collector behind something that refuses every request with one of *names* in it."""

    def answer(events: Sequence[Event]) -> Receipt:
        if any(event.payload in names for event in events):
            return refuse(events)
        return Receipt()

    return answer


@pytest.mark.parametrize("place", [slow("1"), "77", slow("200")])
@pytest.mark.parametrize(("size", "concurrency"), [(500, 1), slow(50, 1), (1, 1), (20, 4)])
@pytest.mark.parametrize("refuse", REFUSALS, ids=lambda refuse: refuse.__name__)
def test_one_poisoned_event_is_one_dead_letter_and_everything_else_arrives_once(
    refuse: Refusal, size: int, concurrency: int, place: str
) -> None:
    async def scenario() -> None:
        limits = Limits(events=size, concurrency=concurrency, linger=0.0)
        output = ScriptedOutput(then=poisoned_by(refuse, place.encode()), limits=limits)
        log = MemoryLog(revisions(220))
        async with RunningDeliverer(output, log) as running:
            await running.delivered(patience=3 * 3600)
            assert running.deliverer.state.hold is None

        assert log.dead_lettered == {place: "poison"}
        assert sorted(map(int, output.identities)) == [n for n in range(1, 221) if str(n) != place]
        assert output.contract_violations == []
        [letter] = running.seen.of(EventDeadLettered)
        assert letter.reason == "poison"

    run(scenario())


@pytest.mark.parametrize("refuse", REFUSALS, ids=lambda refuse: refuse.__name__)
def test_several_poisoned_events_are_isolated_one_by_one(refuse: Refusal) -> None:
    names = ("3", "4", "90", "155", "201")

    async def scenario() -> None:
        output = ScriptedOutput(
            then=poisoned_by(refuse, *(name.encode() for name in names)), limits=Limits(100, linger=0.0)
        )
        log = MemoryLog(revisions(230))
        async with RunningDeliverer(output, log) as running:
            await running.delivered(patience=12 * 3600)

        assert log.dead_lettered == dict.fromkeys(names, "poison")
        assert len(output.identities) == 225
        assert output.repeats == 0

    run(scenario())


@pytest.mark.parametrize("error", [Hold("HTTP 401"), Retryable("connection reset")], ids=["hold", "retry"])
@pytest.mark.parametrize(("size", "hours"), [(1, 2), (50, 2), slow(1, 24), slow(50, 24)])
def test_a_collector_that_is_down_for_long_dead_letters_nothing(
    error: DeliveryError, size: int, hours: int
) -> None:
    async def scenario() -> None:
        loop = asyncio.get_running_loop()

        def down(_: Sequence[Event]) -> Receipt:
            if 100 < loop.time() < hours * 3600:
                raise error
            return Receipt()

        output = ScriptedOutput(then=down, limits=Limits(events=size, linger=0.0))
        log = MemoryLog(revisions(60))
        async with RunningDeliverer(output, log) as running:
            await running.delivered()
            await asyncio.sleep(200 - loop.time())
            log.append(revisions(300, first=61))
            await asyncio.sleep(3600)
            assert (running.deliverer.state.hold is not None) == isinstance(error, Hold)
            await running.delivered()

        assert log.dead_lettered == {}
        assert sorted(map(int, output.identities)) == list(range(1, 361))

    run(scenario())


@pytest.mark.parametrize("count", [300, slow(1000)])
@pytest.mark.parametrize("rate", [0.5, 0.9])
@pytest.mark.parametrize("size", [1, 50])
def test_a_collector_that_fails_at_random_dead_letters_next_to_nothing(
    size: int, rate: float, count: int
) -> None:
    """Every second or tenth request gets through: five misleading pairs in a row are rare, not impossible."""

    async def scenario() -> None:
        dice = Random(7)

        def flapping(_: Sequence[Event]) -> Receipt:
            if dice.random() < rate:
                raise Retryable("HTTP 502")
            return Receipt()

        output = ScriptedOutput(then=flapping, limits=Limits(events=size, linger=0.0))
        log = MemoryLog(revisions(count))
        async with RunningDeliverer(output, log) as running:
            await running.delivered()

        assert len(output.identities) + len(log.letters) == count
        assert len(log.letters) <= 3

    run(scenario())


def test_a_lonely_event_that_fails_waits_for_others_before_it_is_given_up() -> None:
    """Nothing else was accepted: it may be the collector."""

    async def scenario() -> None:
        output = ScriptedOutput(then=poisoned_by(denied, b"poison"))
        log = MemoryLog([revision("poison")])
        async with RunningDeliverer(output, log) as running:
            await asyncio.sleep(24 * 3600)
            assert log.letters == []
            assert running.deliverer.state.hold == "HTTP 403: forbidden"
            assert running.deliverer.state.suspects == 1

            for number in range(1, 9):
                log.append([revision(str(number))])
                await asyncio.sleep(120)
            await running.delivered()
            assert running.deliverer.state.hold is None

        assert log.dead_lettered == {"poison": "poison"}
        assert output.identities == [str(number) for number in range(1, 9)]
        assert len(running.seen.of(OutputHeld)) == 1

    run(scenario())


def test_a_suspect_that_is_accepted_after_all_is_delivered() -> None:
    async def scenario() -> None:
        failures = 0

        def moody(events: Sequence[Event]) -> Receipt:
            nonlocal failures
            if failures < 7 and any(event.payload == b"5" for event in events):
                failures += 1
                raise Retryable("HTTP 500")
            return Receipt()

        output = ScriptedOutput(then=moody, limits=Limits(events=5, linger=0.0))
        log = MemoryLog(revisions(10))
        async with RunningDeliverer(output, log) as running:
            await running.delivered(patience=600)

        assert failures == 7
        assert log.letters == []
        assert sorted(map(int, output.identities)) == list(range(1, 11))

    run(scenario())


@pytest.mark.parametrize("others", [1, 60])
def test_an_event_that_the_collector_itself_keeps_asking_for_is_given_up_after_an_hour(others: int) -> None:
    """A document that trips a memory circuit breaker never passes; one of a shard that is down does,
    later."""

    async def scenario() -> None:
        loop = asyncio.get_running_loop()
        output = ScriptedOutput(then=poisoned_by(asking_again, b"7"), limits=Limits(events=10, linger=0.0))
        log = MemoryLog(revisions(20))
        async with RunningDeliverer(output, log) as running:
            for minute in range(1, 90):
                await asyncio.sleep(60)
                log.append(revisions(others, first=21 + others * (minute - 1)))
                if loop.time() < 3600:
                    assert log.letters == []
            await running.delivered(patience=3600)

        assert log.dead_lettered == {"7": "poison"}
        assert len(output.identities) == 19 + 89 * others

    run(scenario())


def test_several_events_that_the_collector_asks_for_are_never_given_up() -> None:
    """A shard that is down asks for every event that belongs there."""

    async def scenario() -> None:
        loop = asyncio.get_running_loop()

        def shard_down(events: Sequence[Event]) -> Receipt:
            if loop.time() > 5 * 3600:
                return Receipt()
            return Receipt(retry=frozenset(i for i, e in enumerate(events) if int(e.payload) % 5 == 0))

        output = ScriptedOutput(then=shard_down, limits=Limits(events=10, linger=0.0))
        log = MemoryLog(revisions(200))
        async with RunningDeliverer(output, log) as running:
            await running.delivered(patience=10 * 3600)

        assert log.letters == []
        assert sorted(map(int, output.identities)) == list(range(1, 201))

    run(scenario())


@pytest.mark.parametrize("size", [1, 50])
@pytest.mark.parametrize("pattern", ["FT", slow("FFT"), slow("FTT"), "FFTT", slow("FFFT"), slow("FTFFT")])
@pytest.mark.parametrize("error", [Hold("HTTP 403"), Retryable("HTTP 502")], ids=["hold", "retry"])
def test_a_broken_node_behind_a_load_balancer_dead_letters_nothing(
    error: DeliveryError, pattern: str, size: int
) -> None:
    """Requests fail (F) in a regular pattern, whatever they hold.

    Where two nodes of three are broken, and nobody else sends, chance may lock an event to the broken ones.
    """

    async def scenario() -> None:
        turns = itertools.cycle(pattern)

        def balanced(_: Sequence[Event]) -> Receipt:
            if next(turns) == "F":
                raise error
            return Receipt()

        output = ScriptedOutput(then=balanced, limits=Limits(events=size, linger=0.0))
        log = MemoryLog(revisions(300))
        async with RunningDeliverer(output, log, random=Random(3).random) as running:
            await running.delivered()

        assert len(log.letters) <= ("FF" in pattern)
        assert len(output.identities) + len(log.letters) == 300

    run(scenario())


def test_an_outage_of_less_than_a_minute_keeps_the_order() -> None:
    async def scenario() -> None:
        loop = asyncio.get_running_loop()

        def down(_: Sequence[Event]) -> Receipt:
            if loop.time() < 50:
                raise Retryable("HTTP 503")
            return Receipt()

        output = ScriptedOutput(then=down, limits=Limits(events=20, linger=0.0))
        log = MemoryLog(revisions(100))
        async with RunningDeliverer(output, log) as running:
            await running.delivered()

        assert output.identities == [str(number) for number in range(1, 101)]

    run(scenario())
