"""Which ids a walk returned, in eight bytes each: a slice of a busy hour has hundreds of thousands."""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Iterable
from heapq import merge


class Ids:
    """What ids hash to. They are put in order when they are first asked for: most walks never are."""

    def __init__(self) -> None:
        self._runs: list[array[int]] = []

    def add(self, ids: Iterable[str]) -> None:
        """Take the *ids* of a page in."""
        self._runs.append(array("q", sorted(map(hash, ids))))

    def __contains__(self, one: object) -> bool:
        if len(self._runs) != 1:
            self._runs = [array("q", merge(*self._runs))]
        wanted, hashes = hash(one), self._runs[0]
        at = bisect_left(hashes, wanted)
        return at < len(hashes) and hashes[at] == wanted
