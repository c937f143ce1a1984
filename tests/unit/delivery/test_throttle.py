"""A throttled output sends a bounded number of events, and digests that account for every other one."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import replace
from datetime import timedelta

from connector.delivery import DeliveryOptions, GroupBy
from connector.delivery.throttle import Digest, Throttle
from connector.errors import Refused, Retryable
from connector.facts import DigestRefused, DigestSent, EventsFiltered
from connector.model import Event, Receipt, Revision
from connector.testing.scripted import ScriptedOutput
from tests.support.jumping_loop import run
from tests.unit.delivery.fakes import MemoryLog, RunningDeliverer, at, revision, revisions


def by_first_letter(found: Revision) -> str | None:
    """Groups record ids by their first letter; ids with a digit first belong to no group."""
    return found.record.id[0] if found.record.id[0].isalpha() else None


LETTERS = GroupBy(by_first_letter, within=3600.0)


def counted(found: Revision) -> Event:
    """A mapper that shows ``throttled``."""
    return Event(found, f"{found.record.id}+{found.throttled}".encode(), at(0), 3, "email.test")


def payloads(output: ScriptedOutput) -> list[str]:
    """What the collector accepted."""
    return [event.payload.decode() for event in output.taken]


def filtered(running: RunningDeliverer) -> dict[str, int]:
    """How many revisions were left out, by filter."""
    counts: Counter[str] = Counter()
    for fact in running.seen.of(EventsFiltered):
        counts[fact.reason] += fact.count
    return dict(counts)


def test_a_minute_lets_so_many_pass_and_sums_up_the_rest_in_one_digest() -> None:
    throttle = Throttle(per_minute=2)
    a, b, c, d, e = revisions(5)

    assert [throttle.admit(found, 10.0) for found in (a, b, c)] == [None, None, "throttle"]
    assert throttle.admit(d, 69.9) == "throttle"
    assert throttle.due == 70.0
    assert throttle.take(69.9) is None
    assert throttle.admit(e, 70.0) is None
    assert throttle.take(70.0) == Digest(d, 2)
    assert throttle.take(1000.0) is None


def test_a_group_sends_its_first_and_a_digest_when_it_ends() -> None:
    throttle = Throttle(group_by=LETTERS)
    names = ["a1", "a2", "b1", "1", "2", "a3"]
    answers = [throttle.admit(revision(name), float(second)) for second, name in enumerate(names)]

    assert answers == [None, "group_by", None, None, None, "group_by"]
    assert throttle.due == 3600.0
    assert throttle.take(3600.0) == Digest(revision("a3"), 2)
    assert throttle.admit(revision("a4"), 3600.0) is None


def test_digests_of_groups_count_towards_the_limit_and_no_count_is_lost() -> None:
    throttle = Throttle(per_minute=3, group_by=LETTERS)
    admitted = sum(
        throttle.admit(revision(f"{letter}{number}"), 0.0) is None
        for letter in "abcdefgh"
        for number in range(10)
    )
    digests = []
    now = 0.0
    while (due := throttle.due) is not None:
        now = max(now, due)
        if (digest := throttle.take(now)) is not None:
            digests.append(digest)

    assert admitted == 3
    # The first minute sums up five first alerts, then three digests of groups pass, and one has the others.
    assert [digest.count for digest in digests] == [5, 9, 9, 9, 45]
    assert admitted + sum(digest.count for digest in digests) == 80


def test_groups_are_bounded_and_the_oldest_ends_early_with_its_digest() -> None:
    throttle = Throttle(group_by=GroupBy(lambda found: found.record.id, within=3600.0))
    twice = revision("twice")
    assert [throttle.admit(twice, 0.0), throttle.admit(twice, 0.0)] == [None, "group_by"]
    for found in revisions(10_000):
        assert throttle.admit(found, 1.0) is None

    assert throttle.take(1.0) == Digest(twice, 1)


def test_a_digest_does_not_alert_about_what_was_taken_back() -> None:
    throttle = Throttle(per_minute=1, group_by=LETTERS)
    for name in ("a1", "a2", "b1"):
        throttle.admit(revision(name), 0.0)
    throttle.corrected(revision("a2", 2))
    throttle.corrected(revision("b1", 2))

    assert throttle.take(60.0) == Digest(revision("b1", 2), 1)
    assert throttle.take(3600.0) == Digest(revision("a2", 2), 1)


def test_what_is_left_out_is_acknowledged_counted_and_summed_up() -> None:
    async def scenario() -> None:
        output = ScriptedOutput()
        log = MemoryLog(revisions(100))
        options = DeliveryOptions(per_minute=5)
        async with RunningDeliverer(output, log, mapper=counted, options=options) as running:
            await running.delivered()
            assert filtered(running) == {"throttle": 95}
            assert payloads(output) == ["1+0", "2+0", "3+0", "4+0", "5+0"]
            await asyncio.sleep(61)

        assert payloads(output)[5:] == ["100+95"]
        assert [fact.count for fact in running.seen.of(DigestSent)] == [95]
        assert log.position == 100

    run(scenario())


def test_a_drain_sends_the_digest_at_once() -> None:
    async def scenario() -> None:
        output = ScriptedOutput()
        options = DeliveryOptions(per_minute=1, group_by=LETTERS)
        log = MemoryLog([revision(name) for name in ("a1", "a2", "b1")])
        async with RunningDeliverer(output, log, mapper=counted, options=options) as running:
            began = asyncio.get_running_loop().time()
            assert await running.deliverer.drain(30)
            assert asyncio.get_running_loop().time() - began < 5

        assert payloads(output) == ["a1+0", "a2+2"]

    run(scenario())


def test_a_digest_survives_an_outage_and_a_refused_one_is_reported() -> None:
    async def scenario() -> None:
        output = ScriptedOutput(
            [Receipt(), Retryable("away"), Retryable("away"), Receipt(), Receipt(), Refused("not this")]
        )
        log = MemoryLog(revisions(3))
        options = DeliveryOptions(per_minute=1)
        async with RunningDeliverer(output, log, mapper=counted, options=options) as running:
            await running.delivered()
            await asyncio.sleep(600)
            assert payloads(output) == ["1+0", "3+2"]

            log.append(revisions(4, first=11))
            await running.delivered()
            await asyncio.sleep(600)

        assert payloads(output) == ["1+0", "3+2", "11+0"]
        assert [(fact.count, fact.reason) for fact in running.seen.of(DigestRefused)] == [(3, "not this")]
        assert log.dead_lettered == {}

    run(scenario())


def test_a_correction_and_a_replay_pass() -> None:
    async def scenario() -> None:
        output = ScriptedOutput()
        old = [
            replace(revision(name, 2), previous={"final_disposition": "MALICIOUS"}) for name in ("a1", "a2")
        ]
        log = MemoryLog([revision("1"), revision("2")], old)
        log.append([revision("3")], only="siem")
        options = DeliveryOptions(
            per_minute=1,
            group_by=LETTERS,
            max_age=timedelta(hours=1),
            is_correction=lambda found: found.previous is not None,
        )

        def aged(found: Revision) -> Event:
            return replace(counted(found), time=at(-7200 if found.previous else 0))

        async with RunningDeliverer(output, log, mapper=aged, options=options) as running:
            await running.delivered()
            assert payloads(output) == ["1+0", "a1+0", "a2+0", "3+0"]
            assert filtered(running) == {"throttle": 1}

    run(scenario())
