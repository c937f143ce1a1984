"""Three days nobody collected: all of it comes, once, within the quota, and memory does not grow with it."""

from __future__ import annotations

import asyncio
import gc
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from connector.facts import RateLimited, SliceCollected
from connector.model import Record, Revision, Seen
from connector.simulator import Quota
from tests.scenarios.collection.feed import HOUR, MINUTE, Tenant, run, tenant

AWAY = timedelta(days=3)
QUOTA = 60
"""Requests in five minutes: little enough that catching up takes all of it for a while."""

PAGE = 50
CACHE = 50_000
"""Bytes of journal entries that stay decoded: some fifty records."""


async def _most_alive(account: Tenant, collecting: asyncio.Task[None]) -> int:
    """The most records, in whatever shape, that *account* had in memory at any look while it caught up."""
    others, most = _alive(), 0
    while not collecting.done():
        await account.sleep(MINUTE)
        most = max(most, _alive() - others)
        if account.simulator.world.rate and account.clock() - (await _live(account)) < 5 * MINUTE:
            break
    return most


def _alive() -> int:
    return sum(type(one) in {Record, Revision, Seen} for one in gc.get_objects())


async def _live(account: Tenant) -> datetime:
    return (await account.journal.progress(account.plan.feed)).checkpoints["live"]


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_everything_comes_once_within_the_quota_and_in_little_memory(tmp_path: Path) -> None:
    async def story() -> None:
        behaviour = {"quota": Quota(QUOTA)}
        ages = (10 * MINUTE, 20 * MINUTE)
        async with tenant(
            tmp_path, ages=ages, behaviour=behaviour, budget=QUOTA, per_page=PAGE, cache=CACHE, rate=0.02
        ) as account:
            await account.collect(45 * MINUTE)
            before, asked = len(account.reported), len(account.simulator.ledger.requests)
            account.facts.clear()
            await account.sleep(AWAY)
            gc.collect()
            collecting = account.start(MINUTE)
            alive = await _most_alive(account, collecting)
            took = account.clock() - account.began - AWAY - 45 * MINUTE
            caught_up = len(account.reported) - before
            requests = len(account.simulator.ledger.requests) - asked
            slices = [fact for fact in account.seen(SliceCollected) if fact.sweep == "live"]
            await account.stop(collecting)
            await account.quieten()
            verdict = await account.verdict()

            assert verdict.faults == {}
            assert verdict.repeats == 0
            assert account.seen(RateLimited) == []
            assert caught_up > 4500
            assert alive < 10 * PAGE < caught_up / 5, "memory grows with what is caught up with"
            # A slice per hour, its pages, and at the newest end the revisits: nothing is read twice.
            assert len(slices) <= AWAY / HOUR + 10
            assert requests < caught_up / PAGE + len(slices) + 60
            assert took < 1.5 * requests / QUOTA * 5 * MINUTE + 10 * MINUTE

    run(story())
