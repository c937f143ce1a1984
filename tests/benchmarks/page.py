"""The page of records that benchmarks in one process read: always the same."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from connector.model import Body, Feed, Record, Revision
from tests.benchmarks.corpus import records

ACCOUNT = "023e105f4ecef8ad9ca31a8372d0c353"
ACCOUNTS = {ACCOUNT: "prod"}
FEED = Feed(ACCOUNT, "detections")
COLLECTED = datetime(2026, 11, 18, 12, tzinfo=UTC)

_DAY = timedelta(days=1)


def page(size: int = 1000) -> bytes:
    """One answer's rows as JSON: a day of mail of every verdict, a few hostile ones among them."""
    return pages(1, size)[0]


def pages(count: int, size: int) -> list[bytes]:
    """So many pages of *size* records whose addresses all differ."""
    return [
        b"[" + b",".join(row for _, row in records(size, _DAY, end=COLLECTED, first=number * size)) + b"]"
        for number in range(count)
    ]


def revision(body: Body) -> Revision:
    """*body* at first sight."""
    return Revision(FEED, Record(body["id"], body), "0" * 64, 1, COLLECTED)
