"""5xx in bursts: a short one is bridged within the walk, a long one ends it with what to wait for."""

from __future__ import annotations

import itertools

import pytest

from connector.errors import Unavailable
from connector.facts import RequestAnswered, RequestRetried
from connector.simulator import Behaviour, Fault
from tests.scenarios.source.account import account, failure, in_turn, page, rows, run
from tests.scenarios.source.simulated import collect, simulated
from tests.support.scripted_http import Asked, Reply

STATUSES = (500, 502, 503, 520, 521, 522, 523, 530, 599)


@pytest.mark.parametrize("status", STATUSES)
def test_up_to_three_in_a_row_are_bridged_in_place(status: int) -> None:
    async def story() -> None:
        burst = [failure(status)] * 3
        async with account(in_turn(page(rows(0, 1), next="a"), *burst, page(rows(1, 1)))) as it:
            assert await it.ids() == ["record-0", "record-1"]
            assert [asked.params.get("cursor") for asked in it.searches] == [None, "a", "a", "a", "a"]
            assert len(it.seen(RequestRetried)) == 3

    run(story())


@pytest.mark.parametrize("status", STATUSES)
def test_a_fourth_ends_the_walk_and_keeps_what_was_read(status: int) -> None:
    async def story() -> None:
        async with account(in_turn(page(rows(0, 1), next="a"), failure(status, 1000, "down"))) as it:
            read, error = await it.read_until_error()
            assert read == ["record-0"]
            assert isinstance(error, Unavailable)
            assert error.status == status
            assert {fact.outcome for fact in it.seen(RequestAnswered)} == {"ok", "unavailable"}

    run(story())


def test_tries_are_spaced_further_and_further() -> None:
    times = []

    async def story() -> None:
        def answer(_: Asked) -> Reply:
            times.append(it.clock())
            return failure(500)

        async with account(answer) as it:
            await it.read_until_error()
        waits = [(after - before).total_seconds() for before, after in itertools.pairwise(times)]
        assert waits == pytest.approx([0.5, 1, 2], abs=0.2)

    run(story())


def test_bursts_all_along_a_walk_of_the_emulator_cost_no_record() -> None:
    statuses = itertools.cycle([500, 502, 503])
    behaviour = Behaviour()
    behaviour.script([Fault("server_error", status=next(statuses)) if n % 4 else None for n in range(60)])

    async def story() -> None:
        async with simulated(behaviour) as it:
            assert it.expected <= await collect(it.source)

    run(story())
