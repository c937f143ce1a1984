"""Searches that take too long: 202 with a place to poll."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import Final

from connector.simulator.exchange import Ask
from connector.simulator.values import mix

_MOST: Final = 1_000


@dataclass(slots=True)
class Job:
    """A slow search: who asked what, and for how many more looks it is pending (``None``: for ever)."""

    token: str
    ask: Ask
    left: int | None
    begun: int
    expires: int

    @property
    def done(self) -> bool:
        """Tell whether the results were ready at the last look."""
        return self.left is not None and self.left < 0

    def look(self) -> bool:
        """Count one look; tell whether it is still pending."""
        if self.left is None:
            return True
        self.left = max(self.left - 1, -1)
        return not self.done


class Jobs:
    """All slow searches; asking the same again finds the same job."""

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._count = 0
        self._jobs: OrderedDict[str, Job] = OrderedDict()
        self._by_search: dict[str, str] = {}

    def begin(
        self, search: str, ask: Ask, polls: int | None, now: int, lifetime: int, *, again: bool
    ) -> tuple[Job, bool]:
        """Return the job of *search*, and whether it is new; *again* starts anew when it is done."""
        known = self.find(self._by_search.get(search, ""), now)
        if known is not None and not (again and known.done):
            return known, False
        self._count += 1
        token = f"{mix(self._seed, self._count):016x}"
        job = Job(token, ask, polls, now, now + lifetime)
        self._jobs[token] = job
        self._by_search[search] = token
        if len(self._jobs) > _MOST:
            old, _ = self._jobs.popitem(last=False)
            self._by_search = {name: one for name, one in self._by_search.items() if one != old}
        return job, True

    def find(self, token: str, now: int) -> Job | None:
        """Return the job of *token*, unless it is unknown or its results are gone."""
        job = self._jobs.get(token)
        return job if job and now < job.expires else None
