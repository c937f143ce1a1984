"""Whatever a collector does, delivery loses nothing and repeats only what was in flight."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence

from hypothesis import given, settings
from hypothesis import strategies as st

from connector.delivery import Deliverer, DeliveryOptions
from connector.errors import Hold, JournalFull, Refused, Retryable
from connector.facts import Fact, OutputPosition
from connector.model import PARTIAL_SUCCESS, Event, Limits, Receipt, Revision
from connector.testing.scripted import ScriptedOutput, Step, Unanswered
from tests.support.examples import examples
from tests.support.jumping_loop import run, wall_clock
from tests.unit.delivery.fakes import FactRecorder, MemoryLog, RunningDeliverer, plain, revisions


def poisonous(found: Revision) -> bool:
    """Records whose number ends in 7 are refused for ever."""
    return found.record.id.endswith("7")


def _partly(rejects: frozenset[int], retries: frozenset[int]) -> Step:
    """A receipt that fits however many events come."""

    def answer(events: Sequence[Event]) -> Receipt:
        rejected = {
            i: "bad field" for i, each in enumerate(events) if i in rejects and poisonous(each.revision)
        }
        retry = frozenset(i for i in range(len(events)) if i in retries and i not in rejected)
        return Receipt(rejected, retry, retry_after=3.0)

    return answer


def _raising(error: BaseException) -> Step:
    def answer(_: Sequence[Event]) -> Receipt:
        raise error

    return answer


def _finding_poison(events: Sequence[Event]) -> Receipt:
    for index, event in enumerate(events):
        if poisonous(event.revision):
            raise Refused("malformed", suspect=index)
    return Receipt()


def _rejecting_poison(events: Sequence[Event]) -> Receipt:
    return Receipt({i: "bad field" for i, event in enumerate(events) if poisonous(event.revision)})


def _counting_poison(events: Sequence[Event]) -> Receipt:
    """Rejects by count alone, and by name where that is all of them."""
    bad = [i for i, event in enumerate(events) if poisonous(event.revision)]
    if len(bad) == len(events):
        return Receipt(dict.fromkeys(bad, "bad field"))
    return Receipt(unnamed=len(bad), unnamed_reason="bad field" if bad else "")


def _refusing_poison(events: Sequence[Event]) -> Receipt:
    if any(poisonous(event.revision) for event in events):
        raise Refused("malformed")
    return Receipt()


few = st.frozensets(st.integers(0, 5), max_size=4)
passing: st.SearchStrategy[Step] = st.one_of(
    st.builds(Retryable, st.just("busy"), st.sampled_from([None, 0.0, 400.0])),
    st.builds(Hold, st.just("bad token")),
    st.sampled_from([RuntimeError("?"), KeyError("x"), asyncio.CancelledError("?")]).map(_raising),
    st.builds(_partly, few, few),
    st.just(Receipt(busy=True)),
    st.just(Receipt(retry=frozenset({99}))),
)
lost = st.just(Unanswered(Retryable("timed out")))
"""What breaks a send without being the fault of any event."""

healthy: st.SearchStrategy[Step] = st.sampled_from(
    [_refusing_poison, _finding_poison, _rejecting_poison, _counting_poison]
)
troubles = st.lists(
    st.none() | st.builds(Retryable, st.just("down")) | st.builds(Hold, st.just("TLS")), max_size=6
)
closings = st.lists(st.none() | st.builds(OSError, st.just("gone")), max_size=6)
sizes = st.lists(st.integers(1, 12), min_size=1, max_size=6)
limits = st.builds(
    Limits,
    events=st.integers(1, 8),
    bytes=st.sampled_from([2, 7, 1000]),
    linger=st.sampled_from([0.0, 1.0]),
    concurrency=st.integers(1, 3),
)


def filled(entries: Sequence[int], failures: Sequence[Exception] = ()) -> MemoryLog:
    """A log with entries of so many revisions each."""
    log, first = MemoryLog(failures=failures), 1
    for count in entries:
        log.append(revisions(count, first))
        first += count
    return log


@given(
    entries=sizes,
    scenario=st.lists(passing | lost | healthy, max_size=12),
    then=healthy,
    opening=troubles,
    closing=closings,
    limits=limits,
    full=st.integers(0, 3),
)
@settings(max_examples=examples(120), deadline=None)
def test_accepted_and_dead_lettered_together_are_everything(
    entries: list[int],
    scenario: list[Step],
    then: Step,
    opening: list[Exception | None],
    closing: list[Exception | None],
    limits: Limits,
    full: int,
) -> None:
    """Every revision is taken or buried, only the guilty are buried, and the position ends at the head."""

    async def tale() -> None:
        output = ScriptedOutput(scenario, then=then, opening=opening, closing=closing, limits=limits)
        log = filled(entries, [JournalFull("disk full")] * full)

        def nothing_is_passed(upto: int) -> None:
            assert {str(number) for number in range(1, upto + 1)} <= {*output.identities, *log.dead_lettered}

        log.on_acknowledged = nothing_is_passed
        async with RunningDeliverer(output, log) as running:
            await running.delivered()

        everything = {str(number) for number in range(1, sum(entries) + 1)}
        guilty = {name for name in everything if name.endswith("7")}
        assert set(output.identities) | set(log.dead_lettered) == everything
        shared = {"bug", PARTIAL_SUCCESS}
        assert {name for name, reason in log.dead_lettered.items() if reason not in shared} <= guilty
        assert guilty - set(output.identities) <= set(log.dead_lettered)
        assert output.contract_violations == []
        assert running.deliverer.state.hold is None
        assert [fact.position for fact in running.seen.of(OutputPosition)] == log.positions

    run(tale())


@given(
    entries=sizes,
    scenario=st.lists(
        st.builds(Retryable, st.just("busy"))
        | st.builds(Hold, st.just("bad token"))
        | st.builds(Refused, st.just("?"), suspect=st.none() | st.integers(0, 9), too_large=st.booleans()),
        max_size=12,
    ),
    limits=limits.map(lambda found: Limits(found.events, found.bytes, None, 1, found.linger)),
)
@settings(max_examples=examples(80), deadline=None)
def test_one_send_at_a_time_keeps_the_order(entries: list[int], scenario: list[Step], limits: Limits) -> None:
    """At concurrency 1 the collector takes events in the order of the journal, splits included.

    Only an event that failed alone more than once may be overtaken: it may be what makes requests fail.
    """

    async def tale() -> None:
        output = ScriptedOutput(scenario, limits=limits)
        log = filled(entries)
        async with RunningDeliverer(output, log) as running:
            await running.delivered()

        taken = [int(name) for name in output.identities]
        alone = Counter(sent[0] for sent in output.sends if len(sent) == 1)
        steady = [number for number in taken if alone[str(number)] <= 1]
        assert steady == sorted(steady)
        assert len(taken) == len(set(taken))
        assert len(taken) + len(log.letters) == sum(entries)

    run(tale())


class Death(BaseException):
    """The process ends here."""


async def _live_until(count: int, output: ScriptedOutput, log: MemoryLog) -> bool:
    """Deliver until *count* facts were told, then die; says whether delivery finished before."""
    notebook, reported = FactRecorder(), 0

    def observe(fact: Fact) -> None:
        nonlocal reported
        reported += 1
        if reported >= count:
            log.frozen = True
            raise Death
        notebook(fact)

    loop = asyncio.get_running_loop()
    deliverer = Deliverer("siem", output, log, plain, observe, wall_clock(loop), options=DeliveryOptions())
    running = asyncio.create_task(deliverer.run())
    reached = asyncio.create_task(log.reached_head())
    await asyncio.wait([running, reached], return_when=asyncio.FIRST_COMPLETED)
    alive = not log.frozen
    log.frozen = True
    running.cancel()
    reached.cancel()
    await asyncio.gather(running, reached, return_exceptions=True)
    log.frozen = False
    return alive


@given(
    entries=sizes,
    deaths=st.lists(st.integers(1, 9), max_size=6),
    scenario=st.lists(st.builds(Retryable, st.just("busy")) | healthy, max_size=6),
    then=healthy,
    limits=limits,
)
@settings(max_examples=examples(80), deadline=None)
def test_a_death_at_any_fact_loses_nothing_and_repeats_what_was_in_flight(
    entries: list[int], deaths: list[int], scenario: list[Step], then: Step, limits: Limits
) -> None:
    """After each restart delivery goes on from what is durable; each death repeats what was in flight."""

    async def tale() -> None:
        log = filled(entries)
        turns = iter(scenario)
        lives = [ScriptedOutput(turns, then=then, limits=limits) for _ in range(len(deaths) + 1)]
        for output, count in zip(lives, deaths, strict=False):
            if await _live_until(count, output, log):
                break
        async with RunningDeliverer(lives[-1], log) as running:
            await running.delivered()

        taken = [name for output in lives for name in output.identities]
        everything = {str(number) for number in range(1, sum(entries) + 1)}
        assert set(taken) | set(log.dead_lettered) == everything
        named = {name for name, reason in log.dead_lettered.items() if reason != PARTIAL_SUCCESS}
        assert all(name.endswith("7") for name in named)
        repeated = len(taken) - len(set(taken))
        assert repeated <= len(deaths) * limits.events * limits.concurrency
        assert len(log.letters) == len(log.dead_lettered)

    run(tale())
