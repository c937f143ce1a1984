"""Outages and holds: waits are obeyed, connections are made anew, secrets are read again, nothing is lost."""

from __future__ import annotations

import asyncio

import pytest

from connector.errors import Hold, Retryable
from connector.facts import BatchRetried, BatchSending, OutputHeld, OutputReleased, OutputRetryAfterCapped
from connector.model import Limits, Receipt
from connector.testing.scripted import ScriptedOutput, Step, Unanswered
from tests.support.jumping_loop import run
from tests.unit.delivery.fakes import MemoryLog, RunningDeliverer, at, revisions


def test_the_output_is_closed_and_opened_again_after_each_error() -> None:
    async def scenario() -> None:
        output = ScriptedOutput(
            [Retryable("reset"), ConnectionError("?")],
            opening=[Retryable("refused connection"), None, None, None],
            closing=[OSError("already gone")],
        )
        log = MemoryLog(revisions(2))
        async with RunningDeliverer(output, log) as running:
            await running.delivered()
            calls = list(output.calls)

        assert calls == [*["open", "close", "open", "send"], *["close", "open", "send"] * 2, "send"]
        assert output.identities == ["1", "2"]
        assert output.contract_violations == []

    run(scenario())


def test_an_outage_of_a_day_is_only_a_wait() -> None:
    async def scenario() -> None:
        day = 24 * 3600.0
        loop = asyncio.get_running_loop()

        def down_for_a_day(_: object) -> Receipt:
            if loop.time() < day:
                raise Retryable("connection refused")
            return Receipt()

        output = ScriptedOutput(then=down_for_a_day)
        log = MemoryLog(revisions(5))
        async with RunningDeliverer(output, log) as running:
            await running.delivered()

        # One event may have been the trial that found the collector back.
        assert sorted(output.identities) == ["1", "2", "3", "4", "5"]
        in_order = list(output.identities[1:])
        assert in_order == sorted(in_order)
        assert max(fact.after for fact in running.seen.of(BatchRetried)) <= 60
        assert loop.time() < day + 61
        assert running.deliverer.state.attempt == 0

    run(scenario())


def test_a_collector_that_asks_for_minutes_gets_minutes() -> None:
    async def scenario() -> None:
        asked_at: list[float] = []
        loop = asyncio.get_running_loop()

        def noting(_: object) -> Receipt:
            asked_at.append(loop.time())
            if len(asked_at) == 1:
                raise Retryable("429", after=600)
            if len(asked_at) == 2:
                return Receipt(retry=frozenset({0}), retry_after=300)
            return Receipt()

        output = ScriptedOutput(then=noting)
        log = MemoryLog(revisions(1))
        async with RunningDeliverer(output, log) as running:
            await running.delivered()

        assert asked_at[1] - asked_at[0] >= 600
        assert asked_at[2] - asked_at[1] >= 300
        assert [fact.asked for fact in running.seen.of(BatchRetried)] == [600, 300]
        assert running.seen.of(OutputRetryAfterCapped) == []

    run(scenario())


@pytest.mark.parametrize(
    "answer",
    [
        Retryable("HTTP 503", after=1.8e9),
        Receipt(retry=frozenset({0}), retry_after=1.8e9),
        Receipt(busy=True, retry_after=1.8e9),
    ],
)
def test_a_wait_in_a_wrong_unit_is_cut_to_minutes_reported_and_shown(answer: Step) -> None:
    """``Retry-After`` as an epoch must not silence an output for 57 years."""

    async def scenario() -> None:
        output = ScriptedOutput([answer], limits=Limits(events=1, linger=0.0))
        log = MemoryLog(revisions(2))
        loop = asyncio.get_running_loop()
        async with RunningDeliverer(output, log) as running:
            await asyncio.sleep(10)
            state = running.deliverer.state
            assert state.retry_at == at(600)
            assert state.wait_reason
            await running.delivered()

        assert loop.time() < 700
        assert [(fact.asked, fact.granted) for fact in running.seen.of(OutputRetryAfterCapped)] == [
            (1.8e9, 600)
        ]

    run(scenario())


def test_an_operator_can_end_a_wait() -> None:
    async def scenario() -> None:
        for trouble in (Retryable("HTTP 503", after=600), Hold("HTTP 401")):
            output = ScriptedOutput([trouble] * 3)
            log = MemoryLog(revisions(2))
            async with RunningDeliverer(output, log) as running:
                for _ in range(3):
                    await asyncio.sleep(1)
                    assert running.deliverer.resume()
                await asyncio.sleep(1)
                assert output.identities == ["1", "2"]
                assert not running.deliverer.resume()
                assert running.deliverer.state.retry_at is None

    run(scenario())


def test_a_lost_answer_repeats_the_batch_and_nothing_else() -> None:
    async def scenario() -> None:
        output = ScriptedOutput([Receipt(), Unanswered(Retryable("timed out"))], limits=Limits(2, linger=0.0))
        log = MemoryLog(revisions(6))
        async with RunningDeliverer(output, log) as running:
            await running.delivered()

        assert output.identities == ["1", "2", "3", "4", "3", "4", "5", "6"]

    run(scenario())


def test_a_hold_is_reported_once_probed_slowly_and_ends_when_a_rotated_secret_works() -> None:
    async def scenario() -> None:
        tokens = ["old", "old", "old", "new"]
        current = ["old"]

        def refresh() -> bool:
            current[0] = tokens.pop(0) if tokens else "new"
            return current[0] == "new"

        def authenticated(_: object) -> Receipt:
            if current[0] == "old":
                raise Hold("401 invalid token")
            return Receipt()

        output = ScriptedOutput(then=authenticated)
        log = MemoryLog(revisions(3))
        async with RunningDeliverer(output, log, refresh=refresh) as running:
            await asyncio.sleep(1)
            assert running.deliverer.state.hold == "401 invalid token"
            assert running.deliverer.state.hold_since is not None
            await running.delivered()

            assert running.deliverer.state.hold is None
        assert output.sends == [["1", "2", "3"], ["1", "2", "3"], ["1"], ["1"], ["1"], ["2", "3"]]
        assert sorted(output.identities) == ["1", "2", "3"]
        assert log.letters == []
        assert [fact.reason for fact in running.seen.of(OutputHeld)] == ["401 invalid token"]
        assert [fact.seconds for fact in running.seen.of(OutputReleased)] == [5 + 10 + 20 + 40]

    run(scenario())


def test_a_hold_may_come_from_opening_and_lasts_while_the_collector_is_down() -> None:
    async def scenario() -> None:
        opening = [Hold("certificate expired"), Retryable("down"), Hold("certificate expired")]
        output = ScriptedOutput(opening=opening)
        log = MemoryLog(revisions(1))
        async with RunningDeliverer(output, log) as running:
            await running.delivered()

        assert len(running.seen.of(OutputHeld)) == len(running.seen.of(OutputReleased)) == 1
        assert output.sends == [["1"]]

    run(scenario())


def test_an_output_that_cannot_even_be_opened_for_an_unknown_reason_becomes_a_hold() -> None:
    async def scenario() -> None:
        output = ScriptedOutput(opening=[ZeroDivisionError()] * 4)
        log = MemoryLog(revisions(1))
        async with RunningDeliverer(output, log) as running:
            await running.delivered()

        assert "ZeroDivisionError" in running.seen.of(OutputHeld)[0].reason
        assert output.identities == ["1"]

    run(scenario())


def test_concurrent_failures_of_one_outage_count_once() -> None:
    async def scenario() -> None:
        failing: list[Step] = [Retryable("down")] * 4
        limits = Limits(events=1, concurrency=4, linger=0.0)
        output = ScriptedOutput(failing, limits=limits, seconds=1.0)
        log = MemoryLog(revisions(8))
        async with RunningDeliverer(output, log) as running:
            await running.delivered()

        assert {fact.attempt for fact in running.seen.of(BatchRetried)} == {1}
        assert output.calls.count("open") == 2
        assert sorted(output.identities) == [str(number) for number in range(1, 9)]
        assert output.contract_violations == []

    run(scenario())


def test_a_send_under_way_is_not_cut_by_the_failure_of_another() -> None:
    async def scenario() -> None:
        async def slow(_: object) -> Receipt:
            await asyncio.sleep(30)
            return Receipt()

        limits = Limits(events=1, concurrency=2, linger=0.0)
        output = ScriptedOutput([slow, Retryable("reset")], limits=limits)
        log = MemoryLog(revisions(4))
        async with RunningDeliverer(output, log) as running:
            await running.delivered()

        assert output.sends == [["1"], ["2"], ["2"], ["3"], ["4"]]
        assert output.contract_violations == []

    run(scenario())


def test_a_receipt_that_contradicts_itself_proves_nothing() -> None:
    async def scenario() -> None:
        output = ScriptedOutput(
            [Receipt(rejected={0: "?"}, retry=frozenset({0})), Receipt(retry=frozenset({9}))]
        )
        log = MemoryLog(revisions(2))
        async with RunningDeliverer(output, log) as running:
            await running.delivered()

        assert output.sends == [["1", "2"], ["1", "2"], ["1"], ["2"]]
        assert log.letters == []
        assert "ContradictoryReceipt" in running.seen.of(BatchRetried)[0].reason

    run(scenario())


def test_a_busy_collector_is_given_a_pause() -> None:
    async def scenario() -> None:
        output = ScriptedOutput([Receipt(busy=True)], limits=Limits(events=1, linger=0.0))
        log = MemoryLog(revisions(2))
        loop = asyncio.get_running_loop()
        async with RunningDeliverer(output, log) as running:
            began = loop.time()
            await running.delivered()

        assert loop.time() - began >= 0.5
        assert len(running.seen.of(BatchSending)) == 2

    run(scenario())
