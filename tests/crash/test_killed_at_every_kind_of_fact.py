"""The process ends without warning at every kind of fact, and at random inside commits; the oracle decides.

All kills hit one feed, one after the other, while mail arrives, comes late and changes.
"""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from connector.simulator import Fault
from tests.crash.site import BATCH, Site, site

# Where, at which occurrence, and what the API is made to do so that it comes to that.
POINTS: tuple[tuple[str, int, tuple[str | Fault, ...]], ...] = (
    ("JournalCommitting", 1, ()),
    ("JournalCommitted", 1, ()),
    ("SliceStarted", 2, ()),
    ("RequestAnswered", 2, ()),
    ("PageDecoded", 3, ()),
    ("JournalCommitting", 3, ()),
    ("JournalCommitted", 4, ()),
    ("PageCollected", 2, ()),
    ("SliceCollected", 1, ()),
    ("SearchContinued", 1, ("lost_cursor",)),
    ("SearchAborted", 1, (Fault("refused", status=403),)),
    ("RequestRetried", 1, ("server_error",)),
    ("SearchDeferred", 1, ("pending",)),
    ("RateLimited", 1, (Fault("rate_limited", retry_after=1),)),
    ("CollectionFailed", 1, (Fault("refused", status=403),)),
    ("CollectionRecovered", 1, (Fault("refused", status=403),)),
    ("RecordLate", 3, ()),
    ("RecordDisappeared", 2, ()),
    ("FeedCaughtUp", 2, ()),
    ("BatchSending", 1, ()),
    ("BatchSending", 3, ()),
    ("BatchSent", 2, ()),
    ("JournalAcknowledged", 1, ()),
    ("JournalAcknowledged", 3, ()),
    ("JournalTrimmed", 2, ()),
)
AT_RANDOM = 6


FEW = tuple(
    point
    for point in POINTS
    if point[:2] in {("JournalCommitting", 1), ("PageCollected", 2), ("BatchSent", 2)}
)
"""Before a commit, between two pages, between a send and its acknowledgement: what can be lost or doubled."""


def test_kills_around_a_commit_and_a_send_lose_nothing(tmp_path: Path) -> None:
    with site(tmp_path) as place:
        kill_at_each(place, FEW)
        place.finish()
        verdict = place.verdict()

    assert place.kills == len(FEW) == 3
    assert verdict.faults == {}
    assert 0 < verdict.repeats <= place.kills * BATCH


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_nothing_is_lost_and_repeats_are_what_was_in_flight(tmp_path: Path) -> None:
    chance = random.Random(20261122)
    with site(tmp_path) as place:
        kill_at_each(place, POINTS)
        for _ in range(AT_RANDOM):
            place.kill_at("JournalCommitting", chance.randrange(1, 6), chance.randrange(20, 8000))
        place.finish()
        verdict = place.verdict()

    assert place.kills == len(POINTS) + AT_RANDOM
    assert verdict.faults == {}
    assert 0 < verdict.repeats <= place.kills * BATCH


def kill_at_each(place: Site, points: tuple[tuple[str, int, tuple[str | Fault, ...]], ...]) -> None:
    """Start the daemon once per point and kill it there; the API misbehaves as the point says."""
    for kind, nth, faults in points:
        on = "next" if kind in {"SearchContinued", "SearchAborted"} else "search"
        place.simulator.behaviour.script(faults, on=on)
        place.kill_at(kind, nth)
