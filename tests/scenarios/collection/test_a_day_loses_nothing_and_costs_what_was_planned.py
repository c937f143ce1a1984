"""A day of mail, late, changing and corrected: all of it is told, and it costs what ``check`` says it will.

``DAY_RATE`` sets the messages per second. A large company has 50; continuous integration takes a twentieth of
that, which is two minutes of work, a laptop a tenth of a twentieth.
"""

from __future__ import annotations

import os
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from connector.facts import RecordDisappeared, RecordLate
from connector.ops.request_plan import SearchLoad, sweep_requests
from connector.simulator import Changes, Late
from tests.scenarios.collection.feed import DETECTIONS, HOUR, MINUTE, run, tenant

DAY = 24 * HOUR
EVERY = 5 * MINUTE
AGES = (30 * MINUTE, 4 * HOUR)
LATE = Late(share=0.02, shortest=MINUTE / 2, longest=28 * MINUTE)
CHANGES = Changes(share=0.05, earliest=timedelta(seconds=30), latest=0.95 * AGES[-1])
RATE = float(os.environ.get("DAY_RATE") or ("2.5" if os.environ.get("CI") else "0.25"))


@pytest.mark.slow
@pytest.mark.timeout(7200 if RATE > 1 else 600)
def test_a_day(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    async def story() -> None:
        mail: dict[str, Any] = {"rate": RATE, "backlog": 0, "late": LATE, "changes": CHANGES}
        if RATE > 1:
            mail["keep"] = int(2 * RATE * DAY.total_seconds())
        async with tenant(tmp_path, filters=DETECTIONS, ages=AGES, **mail) as account:
            await account.collect(DAY, EVERY)
            records = len({one.id for one in account.reported})
            account.simulator.world.rate = 0
            await account.collect(1.2 * AGES[-1], EVERY)
            verdict = await account.verdict()

            length = account.clock() - account.began
            timing = account.plan.timing
            asking = SearchLoad("search", DAY / EVERY, per_page=1000, overlap=timing.overlap, ages=AGES)
            # Each record is read once by every sweep, and the quiet hours at the end bring none. The plan
            # counts a page for each walk and more for the mail; in the mean, mail fills half of that page.
            walking = [share.walking for share in sweep_requests(asking, 0, length)]
            pages = [share.reading for share in sweep_requests(asking, records, DAY)]
            planned = sum(max(walks, walks / 2 + more) for walks, more in zip(walking, pages, strict=True))
            asked, left = account.requests, account.seen(RecordDisappeared)
            searches = asked["first"] + asked["next"]
            corrected = [one for one in account.reported if one.body["final_disposition"] == "NONE"]
            records = len({one.id for one in account.reported})
            with capsys.disabled():
                sys.stdout.write(
                    f"\na day at {RATE:g} messages/s: {records} records, {len(account.reported) - records} "
                    f"updates, {len(corrected)} corrected to clean, {len(account.seen(RecordLate))} late; "
                    f"lost {len(verdict.lost)}, repeats {verdict.repeats}; "
                    f"{searches} searches ({planned:.0f} planned), {asked['record']} look-ups\n"
                )
            assert verdict.faults == {}
            assert verdict.repeats == 0
            assert records > 32_000 * RATE
            assert len(corrected) > 200 * RATE
            assert len(account.seen(RecordLate)) > 0.01 * records
            # A search for records that left theirs stands for at least two look-ups.
            assert 0.9 * planned < searches < 1.1 * planned + len(left) / 2
            assert asked["record"] <= len(left) <= len(corrected) * len(AGES) + 0.01 * records

    run(story())
