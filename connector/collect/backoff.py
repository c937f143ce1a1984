"""Backoff after a failed sweep: by the class of the error, with a minimum and a maximum."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable

from connector.broadcast import Broadcast
from connector.errors import BadQuery, Denied, SourceError, Unavailable
from connector.facts import CollectionFailed, CollectionRecovered
from connector.interfaces import Observe
from connector.model import Feed
from connector.net.backoff import full_jitter

_OUTAGE = (1.0, 60.0)
"""First and longest wait in seconds while the API cannot answer: it recovers by itself, mostly within
minutes."""

_CREDENTIALS = (5.0, 120.0)
"""The same while the credentials are refused: an operator has to act, and wants to see the effect within two
minutes."""

_REFUSED = (10.0, 300.0)
"""The same while the request itself is refused: it may never succeed, and costs budget each time."""

_LONGEST_ASKED = 3600.0
"""Longest wait in seconds that the API may ask for: a wrong unit in ``Retry-After`` must not stop a feed for
a year."""


class FailureBackoff:
    """Counts failures of one sweep, reports them and waits."""

    def __init__(
        self,
        feed: Feed,
        sweep: str,
        observe: Observe,
        refresh: Callable[[], bool],
        resumed: Broadcast,
    ) -> None:
        """*refresh* reads rotated secrets of the account again; *resumed* ends a wait early."""
        self._resumed = resumed
        self._feed = feed
        self._sweep = sweep
        self._observe = observe
        self._refresh = refresh
        self._attempts = 0

    async def wait(self, error: SourceError) -> None:
        """Report *error* and wait before the next attempt."""
        self._attempts += 1
        after = self._wait(error)
        self._observe(
            CollectionFailed(self._feed, self._sweep, error.kind, str(error), self._attempts, after)
        )
        clock = asyncio.get_running_loop().time
        await self._resumed.wait(clock() + after)
        if isinstance(error, Denied):
            self._refresh()

    def reset(self) -> None:
        """Start with short waits again: the sweep made progress since the last failure."""
        self._attempts = 0

    def succeeded(self) -> None:
        """Forget the failures, and report the first success after some."""
        if self._attempts:
            self._observe(CollectionRecovered(self._feed, self._sweep, self._attempts))
            self._attempts = 0

    def _wait(self, error: SourceError) -> float:
        base, cap = _OUTAGE
        if isinstance(error, Denied):
            base, cap = _CREDENTIALS
        elif isinstance(error, BadQuery):
            base, cap = _REFUSED
        wait = base / 2 + full_jitter(self._attempts, base=base, cap=cap, random=random.random)
        asked = error.after if isinstance(error, Unavailable) and error.after else 0.0
        return max(wait, min(asked, _LONGEST_ASKED))
