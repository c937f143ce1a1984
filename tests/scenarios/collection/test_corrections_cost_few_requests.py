"""A tenth of 1500 messages is corrected to clean: it arrives with the first revisit, for few requests."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.scenarios.collection.feed import DETECTIONS, MINUTE, run, tenant

AGES = tuple(number * MINUTE for number in (5, 10, 15, 20, 30))
"""As many as by default, closer together."""

NOTHING: dict[str, Any] = {"rate": 0, "backlog": 0, "late": 0, "changes": 0}
SECOND = timedelta(seconds=1)
MESSAGES, CORRECTED = 1500, 151


@pytest.mark.slow
def test_records_that_left_together_are_read_together_and_then_left_alone(tmp_path: Path) -> None:
    async def story() -> None:
        async with tenant(tmp_path, filters=DETECTIONS, ages=AGES, budget=600, **NOTHING) as account:
            world, now = account.simulator.world, account.clock()
            names = []
            for number in range(MESSAGES):
                at = (now - SECOND * number / 10).replace(microsecond=0)
                state = "NONE" if number % 3 == 1 else "MALICIOUS"
                names.append(world.add(final_disposition=state, scanned_at=at, searchable_at=at))
            await account.collect(MINUTE)
            corrected = set(names[: 6 * CORRECTED : 6])
            for name in corrected:
                world.change(name, final_disposition="NONE")
            changed = account.clock()
            running, arrived = account.start(10 * SECOND), timedelta(0)
            while not arrived:
                await account.sleep(2 * SECOND)
                arrived_ids = {one.id for one in account.reported if one.body["final_disposition"] == "NONE"}
                arrived = account.clock() - changed if arrived_ids >= corrected else arrived
                assert account.clock() - changed < 20 * MINUTE
            searches = account.requests["first"]
            await account.stop(running)
            await account.collect(45 * MINUTE, MINUTE)
            look_ups = account.requests["record"]
            verdict = await account.verdict()

            assert verdict.faults == {}
            assert verdict.repeats == 0
            assert arrived < AGES[0] + MINUTE
            assert look_ups < 0.05 * CORRECTED
            # A poll every ten seconds; the first revisit reads in six parts, each of which may need one more.
            # Seven are from the minute before the corrections.
            assert searches < 7 + arrived / (10 * SECOND) + 2 * 6 + 10

    run(story())
