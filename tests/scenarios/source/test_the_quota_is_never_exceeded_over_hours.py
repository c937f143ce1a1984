"""Feeds and a backfill over simulated hours, against a quota: no request too many, nobody shut out."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter, deque
from datetime import timedelta

import pytest

from connector.errors import SearchIncomplete
from connector.model import Priority, Query, Window
from connector.net.http import HttpClient
from connector.secret import Secret
from connector.simulator import Behaviour, Quota, Simulator, listening
from connector.source.budget import Budget
from connector.source.client import CloudflareSource
from connector.source.credentials import ApiToken
from tests.scenarios.source.account import ACCOUNT
from tests.support.jumping_loop import EPOCH, wall_clock
from tests.support.jumping_loop import run as run_jumping

FIVE = timedelta(minutes=5)
HOURS = 2
LIMIT, OURS = 60, 30


def _most_within(times: list[float], window: float) -> int:
    recent, most = deque[float](), 0
    for moment in times:
        recent.append(moment)
        while recent[0] <= moment - window:
            recent.popleft()
        most = max(most, len(recent))
    return most


@pytest.mark.slow
def test_two_hours_of_polls_revisits_and_a_backfill() -> None:
    async def story() -> None:
        clock = wall_clock(asyncio.get_running_loop())
        behaviour = Behaviour(quota=Quota(LIMIT, FIVE))
        simulator = Simulator(backlog=2000, span=timedelta(days=1), clock=clock, behaviour=behaviour)
        budget = Budget("shared", requests=OURS, window=300, observe=lambda _: None, clock=clock)
        pages: Counter[str] = Counter()

        async def feed(source: CloudflareSource, name: str, priority: Priority, every: float) -> None:
            while True:
                began = clock()
                reach = timedelta(hours=24) if priority is Priority.BACKFILL else timedelta(minutes=30)
                window = Window(began - reach, began)
                with contextlib.suppress(SearchIncomplete):  # a last page that happens to be full
                    async for _ in source.search(Query(per_page=20, priority=priority), window):
                        pages[name] += 1
                await asyncio.sleep(max(0.0, every - (clock() - began).total_seconds()))

        async with listening(simulator) as url:
            http = HttpClient(timeout=60)
            source = CloudflareSource(
                account_id=ACCOUNT, credentials=ApiToken(Secret("any")), base_url=url, http=http,
                budget=budget, observe=lambda _: None, clock=clock,
            )  # fmt: skip
            tasks = [
                asyncio.create_task(feed(source, "live", Priority.LIVE, 60)),
                asyncio.create_task(feed(source, "revisit", Priority.REVISIT, 120)),
                asyncio.create_task(feed(source, "backfill", Priority.BACKFILL, 0)),
                asyncio.create_task(feed(source, "other backfill", Priority.BACKFILL, 0)),
            ]
            await asyncio.sleep(HOURS * 3600)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await http.close()
        assert simulator.ledger.answers[429] == 0
        times = [(request.at - EPOCH).total_seconds() for request in simulator.ledger.requests]
        assert _most_within(times, 300) <= OURS
        assert len(times) > 0.7 * OURS * HOURS * 12
        polls = [request for request in simulator.ledger.requests if request.kind == "first"]
        assert len(polls) > 0.9 * HOURS * 60
        assert pages["live"] >= 0.9 * HOURS * 60
        assert pages["revisit"] >= 0.9 * HOURS * 30
        assert abs(pages["backfill"] - pages["other backfill"]) < 0.2 * pages["backfill"]

    run_jumping(story(), grace=0.004)
