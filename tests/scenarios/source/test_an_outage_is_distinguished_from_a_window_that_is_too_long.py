"""504 to everything is an outage: one smallest search finds out, and nothing is cut into pieces for it."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from pathlib import Path

import pytest

from connector.collect.collector import Collector
from connector.collect.feed_config import FeedConfig
from connector.collect.windows import Timing
from connector.errors import Denied, SearchIncomplete, SourceError, Unavailable
from connector.facts import SearchAborted, WindowSplit
from connector.journal import Journal
from connector.model import Feed, Query
from connector.simulator import Behaviour, Fault
from tests.scenarios.source.account import ACCOUNT, account, failure, html, in_turn, page, rows, run
from tests.scenarios.source.simulated import Simulated, simulated
from tests.support.scripted_http import Asked, Reply, Script

SLOW = html(504, "Gateway time-out")


def _unless_small(large: Reply, small: Reply) -> Script:
    return lambda asked: small if asked.params["per_page"] == "1" else large


@pytest.mark.parametrize("status", [504, 524])
def test_what_is_slow_for_much_time_only_asks_for_a_shorter_window(status: int) -> None:
    async def story() -> None:
        async with account(_unless_small(html(status), page(rows(0, 1)))) as it:
            _, error = await it.read_until_error()
            assert isinstance(error, SearchIncomplete)
            assert (error.reason, error.status) == ("search_timeout", status)
            *large, small = it.searches
            assert len(large) == 4
            assert (small.params["start"], small.params["end"]) == (
                "2026-03-01T11:59:58Z",
                "2026-03-01T12:00:01Z",
            )
            assert {name: small.params[name] for name in ("per_page", "detections_only")} == {
                "per_page": "1",
                "detections_only": "true",
            }

    run(story())


@pytest.mark.parametrize("status", [504, 524])
def test_what_is_slow_for_one_second_too_is_unavailable(status: int) -> None:
    async def story() -> None:
        async with account(in_turn(html(status, "Gateway time-out", cf_ray="ray-7"))) as it:
            _, error = await it.read_until_error()
            assert isinstance(error, Unavailable)
            assert (error.status, error.ray) == (status, "ray-7")
            assert "one second of messages" in str(error)
            assert "Gateway time-out" in str(error)
            assert len(it.searches) == 6
            assert [fact.reason for fact in it.seen(SearchAborted)] == ["unavailable"]

    run(story())


def test_silence_is_distinguished_the_same_way() -> None:
    never = asyncio.Event()

    async def story() -> None:
        async with account(_unless_small(Reply(hold=never), page([]))) as it:
            _, error = await it.read_until_error()
            assert isinstance(error, SearchIncomplete)
            assert error.reason == "search_timeout"
            assert "30 s" in str(error)
        async with account(in_turn(Reply(hold=never))) as it:
            _, error = await it.read_until_error()
            assert isinstance(error, Unavailable)

    run(story())


def test_a_later_page_that_is_slow_is_judged_like_the_first() -> None:
    def answer(asked: Asked) -> Reply:
        if "cursor" in asked.params or asked.params["per_page"] == "1":
            return SLOW
        return page(rows(0, 1), next="a")

    async def story() -> None:
        async with account(answer) as it:
            read, error = await it.read_until_error()
            assert read == ["record-0"]
            assert isinstance(error, Unavailable)

    run(story())


@pytest.mark.parametrize(
    ("small", "kind", "after"),
    [
        (failure(429, 10100, "slow down", **{"retry-after": "420"}), Unavailable, 420),
        (failure(503, 1000, "down"), Unavailable, None),
        (failure(403, 10000, "Authentication error"), Denied, None),
        (failure(400, 1000, "strange"), SearchIncomplete, None),
    ],
)
def test_what_the_smallest_search_meets_instead_is_reported(
    small: Reply, kind: type[SourceError], after: float | None
) -> None:
    async def story() -> None:
        async with account(_unless_small(SLOW, small)) as it:
            _, error = await it.read_until_error()
            assert type(error) is kind
            assert getattr(error, "after", None) == after

    run(story())


def _collector(it: Simulated, journal: Journal) -> Collector:
    plan = FeedConfig(
        Feed(ACCOUNT, "all"), Query({"detections_only": False}), Timing(start=timedelta(hours=2))
    )
    return Collector(plan, it.source, it.source, journal, observe=it.facts.append, clock=it.clock)


def test_an_outage_costs_a_few_requests_a_minute_and_the_next_walk_is_whole(tmp_path: Path) -> None:
    async def story() -> None:
        behaviour = Behaviour(rates={Fault("html_error", status=504): 1.0})
        async with (
            simulated(behaviour, backlog=300) as it,
            Journal.open(tmp_path, observe=it.facts.append, clock=it.clock) as journal,
        ):
            once = asyncio.create_task(_collector(it, journal).once())
            await asyncio.sleep(300)
            during = len(it.asked)
            # Waits are left to chance: about 87 on average, with a deviation of ten.
            assert 10 < during < 180
            assert not [fact for fact in it.facts if isinstance(fact, WindowSplit)]
            behaviour.rates = {}
            await once
            after = len(it.asked) - during
            # The outage may end between a search and the smallest one, by which it is judged.
            assert len([fact for fact in it.facts if isinstance(fact, WindowSplit)]) <= 1
            assert after < 20
            outline = await journal.outline()
            assert outline.head == len(it.expected_of({"detections_only": False}))

    run(story())
