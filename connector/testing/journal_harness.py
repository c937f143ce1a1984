"""Helpers of the journal conformance suite: sample records, and assertions on results."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import TypeAlias

from connector.errors import ConnectorError
from connector.interfaces import Journal, OutputLog
from connector.model import Body, Commit, DeadLetter, Entry, Feed, Record, Revision, Seen, Step

Open: TypeAlias = Callable[[], contextlib.AbstractAsyncContextManager[Journal]]
Check: TypeAlias = Callable[[Open], Awaitable[None]]

FEED = Feed("account", "search")
START = datetime(2026, 1, 1, 12, tzinfo=UTC)
WAIT = 10.0
"""Seconds that anything may take: not a measure of speed, but the end of a test that hangs."""

MINUTE = timedelta(minutes=1)

HOSTILE: Sequence[Body] = (
    {"subject": "lone \ud800 surrogate \udfff"},
    {"huge": 2**80, "negative": -(2**70), "float": 1e300, "small": 5e-324},
    {"nul": "a\x00b", "line": "\u2028\r\n", "key \U0001f600": "\U0001f600"},
    {"empty": {}, "list": [], "null": None, "mixed": [1, "1", True, None, {"deep": [[[["x"]]]]}]},
)
"""Bodies that a journal gives back exactly."""


class JournalViolation(AssertionError):
    """The journal broke its contract."""


def revision(name: str, body: Body | None = None) -> Revision:
    """First sight of the record *name*."""
    return Revision(FEED, Record(name, {"id": name} if body is None else body), f"{1:064x}", 1, START)


def seen_row(name: str, at: datetime = START, until: datetime = START + MINUTE, **state: object) -> Seen:
    """What is remembered of the record *name*."""
    digest = f"{len(state):064x}"
    return Seen(name, at, state, digest, {digest: 1}, 1, until)


def commit_of(*names: str, step: Step | None = None) -> Commit:
    """First sight of the records *names*."""
    return Commit(FEED, "print", tuple(map(revision, names)), tuple(map(seen_row, names)), step)


def letter(output: str, sequence: int, dead: Revision) -> DeadLetter:
    """A dead letter of *output*."""
    return DeadLetter(output, sequence, dead, "refused", "no \u00fc", 3, START, START + MINUTE)


def expect(got: object, wanted: object, what: str) -> None:
    """Raise ``JournalViolation`` unless *got* equals *wanted*."""
    if got != wanted:
        raise JournalViolation(f"{what}: expected {wanted!r}, got {got!r}")


async def expect_error(kind: type[ConnectorError], operation: Awaitable[object], what: str) -> ConnectorError:
    """Raise ``JournalViolation`` unless *operation* raises *kind*; returns the error."""
    try:
        await operation
    except kind as error:
        return error
    raise JournalViolation(f"{what}: {kind.__name__} was not raised")


async def expect_gap(journal: OutputLog, output: str) -> None:
    """Raise ``JournalViolation`` unless *output* has a gap that holds the time of the records here."""
    gap = await journal.skipped(output)
    if gap is None or START not in gap.window:
        raise JournalViolation(f"the gap does not hold the time of the records that {output} lost: {gap}")


async def next_entry(journal: OutputLog, output: str, after: int) -> Entry:
    """What *output* reads after *after*, within a time that is long enough."""
    async with asyncio.timeout(WAIT):
        return await journal.read(output, after)


def names_of(entry: Entry) -> list[str]:
    """The records of *entry*, in order."""
    return [one.record.id for one in entry.revisions]
