"""The process is killed at every fact of a response action and at random: nothing is done twice."""

from __future__ import annotations

import random
import signal
from pathlib import Path

import pytest

from connector.facts import kinds
from connector.simulator import Fault
from tests.crash.acting_site import place_with

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

AFTER_EFFECT = (
    Fault("error_after_effect"), Fault("error_after_effect", status=504), Fault("reset"), Fault("cut"),
    Fault("late_effect", seconds=1), Fault("missing_rows"),
)  # fmt: skip
"""What the API may do after it did what was asked, or before it does it."""

POINTS: tuple[tuple[str, int, tuple[Fault | None, ...]], ...] = (
    ("ActionStateChanged", 1, ()),
    ("ActionStateChanged", 2, ()),
    ("ActionStateChanged", 6, ()),
    ("ActionStateChanged", 8, (Fault("error_after_effect"),)),
    ("ActionSent", 1, ()),
    ("ActionSent", 2, (Fault("error_after_effect"),)),
    ("ActionAnswered", 1, ()),
    ("ActionAnswered", 2, (Fault("reset"), Fault("late_effect", seconds=1))),
    ("ActionLookedUp", 1, (Fault("error_after_effect"), Fault("missing_rows"))),
    ("ActionPostponed", 1, (Fault("rate_limited", retry_after=1),)),
    ("OpenActionsCounted", 3, ()),
)
"""Where, at which occurrence, and what the API does to the writes of that run."""

AT_RANDOM = 8


def test_every_kind_of_fact_of_an_action_is_among_the_points() -> None:
    own = {kind.__name__ for kind in kinds() if kind.__module__ == "connector.facts.actions"}

    # The others come before there is an action, or where there is none.
    assert own - {"ActionsStarted", "CallRefused"} == {kind for kind, _, _ in POINTS}


def test_each_release_and_submission_happens_at_most_once(tmp_path: Path) -> None:
    chance = random.Random(20261130)
    with place_with(tmp_path, 1) as place:
        for number, (kind, nth, faults) in enumerate(POINTS):
            place.want(f"point{number}")
            place.simulator.behaviour.script(faults, on="write")
            place.kill_at(kind, nth)
        for number in range(AT_RANDOM):
            place.want(f"random{number}")
            place.simulator.behaviour.script(
                [chance.choice((None, *AFTER_EFFECT)) for _ in range(3)], on="write"
            )
            if number % 2:
                place.kill_after(chance.uniform(0.0, 0.5))
            else:
                place.kill_at("ActionSent", chance.randrange(1, 4), chance.randrange(20, 20_000))
        place.simulator.behaviour.faults.clear()
        [replica] = place.replicas
        replica.start()
        place.settle(replica)
        assert replica.end(signal.SIGTERM) == 0, replica.tail
        states = place.judge()

    assert sum(states.values()) == len(place.requests) == 4 * (len(POINTS) + AT_RANDOM)
    assert states["succeeded"] > len(place.requests) / 2
    assert set(states) <= {"succeeded", "failed"}
