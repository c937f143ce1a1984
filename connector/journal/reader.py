"""Reads the next entry for an output: finds, unpacks and caches it, and cuts it to the position."""

from __future__ import annotations

import sqlite3
from bisect import bisect_right, insort
from collections import OrderedDict
from collections.abc import Callable, Sequence

from connector.journal.codec import UNREADABLE, from_blob
from connector.journal.database import Database
from connector.journal.entries import NewEntry, entry_after
from connector.journal.integrity import damaged
from connector.model import Entry, Revision


class EntryCache:
    """Entries by position, at most *most* bytes of JSON, the least recently used going first.

    PostgreSQL's journal relies on that. :class:`Reader`, which drops what no output will read soon, asks for
    room first.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._bytes = 0
        self._entries: OrderedDict[int, tuple[Entry, int]] = OrderedDict()
        self._firsts: list[int] = []

    def find(self, sequence: int) -> Entry | None:
        """The whole entry that holds *sequence*, if it is here."""
        at = bisect_right(self._firsts, sequence) - 1
        if at < 0:
            return None
        first = self._firsts[at]
        entry, _ = self._entries[first]
        if entry.last < sequence:
            return None
        self._entries.move_to_end(first)
        return entry

    def put(self, entry: Entry, size: int) -> None:
        """Keep *entry*, which took *size* bytes; one that is larger than the whole cache is not kept."""
        if entry.first in self._entries or size > self._most:
            return
        self._entries[entry.first] = (entry, size)
        insort(self._firsts, entry.first)
        self._bytes += size
        while self._bytes > self._most:
            self._drop(next(iter(self._entries)))

    def has_room(self, size: int) -> bool:
        """Whether an entry of *size* bytes pushes none out."""
        return self._bytes + size <= self._most

    def keep(self, wanted: Callable[[Entry], bool]) -> None:
        """Drop the entries that are not *wanted*."""
        for first in [first for first, (entry, _) in self._entries.items() if not wanted(entry)]:
            self._drop(first)

    def trim(self, floor: int) -> None:
        """Drop the entries up to *floor*."""
        while self._firsts and self._firsts[0] <= floor:
            self._drop(self._firsts[0])

    def clear(self) -> None:
        """Drop everything."""
        self._entries.clear()
        self._firsts.clear()
        self._bytes = 0

    def _drop(self, first: int) -> None:
        _, size = self._entries.pop(first)
        self._bytes -= size
        del self._firsts[bisect_right(self._firsts, first) - 1]


NEAR = 2000
"""Distance in revisions within which a following output still profits from a cached entry."""


class Reader:
    """Reads entries through a cache, which belongs to the main loop: what is there needs no other thread.

    An entry is kept only as long as some output will ask for it soon: because it follows closely what is
    written, or comes shortly behind another that has read it. A full cache keeps what it has and refuses the
    new entry, for outputs read in order and will ask for that one last.
    """

    def __init__(self, database: Database, cache: int) -> None:
        self._database = database
        self._cache = EntryCache(cache)
        self._reached: dict[str, int] = {}

    def begin(self, output: str, position: int) -> None:
        """*output* will ask for what follows *position*."""
        self._reached[output] = position

    async def next(self, output: str, after: int) -> Entry | None:
        """The next retained entry for *output*, without the revisions up to *after*.

        Raises ``JournalDamaged`` for a damaged one.
        """
        entry, size = self._cache.find(after + 1), 0
        if entry is None:
            entry, size = await self._database.read(lambda connection: self._load(connection, after))
        self._reached[output] = entry.last if entry else after
        if entry is not None and size:
            self._keep(entry, size)
        self._cache.keep(self._is_wanted)
        if entry is None or entry.first > after:
            return entry
        return Entry(after + 1, entry.revisions[after + 1 - entry.first :], entry.only)

    def adopt(self, first: int, new_entries: Sequence[NewEntry], revisions: Sequence[Revision]) -> None:
        """Keep what was written, from sequence number *first* on, so that it need not be decoded."""
        start = 0
        for new_entry in new_entries:
            part = tuple(revisions[start : start + new_entry.blob.count])
            if not new_entry.blob.tolerant:
                self._keep(Entry(first + start, part, new_entry.only), new_entry.blob.raw)
            start += new_entry.blob.count

    def trim(self, floor: int) -> None:
        """Drop what is cached up to *floor*."""
        self._cache.trim(floor)

    def forget(self, output: str) -> None:
        """*output* will not ask for a while."""
        self._reached.pop(output, None)
        self._cache.keep(self._is_wanted)

    def _keep(self, entry: Entry, size: int) -> None:
        if self._is_wanted(entry) and self._cache.has_room(size):
            self._cache.put(entry, size)

    def _is_wanted(self, entry: Entry) -> bool:
        """Whether an output is still to read *entry*, and is near to the next one that has."""
        reached = self._reached.values()
        ahead = min((position for position in reached if position >= entry.last), default=entry.first)
        return any(ahead - NEAR <= position < entry.last for position in reached)

    def _load(self, connection: sqlite3.Connection, after: int) -> tuple[Entry | None, int]:
        stored = entry_after(connection, after)
        if stored is None:
            return None, 0
        try:
            revisions, size = from_blob(stored.body, tolerant=stored.tolerant)
        except UNREADABLE as error:
            what = f"the entry of revisions {stored.first} to {stored.last} cannot be decoded: {error}"
            raise damaged(self._database.path, what) from error
        return Entry(stored.first, revisions, stored.only), size
