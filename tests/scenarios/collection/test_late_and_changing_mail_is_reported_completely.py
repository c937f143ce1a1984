"""Records that are indexed late, states that change and change back, mail in any order: all of it is told."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from connector.facts import RecordLate
from tests.scenarios.collection.feed import MINUTE, run, tenant

MANNERS: dict[str, dict[str, Any]] = {
    "no order at all": {"behaviour": {"order": "unordered"}, "per_page": 20},
    "a list that moves while it is read": {"behaviour": {"order": "shifting"}, "per_page": 20},
    "small pages, an empty one at the end": {"behaviour": {"page_limit": 7, "trailing_empty_page": True}},
}


@pytest.mark.parametrize("manner", MANNERS)
def test_nothing_is_missed_doubled_or_stale(manner: str, tmp_path: Path) -> None:
    async def story() -> None:
        async with tenant(tmp_path, **MANNERS[manner]) as account:
            verdict = await account.story()

            assert verdict.faults == {}
            assert verdict.repeats == 0
            assert len({revision.id for revision in account.reported}) > 300
            assert any(revision.number > 2 for revision in account.reported), "no state changed twice"
            assert account.seen(RecordLate), "nothing came late"

    run(story())


def test_released_quarantined_and_released_again_are_four_tellings_of_one_record(tmp_path: Path) -> None:
    async def story() -> None:
        ages = (5 * MINUTE, 10 * MINUTE, 20 * MINUTE)
        async with tenant(tmp_path, ages=ages, rate=0, backlog=0) as account:
            world = account.simulator.world
            name = world.add(is_quarantined=True, final_disposition="MALICIOUS")
            for minute, change in ((3, "release"), (7, "quarantine"), (14, "release")):
                await account.collect(minute * MINUTE - (account.clock() - account.began))
                world.apply(name, change)
            await account.quieten()
            verdict = await account.verdict()

            assert verdict.faults == {}
            states = [revision.body["is_quarantined"] for revision in account.reported]
            assert states == [True, False, True, False]
            assert len({revision.identity for revision in account.reported}) == len(account.reported)

    run(story())
