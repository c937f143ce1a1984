"""A body that dribbles is waited for, but an exchange has one deadline for all of it."""

from __future__ import annotations

import asyncio

import pytest

from connector.errors import SearchIncomplete, Unavailable
from connector.model import Query
from connector.simulator import Behaviour, Fault
from tests.scenarios.source.account import account, in_turn, page, rows, run
from tests.scenarios.source.simulated import SPAN, collect, simulated
from tests.support.scripted_http import Asked, Reply

WHOLE = page(rows(0, 2))


@pytest.mark.parametrize("fault", ["slow", "delay"])
@pytest.mark.parametrize("seconds", [10, 50])
def test_within_the_deadline_it_is_an_answer_like_any_other(fault: str, seconds: float) -> None:
    behaviour = Behaviour()
    behaviour.script([None, Fault(fault, seconds=seconds)])

    async def story() -> None:
        async with simulated(behaviour, backlog=200) as it:
            assert it.expected == await collect(it.source)
            assert it.asked.count("first") == 1

    run(story())


def test_beyond_the_deadline_less_is_asked_for() -> None:
    async def story() -> None:
        def answer(asked: Asked) -> Reply:
            if asked.params["per_page"] == "1":
                return page(rows(0, 1))
            return Reply(raw=b"", hold=asyncio.Event())

        async with account(answer) as it:
            began = it.clock()
            _, error = await it.read_until_error()
            assert isinstance(error, SearchIncomplete)
            assert error.reason == "search_timeout"
            # One try may begin within a minute of the first; it has thirty seconds of its own.
            assert (it.clock() - began).total_seconds() < 125

    run(story())


def test_an_endless_dribble_ends_at_the_deadline() -> None:
    behaviour = Behaviour(rates={Fault("slow", seconds=4000): 1.0})

    async def story() -> None:
        async with simulated(behaviour, backlog=200) as it:
            with pytest.raises(Unavailable):
                await anext(it.source.search(Query(), SPAN))

    run(story())


def test_one_slow_answer_is_made_up_for() -> None:
    async def story() -> None:
        hung = Reply(raw=b"", hold=asyncio.Event())
        async with account(in_turn(hung, WHOLE)) as it:
            assert await it.ids() == ["record-0", "record-1"]
            assert len(it.searches) == 2

    run(story())
