"""Facts: what the journal did."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from connector.model import Feed, Gap


@dataclass(frozen=True, slots=True)
class JournalCommitted:
    """A collection transaction is durable."""

    feed: Feed
    revisions: int
    bytes: int
    seconds: float


@dataclass(frozen=True, slots=True)
class JournalCommitting:
    """A collection transaction is about to be written."""

    feed: Feed
    revisions: int


@dataclass(frozen=True, slots=True)
class JournalAcknowledged:
    """An output's position is durable."""

    output: str
    upto: int
    dead: int
    seconds: float


@dataclass(frozen=True, slots=True)
class JournalTrimmed:
    """Entries that every output is done with were deleted."""

    entries: int
    bytes: int


@dataclass(frozen=True, slots=True)
class JournalWriteFailed:
    """The database could not be written: *reason* in words."""

    operation: str
    reason: str


@dataclass(frozen=True, slots=True)
class BacklogSkipped:
    """An output over its limit with ``when_full: skip`` lost its oldest revisions."""

    output: str
    revisions: int
    gap: Gap


@dataclass(frozen=True, slots=True)
class StateDiskMeasured:
    """The file system of the state directory: bytes that this process may still write, and all of it."""

    free: int
    size: int


JournalFact: TypeAlias = (
    JournalCommitted
    | JournalCommitting
    | JournalAcknowledged
    | JournalTrimmed
    | JournalWriteFailed
    | BacklogSkipped
    | StateDiskMeasured
)
