"""A deferred search may stay pending for ever: it is given up at a deadline, never taken for complete."""

from __future__ import annotations

import pytest

from connector.errors import SearchIncomplete, Unavailable
from connector.facts import SearchDeferred
from connector.model import Query
from connector.simulator import Behaviour
from tests.scenarios.source.account import account, deferred, in_turn, page, rows, run
from tests.scenarios.source.simulated import SPAN, simulated
from tests.support.scripted_http import Asked, Reply


def test_a_shorter_window_is_asked_for_at_the_deadline() -> None:
    def answer(asked: Asked) -> Reply:
        return page(rows(0, 1)) if asked.params.get("per_page") == "1" else deferred()

    async def story() -> None:
        async with account(answer) as it:
            began = it.clock()
            _, error = await it.read_until_error()
            assert isinstance(error, SearchIncomplete)
            assert error.reason == "pending_timeout"
            assert (it.clock() - began).total_seconds() == pytest.approx(120, abs=2)
            assert it.seen(SearchDeferred)[-1].outcome == "timeout"

    run(story())


def test_an_api_that_finishes_nothing_is_unavailable_after_two_deadlines() -> None:
    async def story() -> None:
        async with account(in_turn(deferred())) as it:
            began = it.clock()
            _, error = await it.read_until_error()
            assert isinstance(error, Unavailable)
            assert "one second of messages" in str(error)
            assert (it.clock() - began).total_seconds() == pytest.approx(240, abs=2)
            assert len(it.server.asked) < 40

    run(story())


@pytest.mark.parametrize("shown", ["202", "200-empty"])
def test_endless_pending_never_ends_as_if_there_were_nothing(shown: str) -> None:
    behaviour = Behaviour(pending="forever", pending_shown=shown)  # type: ignore[arg-type]

    async def story() -> None:
        async with simulated(behaviour, backlog=100) as it:
            with pytest.raises(Unavailable, match="one second of messages"):
                await anext(it.source.search(Query(), SPAN))

    run(story())
