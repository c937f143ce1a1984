"""The page of records that every benchmark reads: invented mail of the simulator, always the same."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from connector.model import Body, Feed, Record, Revision
from connector.simulator import Corpus, World
from connector.simulator.values import micros

ACCOUNT = "023e105f4ecef8ad9ca31a8372d0c353"
ACCOUNTS = {ACCOUNT: "prod"}
FEED = Feed(ACCOUNT, "detections")
COLLECTED = datetime(2026, 11, 18, 12, tzinfo=UTC)

_DAY = timedelta(days=1)


def page(records: int = 1000) -> bytes:
    """One answer's rows as JSON: a day of mail of every verdict, a few hostile ones among them."""
    world = World(Corpus(seed=1), clock=lambda: COLLECTED, backlog=records, span_of_backlog=_DAY)
    messages = world.between("scanned_at", micros(COLLECTED - _DAY), micros(COLLECTED))
    return b"[" + b",".join(world.renderer.render(message, 0, "current") for message in messages) + b"]"


def revision(body: Body) -> Revision:
    """*body* at first sight."""
    return Revision(FEED, Record(body["id"], body), "0" * 64, 1, COLLECTED)
