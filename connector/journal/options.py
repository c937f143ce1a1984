"""Options of the journal (retention, limits), and the versions of schema, SQLite and compression."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

from connector.values import dataclass


@dataclass(frozen=True, slots=True)
class JournalOptions:
    """How the journal keeps its data.

    Args:
        retain: how long entries stay after every output is done with them, for ``rewind``.
        ballast: bytes kept free for acknowledgements when the disk is full; under 8 MiB they may stop.
        cache: bytes of JSON of entries in memory, for outputs that read them soon.
        emitted_for: how long an output remembers which revision of a record it emitted first; a record
            that changes later than this counts as new again.
        entry_revisions: most revisions of one entry; larger commits become several.
        entry_bytes: about the most JSON of one entry.
    """

    retain: timedelta = timedelta(0)
    ballast: int = 8 << 20
    cache: int = 2 << 20
    emitted_for: timedelta = timedelta(days=90)
    entry_revisions: int = 125
    entry_bytes: int = 4 << 20


@dataclass(frozen=True, slots=True)
class JournalInfo:
    """What the journal is made of, for status pages and bug reports."""

    path: Path
    schema: int
    sqlite: str
    compression: str
