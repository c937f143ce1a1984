"""Whatever ``start`` and ``end`` mean to the API: which timestamp, which ends, which precision."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from connector.facts import RecordDisappeared
from tests.scenarios.collection.feed import DETECTIONS, run, tenant

READINGS: dict[str, dict[str, Any]] = {
    "scanned, both ends inclusive": {"end": "inclusive"},
    "scanned, start exclusive": {"start": "exclusive"},
    "whole seconds, start exclusive": {"start": "exclusive", "granularity": "second"},
    "sent": {"filter_on": "sent_at"},
}


@pytest.mark.parametrize("reading", READINGS)
def test_nothing_is_missed_doubled_or_stale(reading: str, tmp_path: Path) -> None:
    async def story() -> None:
        async with tenant(tmp_path, behaviour=READINGS[reading], subsecond=True) as account:
            verdict = await account.story()

            assert verdict.faults == {}
            assert verdict.repeats == 0

    run(story())


def test_a_range_of_sending_times_does_not_make_present_records_look_absent(tmp_path: Path) -> None:
    """Scan times lie outside the windows then; a record that is there must not be asked for one by one."""

    async def story() -> None:
        manner = {"filter_on": "sent_at"}
        async with tenant(tmp_path, filters=DETECTIONS, behaviour=manner, changes=0, rate=1.0) as account:
            verdict = await account.story()

            assert verdict.faults == {}
            assert {left.outcome for left in account.seen(RecordDisappeared)} <= {"same"}
            assert account.requests["record"] < len(account.reported) / 10

    run(story())
