"""The process ends without warning at every kind of fact, and at random inside commits; the oracle decides.

All kills hit one feed, one after the other, while mail arrives, comes late and changes.
"""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from connector.simulator import Fault
from tests.crash.site import BATCH, site

# Where, at which occurrence, and what the API is made to do so that it comes to that.
POINTS: tuple[tuple[str, int, tuple[str | Fault, ...]], ...] = (
    ("JournalCommitting", 1, ()),
    ("JournalCommitted", 1, ()),
    ("SliceBegun", 2, ()),
    ("RequestAnswered", 2, ()),
    ("PageDecoded", 3, ()),
    ("JournalCommitting", 3, ()),
    ("JournalCommitted", 4, ()),
    ("PageCollected", 2, ()),
    ("SliceCollected", 1, ()),
    ("SliceHalved", 1, ("lost_cursor",)),
    ("WalkEnded", 1, ("lost_cursor",)),
    ("RequestRetried", 1, ("server_error",)),
    ("SearchPending", 1, ("pending",)),
    ("RateLimited", 1, (Fault("rate_limited", retry_after=1),)),
    ("CollectionFailed", 1, (Fault("refused", status=403),)),
    ("CollectionRecovered", 1, (Fault("refused", status=403),)),
    ("RecordLate", 3, ()),
    ("RecordLeft", 2, ()),
    ("FeedCaughtUp", 2, ()),
    ("BatchSending", 1, ()),
    ("BatchSending", 3, ()),
    ("BatchSent", 2, ()),
    ("JournalAcknowledged", 1, ()),
    ("JournalAcknowledged", 3, ()),
    ("JournalTrimmed", 2, ()),
)
AT_RANDOM = 6


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_nothing_is_lost_and_repeats_are_what_was_in_flight(tmp_path: Path) -> None:
    chance = random.Random(20261122)
    with site(tmp_path) as place:
        for kind, nth, faults in POINTS:
            on = "next" if "lost_cursor" in faults else "search"
            place.simulator.behaviour.script(faults, on=on)
            place.kill_at(kind, nth)
        for _ in range(AT_RANDOM):
            place.kill_at("JournalCommitting", chance.randrange(1, 6), chance.randrange(20, 8000))
        place.finish()
        verdict = place.verdict()

    assert place.kills == len(POINTS) + AT_RANDOM
    assert verdict.faults == {}
    assert 0 < verdict.repeats <= place.kills * BATCH
