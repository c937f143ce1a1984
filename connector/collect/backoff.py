"""How long a feed waits after a failure: by what the error says, never for ever, never not at all."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable

from connector.errors import BadQuery, Denied, SourceError, Unavailable
from connector.facts import CollectionFailed, CollectionRecovered
from connector.interfaces import Observe
from connector.model import Feed
from connector.net.backoff import full_jitter

_QUICK = (1.0, 60.0)
_PERSON = (5.0, 120.0)
_REFUSED = (10.0, 300.0)
"""First and longest wait in seconds: what heals itself, what a person heals, what may never heal."""


class FailureBackoff:
    """Counts failures of one sweep, reports them and waits."""

    def __init__(self, feed: Feed, sweep: str, observe: Observe, refresh: Callable[[], bool]) -> None:
        """*refresh* reads the account's secrets again; a rotated token heals by itself."""
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
        await asyncio.sleep(after)
        if isinstance(error, Denied):
            self._refresh()

    def reset(self) -> None:
        """Begin with short waits again: since the last failure something was done."""
        self._attempts = 0

    def succeeded(self) -> None:
        """Forget the failures; the first success after some is reported."""
        if self._attempts:
            self._observe(CollectionRecovered(self._feed, self._sweep, self._attempts))
            self._attempts = 0

    def _wait(self, error: SourceError) -> float:
        base, cap = _QUICK
        if isinstance(error, Denied):
            base, cap = _PERSON
        elif isinstance(error, BadQuery):
            base, cap = _REFUSED
        wait = base / 2 + full_jitter(self._attempts, base=base, cap=cap, random=random.random)
        asked = error.after if isinstance(error, Unavailable) and error.after else 0.0
        return max(wait, asked)
