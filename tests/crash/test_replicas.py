"""Two and three replicas over one PostgreSQL: whatever is done to one of them, nothing is lost."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from tests.crash.replicas import BATCH, OUTPUTS, site

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("replicas")]


@pytest.mark.parametrize(
    ("replicas", "kinds"),
    [(2, ("stop", "kill")), (3, ("freeze", "database", "cut"))],
    ids=["two that end", "three that are cut off"],
)
def test_nothing_is_lost(replicas: int, kinds: tuple[str, ...], tmp_path: Path) -> None:
    chance = random.Random(replicas)
    with site(tmp_path, replicas) as place:
        for kind in kinds:
            place.disturb(kind, chance)
            place.wait_until_all_is_held()
        place.finish()
        for output in OUTPUTS:
            verdict = place.verdict(output)
            assert verdict.faults == {}, (output, place.logs)
            assert verdict.repeats <= len(kinds) * BATCH, (output, verdict.repeats)
        assert all(max(times) < 60 for times in place.takeovers.values()), place.report()
