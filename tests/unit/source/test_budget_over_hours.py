"""The budget over simulated hours against a quota like Cloudflare's: never blocked, shared as promised."""

from __future__ import annotations

import asyncio
import random
from collections import Counter, deque
from collections.abc import Coroutine
from dataclasses import dataclass, field
from datetime import timedelta

import pytest

from connector.model import Priority
from connector.simulator import Quota
from connector.simulator.quota import Quotas
from connector.source.budget import Budget
from tests.support.jumping_loop import run, wall_clock
from tests.support.sampling import slow

WINDOW = 300.0
STEADY = 0.7
"""Share of a budget that a steady load gets at least; a quarter is kept back for bursts."""

LIVE, REVISIT, ENRICHMENT, BACKFILL = (
    Priority.LIVE,
    Priority.REVISIT,
    Priority.ENRICHMENT,
    Priority.BACKFILL,
)


@dataclass
class Api:
    """Counts requests of one credential the way the API does, and what each of ours waited."""

    quota: Quota
    budget: Budget
    chance: random.Random = field(default_factory=lambda: random.Random(7))
    parse_policy: Quotas = field(default_factory=Quotas)
    refused: int = 0
    served: Counter[str] = field(default_factory=Counter)
    waited: dict[str, list[float]] = field(default_factory=dict)
    ours: deque[float] = field(default_factory=deque)
    most: int = 0

    def charge(self) -> None:
        now = int(asyncio.get_running_loop().time() * 1_000_000)
        self.refused += self.parse_policy.charge("credential", self.quota, now) is not None

    async def ask(self, name: str, priority: Priority) -> None:
        """One request of the connector, answer and headers included."""
        loop = asyncio.get_running_loop()
        began = loop.time()
        await self.budget.acquire(priority, name)
        now = loop.time()
        self.waited.setdefault(name, []).append(now - began)
        self.served[name] += 1
        self.ours.append(now)
        while self.ours[0] <= now - WINDOW:
            self.ours.popleft()
        self.most = max(self.most, len(self.ours))
        self.charge()
        headers = self.parse_policy.headers("credential", self.quota, int(now * 1_000_000))
        await asyncio.sleep(self.chance.uniform(0.05, 0.6))
        self.budget.learn({name.lower(): value for name, value in headers.items()}, name)

    async def query_parameters(
        self, name: str, priority: Priority, *, pages: int, every: float = 0.0
    ) -> None:
        """A feed: walks of so many pages, at least *every* so many seconds; 0 means without a pause."""
        loop = asyncio.get_running_loop()
        while True:
            began = loop.time()
            for _ in range(self.chance.randint(1, 2 * pages - 1)):
                await self.ask(name, priority)
            await asyncio.sleep(max(0.0, began + every - loop.time()))

    async def people(self, requests: int) -> None:
        """Whoever else uses the credential, so many requests per window."""
        while True:
            self.charge()
            await asyncio.sleep(self.chance.uniform(0, 2 * WINDOW / requests))


def api(*, limit: int = 1200, requests: int = 600) -> Api:
    clock = wall_clock(asyncio.get_running_loop())
    budget = Budget("prod", requests=requests, window=WINDOW, observe=lambda _: None, clock=clock)
    return Api(Quota(limit, timedelta(seconds=WINDOW)), budget)


async def _for_hours(hours: float, *work: Coroutine[None, None, None]) -> None:
    tasks = [asyncio.ensure_future(one) for one in work]
    await asyncio.sleep(hours * 3600)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


@pytest.mark.slow
def test_three_busy_hours_are_never_over_the_quota_and_shared_by_priority() -> None:
    async def story() -> None:
        it = api()
        enriching = [it.query_parameters("enrichment", ENRICHMENT, pages=20, every=120) for _ in range(4)]
        await _for_hours(
            3,
            *(it.query_parameters(f"live {number}", LIVE, pages=3, every=60) for number in range(4)),
            *(it.query_parameters(f"revisit {number}", REVISIT, pages=30, every=600) for number in range(4)),
            *enriching,
            it.query_parameters("backfill", BACKFILL, pages=1000),
            it.people(550),
        )
        assert it.refused == 0
        assert it.most <= 600
        # What is urgent gets all it wants; what is left over is used up, and by the backfill alone.
        for number in range(4):
            assert it.served[f"live {number}"] == pytest.approx(3 * 180, rel=0.3)
            assert max(it.waited[f"live {number}"]) < 3
        assert sum(it.served.values()) > STEADY * 3 * 7200
        assert it.served["backfill"] > 0.1 * sum(it.served.values())

    run(story())


def test_when_live_feeds_want_more_than_there_is_they_share_evenly_and_the_rest_waits() -> None:
    async def story() -> None:
        it = api()
        lengths = {"short": 1, "middle": 20, "long": 1000}
        await _for_hours(
            1,
            *(it.query_parameters(name, LIVE, pages=pages) for name, pages in lengths.items()),
            it.query_parameters("revisit", REVISIT, pages=10),
            it.query_parameters("backfill", BACKFILL, pages=10),
        )
        assert it.refused == 0
        shares = [it.served[name] for name in lengths]
        assert max(shares) < 1.1 * min(shares)
        assert it.served["revisit"] + it.served["backfill"] < 0.05 * sum(shares)

    run(story())


def test_a_feed_with_many_requests_at_once_leaves_the_others_their_turn() -> None:
    async def story() -> None:
        it = api()
        crowd = [it.query_parameters("crowd", ENRICHMENT, pages=50) for _ in range(4)]
        await _for_hours(1, *crowd, it.query_parameters("single", ENRICHMENT, pages=50))
        assert it.refused == 0
        # One place in the queue each: nobody is shut out, and nobody waits longer than one round.
        assert it.served["single"] > 0.8 * it.served["crowd"] / 4
        assert max(it.waited["single"]) < 6 / 1.5 + 1

    run(story())


@pytest.mark.parametrize("limit", [slow(40), 200, slow(599)])
def test_a_smaller_quota_than_the_budget_is_learned_before_it_is_exceeded(limit: int) -> None:
    async def story() -> None:
        it = api(limit=limit)
        await _for_hours(2, *(it.query_parameters(f"live {number}", LIVE, pages=50) for number in range(3)))
        assert it.refused == 0
        assert sum(it.served.values()) > STEADY * limit * 2 * 3600 / WINDOW

    run(story())


@pytest.mark.parametrize("people", [slow(500), 700, slow(900)])
def test_what_others_need_of_the_quota_is_left_to_them(people: int) -> None:
    async def story() -> None:
        it = api()
        await _for_hours(1, it.query_parameters("live", LIVE, pages=1000), it.people(people))
        assert it.refused == 0
        # Of what they leave, most is used.
        assert it.served["live"] > 0.75 * 12 * min(600 * STEADY, 1200 - people)

    run(story())


def test_others_who_leave_next_to_nothing_are_blocked_once_at_most_before_it_is_known() -> None:
    async def story() -> None:
        it = api()
        await _for_hours(2, it.query_parameters("live", LIVE, pages=1000), it.people(1050))
        assert it.refused < 2 * 1050
        assert it.served["live"] > 100

    run(story())
