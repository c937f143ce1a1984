"""Kills daemons for as long as told, then lets the oracle decide: ``python -m tests.crash.soak SECONDS``.

Every kill comes at another place: at a fact, a moment after one (most often in the middle of a commit), or by
SIGKILL at any time. The API fails at random meanwhile. Exits with 1 when anything was lost or wrong.
"""

from __future__ import annotations

import logging
import random
import sys
import tempfile
import time
from pathlib import Path

from connector.simulator import Fault
from tests.crash.site import BATCH, Site, site

_KINDS = (
    "JournalCommitting", "JournalCommitted", "JournalAcknowledged", "JournalTrimmed",
    "BatchSending", "BatchSent", "SliceStarted", "SliceCollected",
    "PageCollected", "PageDecoded", "RequestAnswered", "RecordLate",
)  # fmt: skip
_RATES: dict[str | Fault, float] = {
    "server_error": 0.02, "reset": 0.02, "cut": 0.02, "cut_json": 0.02,
    "repeat_page": 0.03, "repeat_cursor": 0.02, "lost_cursor": 0.03, "empty_page": 0.02,
    "small_page": 0.03, "pending": 0.03,
    Fault("rate_limited", retry_after=1): 0.01,
}  # fmt: skip
_TOLD_EVERY = 25


def soak(seconds: float, seed: int) -> bool:
    """Kill for *seconds*; prints what came of it, and says whether all is well."""
    chance = random.Random(seed)
    with tempfile.TemporaryDirectory() as directory, site(Path(directory), rate=30) as place:
        place.simulator.behaviour.rates = _RATES
        began = time.monotonic()
        while time.monotonic() - began < seconds:
            _kill(place, chance)
            if place.kills % _TOLD_EVERY == 0:
                _say(f"{place.kills} kills in {time.monotonic() - began:.0f} s")
        place.finish()
        verdict = place.verdict()
        issued = len(place.simulator.ledger.issued())
        delivered = place.events.read_bytes().count(b"\n")
    bound = place.kills * BATCH
    _say(
        f"seed {seed}: {place.kills} kills, {issued} records issued, {delivered} events delivered, "
        f"{len(verdict.lost)} lost, {verdict.repeats} repeats (bound {bound})"
    )
    for kind, ids in verdict.faults.items():
        _say(f"{kind}: {', '.join(ids)}")
    return not verdict.faults and verdict.repeats <= bound


def _kill(place: Site, chance: random.Random) -> None:
    way = chance.random()
    if way < 0.4:
        place.kill_at(chance.choice(_KINDS), chance.randrange(1, 12))
    elif way < 0.8:
        place.kill_at("JournalCommitting", chance.randrange(1, 20), chance.randrange(10, 10_000))
    else:
        place.kill_after(chance.uniform(0.5, 6.0))


def _say(text: str) -> None:
    print(text, flush=True)  # noqa: T201, a command that reports


if __name__ == "__main__":
    # The simulator's server complains of every client that dies; here that is all of them.
    logging.getLogger("uvicorn.error").setLevel(logging.CRITICAL)
    sys.exit(
        0
        if soak(float(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else random.randrange(10**6))
        else 1
    )
