"""The entries decoded last, so that several outputs near the head share the work."""

from __future__ import annotations

from bisect import bisect_right, insort
from collections import OrderedDict
from collections.abc import Callable

from connector.model import Entry


class EntryCache:
    """Entries by position, at most *most* bytes of JSON, the least recently used going first.

    It belongs to the journal's thread; nobody else touches it.
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
