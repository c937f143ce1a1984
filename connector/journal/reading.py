"""Finds, decodes and cuts the entry that an output has to read next."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from pathlib import Path

from connector.journal.cache import EntryCache
from connector.journal.codec import from_blob
from connector.journal.ledger import Stretch, entry_after
from connector.journal.sqlite import broken
from connector.model import Entry, Revision

_SOON = 2000
"""Revisions within which an output that comes behind will want an entry; decoded, one takes 8 kB."""


class Reader:
    """Reads entries through a cache. It belongs to the journal's thread.

    Decoded entries are large. One is kept only where some output will ask for it soon: what is written, as
    long as an output follows closely, and what one output reads, where another comes shortly behind it.
    """

    def __init__(self, path: Path, cache: int) -> None:
        self._path = path
        self._cache = EntryCache(cache)
        self._asked: dict[str, int] = {}

    def next(self, connection: sqlite3.Connection, output: str, after: int) -> Entry | None:
        """The next retained entry for *output*, without the revisions up to *after*.

        Raises ``JournalBroken`` for a damaged one.
        """
        self._asked[output] = after
        entry = self._cache.find(after + 1) or self._load(connection, output, after)
        if entry is None or entry.first > after:
            return entry
        return Entry(after + 1, entry.revisions[after + 1 - entry.first :], entry.only)

    def adopt(self, first: int, stretches: Sequence[Stretch], revisions: Sequence[Revision]) -> None:
        """Keep what is being written, from sequence number *first* on, so that nobody has to decode it."""
        start = 0
        for stretch in stretches:
            part = tuple(revisions[start : start + stretch.blob.count])
            if not stretch.blob.tolerant and self._is_followed(first + start):
                self._cache.put(Entry(first + start, part, stretch.only), stretch.blob.raw)
            start += stretch.blob.count

    def trim(self, floor: int) -> None:
        """Drop what is cached up to *floor*."""
        self._cache.trim(floor)

    def clear(self) -> None:
        """Drop everything cached: after a rollback it may hold what does not exist."""
        self._cache.clear()

    def forget(self, output: str) -> None:
        """*output* will not ask for a while."""
        self._asked.pop(output, None)

    def _is_followed(self, first: int) -> bool:
        """Whether an output will soon ask for the newest entry, which begins at *first*."""
        return not self._asked or max(self._asked.values()) >= first - _SOON

    def _is_shared(self, entry: Entry, reader: str) -> bool:
        """Whether another output than *reader* comes shortly behind."""
        return any(
            entry.first - _SOON <= after < entry.last
            for output, after in self._asked.items()
            if output != reader
        )

    def _load(self, connection: sqlite3.Connection, output: str, after: int) -> Entry | None:
        stored = entry_after(connection, after)
        if stored is None:
            return None
        try:
            revisions, size = from_blob(stored.body, tolerant=stored.tolerant)
        except ValueError as error:
            what = f"the entry of revisions {stored.first} to {stored.last} cannot be decoded: {error}"
            raise broken(self._path, what) from error
        entry = Entry(stored.first, revisions, stored.only)
        if self._is_shared(entry, output):
            self._cache.put(entry, size)
        return entry
