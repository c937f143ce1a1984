"""Deferred searches: answered 202 with a ``Location`` to poll."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import Final

from connector.simulator.exchange import SimulatedRequest
from connector.simulator.values import mix

_MOST: Final = 1_000
"""Deferred searches that are remembered; the bound is for memory."""


@dataclass(slots=True)
class DeferredSearch:
    """A deferred search; *left* is the number of polls that still answer "pending" (``None``: for ever)."""

    token: str
    ask: SimulatedRequest
    left: int | None
    begun: int
    expires: int

    @property
    def done(self) -> bool:
        """Whether the results were ready at the last poll."""
        return self.left is not None and self.left < 0

    def look(self) -> bool:
        """Count one poll; returns whether the search is still pending."""
        if self.left is None:
            return True
        self.left = max(self.left - 1, -1)
        return not self.done


class DeferredResults:
    """All deferred searches; repeating a search returns the same one."""

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._count = 0
        self._deferred: OrderedDict[str, DeferredSearch] = OrderedDict()
        self._by_search: dict[str, str] = {}

    def begin(
        self, search: str, ask: SimulatedRequest, polls: int | None, now: int, lifetime: int, *, again: bool
    ) -> tuple[DeferredSearch, bool]:
        """Return the job of *search*, and whether it is new; *again* starts anew when it is done."""
        known = self.find(self._by_search.get(search, ""), now)
        if known is not None and not (again and known.done):
            return known, False
        self._count += 1
        token = f"{mix(self._seed, self._count):016x}"
        deferred = DeferredSearch(token, ask, polls, now, now + lifetime)
        self._deferred[token] = deferred
        self._by_search[search] = token
        if len(self._deferred) > _MOST:
            old, _ = self._deferred.popitem(last=False)
            self._by_search = {name: token for name, token in self._by_search.items() if token != old}
        return deferred, True

    def find(self, token: str, now: int) -> DeferredSearch | None:
        """Return the job of *token*, unless it is unknown or its results have expired."""
        deferred = self._deferred.get(token)
        return deferred if deferred and now < deferred.expires else None
