"""Which ids a walk returned, in eight bytes each: a slice of a busy hour has hundreds of thousands."""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Iterable


class Ids:
    """What ids hash to; asked only after all were added, and most walks are never asked."""

    def __init__(self, ids: Iterable[str] = ()) -> None:
        self._hashes = array("q")
        self._sorted = True
        self.add(ids)

    def add(self, ids: Iterable[str]) -> None:
        """Take *ids* in, in any order."""
        self._hashes.extend(map(hash, ids))
        self._sorted = False

    def __contains__(self, one: object) -> bool:
        if not self._sorted:
            self._hashes = array("q", sorted(self._hashes))
            self._sorted = True
        wanted = hash(one)
        at = bisect_left(self._hashes, wanted)
        return at < len(self._hashes) and self._hashes[at] == wanted
