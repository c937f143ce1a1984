"""Filters together lose nothing that each alone would pass, and everything they leave out is counted."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from connector.app.source_mappers import with_audit
from connector.delivery import DeliveryOptions
from connector.errors import Hold, PartlyDown, Refused, Retryable
from connector.facts import EventsFiltered, EverythingFiltered, OutputProbed, OutputWarning
from connector.interfaces import Mapper
from connector.model import ACTIONS, Event, Feed, Limits, Revision
from connector.testing.scripted import ScriptedOutput, refusing
from tests.support.jumping_loop import run
from tests.unit.delivery.fakes import MemoryLog, RunningDeliverer, at, plain, revision, revisions

FIRST = DeliveryOptions(emit="first")


def filtered(running: RunningDeliverer) -> dict[str, int]:
    """How many revisions were left out, by filter."""
    counts: Counter[str] = Counter()
    for fact in running.seen.of(EventsFiltered):
        counts[fact.reason] += fact.count
    return dict(counts)


def malicious_from(number: int) -> Mapper:
    """A ``when`` that a record passes from its revision *number* on."""
    return lambda found: plain(found) if found.number >= number else None


def test_first_means_the_first_revision_that_passes_the_filter() -> None:
    """A message found as SPAM and corrected to MALICIOUS reaches the pager, once."""

    async def scenario() -> None:
        output = ScriptedOutput()
        log = MemoryLog([revision("a", 1)], [revision("a", 2), revision("a", 3)])
        async with RunningDeliverer(output, log, mapper=malicious_from(2), options=FIRST) as running:
            await running.delivered()

        assert [event.revision.number for event in output.taken] == [2]
        assert filtered(running) == {"when": 1, "emit": 1}

    run(scenario())


def test_what_was_sent_first_is_remembered_across_restarts_and_comes_again_after_a_rewind() -> None:
    async def scenario() -> None:
        log = MemoryLog([revision("a", 1)])
        async with RunningDeliverer(ScriptedOutput(), log, options=FIRST) as running:
            await running.delivered()

        log.append([revision("a", 2), revision("b", 5)])
        output = ScriptedOutput()
        async with RunningDeliverer(output, log, options=FIRST) as running:
            await running.delivered()
            assert [(e.revision.record.id, e.revision.number) for e in output.taken] == [("b", 5)]
            log.rewind(0)
            await running.delivered()

        sent = [(event.revision.record.id, event.revision.number) for event in output.taken]
        assert sent == [("b", 5), ("a", 1), ("b", 5)]

    run(scenario())


def test_revisions_in_flight_are_remembered_too() -> None:
    async def scenario() -> None:
        output = ScriptedOutput([Retryable("busy")], limits=Limits(events=1, concurrency=2, linger=0.0))
        log = MemoryLog([revision("a", 1)], [revision("a", 2)], [revision("a", 3)])
        async with RunningDeliverer(output, log, options=FIRST) as running:
            await running.delivered()

        assert [event.revision.number for event in output.taken] == [1]

    run(scenario())


def test_a_first_revision_that_became_a_dead_letter_was_not_sent() -> None:
    async def scenario() -> None:
        output = ScriptedOutput(then=refusing(lambda event: event.revision.number == 1))
        log = MemoryLog([revision("a", 1), revision("b", 7)])
        async with RunningDeliverer(output, log, options=FIRST) as running:
            await running.delivered()
            log.append([revision("a", 2)])
            await running.delivered()

        assert log.dead_lettered == {"a": "refused"}
        assert [event.revision.number for event in output.taken] == [7, 2]

    run(scenario())


def test_max_age_and_emit_together_still_send_the_update() -> None:
    def aged(found: Revision) -> Event:
        return Event(found, b"x", at(-7200 if found.number == 1 else 0), 3, "email.test")

    async def scenario() -> None:
        output = ScriptedOutput()
        log = MemoryLog([revision("a", 1), revision("a", 2)])
        options = DeliveryOptions(emit="first", max_age=timedelta(hours=1))
        async with RunningDeliverer(output, log, mapper=aged, options=options) as running:
            await running.delivered()

        assert [event.revision.number for event in output.taken] == [2]
        assert filtered(running) == {"max_age": 1}

    run(scenario())


def test_max_age_is_measured_with_the_clock_of_the_api() -> None:
    """This machine is 40 minutes ahead: nothing of a pager may be lost to that."""

    async def scenario() -> None:
        def fresh(found: Revision) -> Event:
            return Event(found, b"x", at(-40 * 60), 3, "email.test")

        options = DeliveryOptions(max_age=timedelta(minutes=30))
        accounts = []

        def server_clock(account: str) -> datetime:
            accounts.append(account)
            return at(-40 * 60)

        output = ScriptedOutput()
        async with RunningDeliverer(
            output, MemoryLog(revisions(2)), mapper=fresh, options=options, server_clock=server_clock
        ) as running:
            await running.delivered()
        assert len(output.taken) == 2
        assert set(accounts) == {"account"}

    run(scenario())


def test_a_message_without_a_usable_time_is_as_old_as_its_collection() -> None:
    times = {
        "zero": datetime(1, 1, 1, tzinfo=UTC),
        "epoch": datetime(1970, 1, 1, tzinfo=UTC),
        "future": datetime(9999, 1, 1, tzinfo=UTC),
    }

    async def scenario() -> None:
        output = ScriptedOutput()
        log = MemoryLog([revision(name) for name in times])
        options = DeliveryOptions(max_age=timedelta(hours=1))

        def timeless(found: Revision) -> Event:
            return Event(found, b"x", times[found.record.id], 3, "email.test")

        async with RunningDeliverer(output, log, mapper=timeless, options=options) as running:
            await running.delivered()
            await asyncio.sleep(2 * 3600)
            log.append([revision("future")])
            await running.delivered()

        assert output.identities == list(times)
        assert filtered(running) == {"max_age": 1}

    run(scenario())


def test_audit_events_of_an_output_without_actions_are_not_counted_as_filtered_by_when() -> None:
    async def scenario() -> None:
        log = MemoryLog()
        async with RunningDeliverer(ScriptedOutput(), log, mapper=with_audit(plain, None)) as running:
            for _ in range(50):
                log.append([replace(revision("action"), feed=Feed("account", ACTIONS))])
                await asyncio.sleep(3600)

        assert filtered(running) == {"actions": 50}
        assert running.seen.of(EverythingFiltered) == []

    run(scenario())


def test_an_output_that_left_out_everything_for_a_day_warns_and_one_that_sends_does_not() -> None:
    async def scenario() -> None:
        for sends in (False, True):
            output = ScriptedOutput()
            log = MemoryLog()

            def mapper(found: Revision, sends: bool = sends) -> Event | None:
                return plain(found) if sends and found.record.id == "send" else None

            async with RunningDeliverer(output, log, mapper=mapper) as running:
                for hour in range(50):
                    log.append([revision("send" if hour % 20 == 0 else "other")])
                    await asyncio.sleep(3600)

            warnings = running.seen.of(EverythingFiltered)
            assert [fact.count for fact in warnings] == ([] if sends else [25, 25])

    run(scenario())


class CheckedOutput(ScriptedOutput):
    """An output whose collector can be checked; *away* is what the check meets."""

    checks = 0
    away: Exception | None = None

    async def check(self) -> str:
        self.checks += 1
        if self.away is not None:
            raise self.away
        return "works"


def test_an_output_whose_filter_passes_nothing_notices_a_dead_collector_and_its_return() -> None:
    async def scenario() -> None:
        output = CheckedOutput()
        log = MemoryLog(revisions(3))
        async with RunningDeliverer(output, log, mapper=lambda _: None) as running:
            await asyncio.sleep(100)
            assert running.deliverer.state.attempt == 0
            for error in (Retryable("connection refused"), Hold("HTTP 401"), Refused("?"), OSError("?")):
                output.away = error
                await asyncio.sleep(400)
                assert running.deliverer.state.attempt > 0
                assert (running.deliverer.state.hold is None) == isinstance(error, Retryable | OSError)
                output.away = None
                await asyncio.sleep(400)
                assert running.deliverer.state.attempt == 0
                assert running.deliverer.state.hold is None

        assert running.seen.of(OutputProbed)
        assert output.contract_violations == []

    run(scenario())


def test_an_idle_output_with_one_of_several_collectors_down_works_and_warns_once() -> None:
    async def scenario() -> None:
        output = CheckedOutput()
        output.away = PartlyDown("a.example: connection refused; b.example accepts the token")
        log = MemoryLog()
        async with RunningDeliverer(output, log) as running:
            await asyncio.sleep(1000)
            assert output.checks >= 3
            assert (running.deliverer.state.attempt, running.deliverer.state.retry_at) == (0, None)

        assert [fact.reason for fact in running.seen.of(OutputWarning)] == [output.away.reason]

    run(scenario())


def test_an_output_that_sends_is_not_checked_beside_and_a_drain_does_not_wait_for_a_check() -> None:
    async def scenario() -> None:
        output = CheckedOutput()
        log = MemoryLog()
        async with RunningDeliverer(output, log) as running:
            for number in range(100):
                log.append([revision(str(number))])
                await asyncio.sleep(30)
            assert output.checks == 0
            output.away = Retryable("gone", after=600)
            await asyncio.sleep(400)
            assert output.checks >= 1
            async with asyncio.timeout(1):
                assert await running.deliverer.drain(25)

    run(scenario())
