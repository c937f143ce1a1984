"""A search over too much time fails, however often it is asked; its halves succeed, and lose nothing."""

from __future__ import annotations

from datetime import timedelta

import pytest

from connector.errors import SearchIncomplete
from connector.model import Query
from connector.simulator import Behaviour
from connector.source.options import SourceOptions
from tests.scenarios.source.account import run
from tests.scenarios.source.simulated import SPAN, collect, simulated

REASONS = {"timeout": "search_timeout", "pending": "pending_timeout"}


@pytest.mark.parametrize("manner", REASONS)
def test_the_reason_says_that_less_may_succeed(manner: str) -> None:
    behaviour = Behaviour(long_window=timedelta(minutes=40), long_window_answer=manner)  # type: ignore[arg-type]

    async def story() -> None:
        async with simulated(behaviour) as it:
            with pytest.raises(SearchIncomplete, match=REASONS[manner]):
                await anext(it.source.search(Query(), SPAN))

    run(story())


@pytest.mark.parametrize("manner", REASONS)
@pytest.mark.parametrize("longest", [timedelta(minutes=40), timedelta(minutes=10)])
def test_every_record_comes_in_the_parts(manner: str, longest: timedelta) -> None:
    behaviour = Behaviour(long_window=longest, long_window_answer=manner)  # type: ignore[arg-type]

    async def story() -> None:
        async with simulated(behaviour, backlog=200, options=SourceOptions(deferred_deadline=5)) as it:
            assert it.expected <= await collect(it.source)

    run(story())
