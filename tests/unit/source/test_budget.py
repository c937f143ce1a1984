"""The request budget: never more than configured, the fresh before the old, taking turns."""

from __future__ import annotations

import asyncio
from collections import Counter, deque

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from connector.facts import BudgetRemaining, BudgetWaited, Fact, RateLimitLifted, RetryAfterCapped
from connector.interfaces import Observe
from connector.model import Priority
from connector.source.budget import LONGEST_BLOCK, ActionBudget, Budget, RequestBudget
from tests.support.examples import examples
from tests.support.jumping_loop import run, wall_clock


def budget(observe: Observe = lambda _: None, *, requests: int = 600, window: float = 300.0) -> Budget:
    clock = wall_clock(asyncio.get_running_loop())
    return Budget("prod", requests=requests, window=window, observe=observe, clock=clock)


@given(requests=st.integers(1, 60), window=st.floats(1, 600), pauses=st.lists(st.floats(0, 100), max_size=30))
@settings(max_examples=examples(60), deadline=None)
def test_no_window_ever_sees_more_requests_than_configured(
    requests: int, window: float, pauses: list[float]
) -> None:
    async def story() -> None:
        it, recent = budget(requests=requests, window=window), deque[float]()
        for number in range(3 * requests):
            if number < len(pauses):
                await asyncio.sleep(pauses[number])
            await it.acquire(Priority.LIVE, "a")
            now = asyncio.get_running_loop().time()
            recent.append(now)
            while recent[0] <= now - window:
                recent.popleft()
            # A budget of one may see a second request at the very end of its window.
            assert len(recent) <= max(requests, 2)

    run(story())


def test_a_burst_passes_at_once_and_the_rest_is_spread() -> None:
    async def story() -> None:
        facts: list[Fact] = []
        it = budget(facts.append)
        loop = asyncio.get_running_loop()
        for _ in range(150):
            await it.acquire(Priority.LIVE, "a")
        assert loop.time() == 0
        await it.acquire(Priority.LIVE, "a")
        assert loop.time() == pytest.approx(1 / 1.5, abs=0.01)
        assert [fact.priority for fact in facts if isinstance(fact, BudgetWaited)] == ["live"]

    run(story())


async def _queue(it: Budget, names: list[tuple[str, Priority]]) -> list[str]:
    """Let all of *names* wait, in that order; return the order in which they were served."""
    served: list[str] = []

    async def wait(name: str, priority: Priority) -> None:
        await it.acquire(priority, "a")
        served.append(name)

    tasks = []
    for name, priority in names:
        tasks.append(asyncio.create_task(wait(name, priority)))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
    await asyncio.gather(*tasks)
    return served


def test_the_fresh_goes_before_the_old_and_within_a_priority_who_came_first() -> None:
    async def story() -> None:
        it = budget()
        for _ in range(150):
            await it.acquire(Priority.LIVE, "a")
        order = [
            ("backfill", Priority.BACKFILL),
            ("enrichment", Priority.ENRICHMENT),
            ("revisit 1", Priority.REVISIT),
            ("revisit 2", Priority.REVISIT),
            ("live", Priority.LIVE),
        ]
        assert await _queue(it, order) == ["live", "revisit 1", "revisit 2", "enrichment", "backfill"]

    run(story())


def test_two_walks_take_turns_however_long_one_of_them_is() -> None:
    async def story() -> None:
        it, served = budget(requests=4), list[str]()

        async def walk(name: str, pages: int) -> None:
            for _ in range(pages):
                await it.acquire(Priority.LIVE, "a")
                served.append(name)

        await asyncio.gather(walk("long", 40), walk("short", 5))
        assert served[:12].count("short") == 5

    run(story())


def test_a_cancelled_wait_gives_its_turn_to_the_next() -> None:
    async def story() -> None:
        it = budget(requests=4)
        await it.acquire(Priority.LIVE, "a")
        first = asyncio.create_task(it.acquire(Priority.LIVE, "a"))
        second = asyncio.create_task(it.acquire(Priority.LIVE, "a"))
        await asyncio.sleep(1)
        first.cancel()
        with pytest.raises(asyncio.CancelledError):
            await first
        await second
        assert asyncio.get_running_loop().time() == pytest.approx(100, abs=0.1)

    run(story())


def test_a_turn_that_was_given_but_not_taken_is_not_lost() -> None:
    async def story() -> None:
        it = budget(requests=4)
        await it.acquire(Priority.LIVE, "a")
        task = asyncio.create_task(it.acquire(Priority.LIVE, "a"))
        await asyncio.sleep(0)
        it._tokens = 1
        it._serve()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await it.acquire(Priority.LIVE, "a")
        assert asyncio.get_running_loop().time() == 0

    run(story())


def test_what_is_left_at_the_api_slows_everything_down() -> None:
    async def story() -> None:
        facts: list[Fact] = []
        it, loop = budget(facts.append), asyncio.get_running_loop()
        it.learn({"ratelimit": '"default";r=2;t=60'}, "a")
        for _ in range(2):
            await it.acquire(Priority.LIVE, "a")
        assert loop.time() == 0
        await it.acquire(Priority.LIVE, "a")
        assert loop.time() == pytest.approx(30, abs=0.1)
        assert [fact.remote for fact in facts if isinstance(fact, BudgetRemaining)] == [2]

    run(story())


def test_a_limit_that_was_reset_at_the_api_slows_nothing_any_more() -> None:
    async def story() -> None:
        it, loop = budget(), asyncio.get_running_loop()
        it.learn({"ratelimit": '"default";r=1;t=300'}, "a")
        await it.acquire(Priority.LIVE, "a")
        it.learn({"ratelimit": '"default";r=1199;t=300'}, "a")
        for _ in range(10):
            await it.acquire(Priority.LIVE, "a")
        assert loop.time() < 10

    run(story())


def test_a_wait_ends_with_the_limit_that_caused_it() -> None:
    async def story() -> None:
        it, loop = budget(), asyncio.get_running_loop()
        it.learn({"ratelimit": '"default";r=1;t=20'}, "a")
        await it.acquire(Priority.LIVE, "a")
        it.learn({"ratelimit": '"a";r=1;t=20, "b";r=1;t=1'}, "a")
        await it.acquire(Priority.LIVE, "a")
        await it.acquire(Priority.LIVE, "a")
        assert loop.time() <= 21

    run(story())


def test_the_apis_own_policy_caps_a_generous_budget() -> None:
    async def story() -> None:
        it, recent = budget(requests=100_000), deque[float]()
        for _ in range(40):
            it.learn({"ratelimit-policy": '"burst";q=10;w=60'}, "a")
            await it.acquire(Priority.LIVE, "a")
            now = asyncio.get_running_loop().time()
            recent.append(now)
            while recent[0] <= now - 60:
                recent.popleft()
            assert len(recent) <= 10

    run(story())


@pytest.mark.parametrize(
    "headers",
    [
        {"ratelimit": '"default";r=50;t=999999999'},
        {"ratelimit-policy": '"default";q=50;w=999999999'},
    ],
)
def test_a_limit_in_a_wrong_unit_slows_requests_down_but_stops_none_for_a_year(
    headers: dict[str, str],
) -> None:
    async def story() -> None:
        it = budget()
        it.learn(headers, "a")
        for _ in range(100):
            await it.acquire(Priority.LIVE, "a")
        assert asyncio.get_running_loop().time() < 2 * LONGEST_BLOCK

    run(story())


def test_a_rate_limit_is_at_most_an_hour_and_its_excess_is_reported() -> None:
    async def story() -> None:
        facts: list[Fact] = []
        it = budget(facts.append)
        await it.block(366 * 86_400.0, "a")
        assert it.blocked == pytest.approx(LONGEST_BLOCK)
        assert RetryAfterCapped("a", 366 * 86_400.0, LONGEST_BLOCK) in facts

    run(story())


def test_a_pause_that_an_operator_ended_stays_ended() -> None:
    async def story() -> None:
        facts: list[Fact] = []
        it = budget(facts.append)
        await it.block(600.0, "a")
        waiting = asyncio.ensure_future(it.acquire(Priority.LIVE, "a"))
        await asyncio.sleep(1)
        assert await it.resume("a")
        await waiting
        assert asyncio.get_running_loop().time() == pytest.approx(1, abs=0.1)
        assert RateLimitLifted("a") in facts
        assert not await it.resume("a")

    run(story())


def test_actions_go_first_but_a_loop_of_them_starves_nothing() -> None:
    async def story() -> None:
        shared, own = budget(requests=600), budget(requests=120)
        actions = ActionBudget(own, shared, shared)
        granted = Counter[str]()

        async def loop(name: str, who: RequestBudget, priority: Priority) -> None:
            while True:
                await who.acquire(priority, "a")
                granted[name] += 1

        loops = [
            asyncio.create_task(loop("live", shared, Priority.LIVE)),
            *(asyncio.create_task(loop("actions", actions, Priority.ACTION)) for _ in range(20)),
        ]
        await asyncio.sleep(600)
        for task in loops:
            task.cancel()
        await asyncio.gather(*loops, return_exceptions=True)

        # Two windows: at most twice 120 for actions and a first burst; collection gets all the rest.
        assert 200 <= granted["actions"] <= 270
        assert granted["live"] >= 800

    run(story())


def test_an_action_is_served_before_collection_that_waited_longer() -> None:
    async def story() -> None:
        shared = budget(requests=4)
        actions = ActionBudget(budget(requests=600), shared, shared)
        await shared.acquire(Priority.LIVE, "a")
        order: list[str] = []

        async def take(name: str, who: RequestBudget) -> None:
            await who.acquire(Priority.LIVE, "a")
            order.append(name)

        waiting = [asyncio.create_task(take("live", shared)) for _ in range(2)]
        await asyncio.sleep(0)
        waiting.append(asyncio.create_task(take("action", actions)))
        await asyncio.gather(*waiting)

        assert order[0] == "action"

    run(story())
