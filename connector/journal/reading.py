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


class Reader:
    """Reads entries through a cache. It belongs to the journal's thread."""

    def __init__(self, path: Path, cache: int) -> None:
        self._path = path
        self._cache = EntryCache(cache)

    def next(self, connection: sqlite3.Connection, after: int) -> Entry | None:
        """The next retained entry, without the revisions up to *after*.

        Raises ``JournalBroken`` for a damaged one.
        """
        entry = self._cache.find(after + 1) or self._load(connection, after)
        if entry is None or entry.first > after:
            return entry
        return Entry(after + 1, entry.revisions[after + 1 - entry.first :], entry.only)

    def adopt(self, first: int, stretches: Sequence[Stretch], revisions: Sequence[Revision]) -> None:
        """Keep what is being written, from sequence number *first* on, so that nobody has to decode it."""
        start = 0
        for stretch in stretches:
            part = tuple(revisions[start : start + stretch.blob.count])
            if not stretch.blob.tolerant:
                self._cache.put(Entry(first + start, part, stretch.only), stretch.blob.raw)
            start += stretch.blob.count

    def trim(self, floor: int) -> None:
        """Drop what is cached up to *floor*."""
        self._cache.trim(floor)

    def clear(self) -> None:
        """Drop everything cached: after a rollback it may hold what does not exist."""
        self._cache.clear()

    def _load(self, connection: sqlite3.Connection, after: int) -> Entry | None:
        stored = entry_after(connection, after)
        if stored is None:
            return None
        try:
            revisions, size = from_blob(stored.body, tolerant=stored.tolerant)
        except ValueError as error:
            what = f"the entry of revisions {stored.first} to {stored.last} cannot be decoded: {error}"
            raise broken(self._path, what) from error
        entry = Entry(stored.first, revisions, stored.only)
        self._cache.put(entry, size)
        return entry
