"""Facts about the journal and the disk it is on."""

from __future__ import annotations

from typing import ClassVar

from connector.facts.base import Fact, Level, fact
from connector.model import Feed, Gap


@fact
class JournalCommitting(Fact):
    """A collection transaction is about to be written."""

    event: ClassVar[str] = "journal_committing"

    feed: Feed
    revisions: int


@fact
class JournalCommitted(Fact):
    """A collection transaction is on disk."""

    event: ClassVar[str] = "journal_committed"

    feed: Feed
    revisions: int
    bytes: int
    seconds: float


@fact
class JournalAcknowledged(Fact):
    """The position of an output, and *dead* new dead letters, are on disk."""

    event: ClassVar[str] = "journal_acknowledged"

    output: str
    upto: int
    dead: int
    seconds: float


@fact
class JournalTrimmed(Fact):
    """Entries that every output has delivered were deleted."""

    event: ClassVar[str] = "journal_trimmed"

    entries: int
    bytes: int


@fact
class JournalWriteFailed(Fact):
    """The journal could not be written. The connector pauses and retries; nothing is lost."""

    event: ClassVar[str] = "journal_write_failed"
    level: ClassVar[Level] = "error"

    operation: str
    reason: str


@fact
class BacklogSkipped(Fact):
    """An output with `when_full: skip` reached its backlog limit and lost its oldest revisions."""

    event: ClassVar[str] = "backlog_skipped"
    level: ClassVar[Level] = "error"

    output: str
    revisions: int
    gap: Gap


@fact
class StateDiskMeasured(Fact):
    """Size of the state directory's file system, and how much of it the connector may still write."""

    event: ClassVar[str] = "state_disk_measured"

    free: int
    size: int


@fact
class JournalUnreachable(Fact):
    """The journal's database server cannot be reached. Everything waits for it; nothing is lost."""

    event: ClassVar[str] = "journal_unreachable"
    level: ClassVar[Level] = "error"

    reason: str


@fact
class JournalAvailable(Fact):
    """The journal's database server answers again, after *seconds*."""

    event: ClassVar[str] = "journal_available"
    level: ClassVar[Level] = "warning"

    seconds: float


@fact
class JournalServerChanged(Fact):
    """Another database server answers (failover, restore). What it did not have is collected again.

    *lost* revisions were journaled as far as this process knows, and are not there; *clamped* outputs had a
    position beyond the newest revision.
    """

    event: ClassVar[str] = "journal_server_changed"
    level: ClassVar[Level] = "warning"

    server: str
    timeline: str
    lost: int
    clamped: int
