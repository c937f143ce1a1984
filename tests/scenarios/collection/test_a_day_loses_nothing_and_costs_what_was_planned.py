"""A day of detections at a two-hundredth of a large company's mail: late, changing and corrected records."""

from __future__ import annotations

import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from connector.facts import RecordLate, RecordLeft
from connector.simulator import Changes, Late
from tests.scenarios.collection.feed import DETECTIONS, HOUR, MINUTE, run, tenant

DAY = 24 * HOUR
EVERY = 5 * MINUTE
AGES = (30 * MINUTE, 4 * HOUR)
LATE = Late(share=0.02, shortest=MINUTE / 2, longest=28 * MINUTE)
CHANGES = Changes(share=0.05, earliest=timedelta(seconds=30), latest=0.95 * AGES[-1])


@pytest.mark.slow
def test_a_day(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    async def story() -> None:
        mail: dict[str, Any] = {"rate": 0.25, "backlog": 0, "late": LATE, "changes": CHANGES}
        async with tenant(tmp_path, filters=DETECTIONS, ages=AGES, **mail) as account:
            await account.collect(DAY, EVERY)
            account.simulator.world.rate = 0
            await account.collect(1.2 * AGES[-1], EVERY)
            verdict = await account.verdict()

            length = account.clock() - account.began
            planned = length / EVERY + sum(10 * length / age for age in AGES)
            asked, left = account.requests, account.seen(RecordLeft)
            corrected = [one for one in account.told if one.body["final_disposition"] == "NONE"]
            records = len({one.id for one in account.told})
            with capsys.disabled():
                sys.stdout.write(
                    f"\na day: {records} records, {len(account.told) - records} updates, "
                    f"{len(corrected)} corrected to clean, {len(account.seen(RecordLate))} late; "
                    f"lost {len(verdict.lost)}, repeats {verdict.repeats}; "
                    f"{asked['first'] + asked['next']} searches ({planned:.0f} planned), "
                    f"{asked['record']} look-ups\n"
                )
            assert verdict.faults == {}
            assert verdict.repeats == 0
            assert records > 8_000
            assert len(corrected) > 50
            assert len(account.seen(RecordLate)) > 0.01 * records
            assert asked["first"] + asked["next"] <= 1.02 * planned + 5
            assert asked["record"] == len(left) <= len(corrected) * len(AGES) + 0.01 * records

    run(story())
