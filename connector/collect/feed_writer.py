"""Writes to the journal for one feed, and pauses collection while the journal is full (backpressure)."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from functools import partial

from connector.errors import JournalFull
from connector.facts import CollectionPaused
from connector.interfaces import FeedLog, Observe
from connector.model import Commit, Feed, Quarantined, Revision, Seen, Step
from connector.net.backoff import full_jitter

_LEAST = 0.5
_BASE, _CAP = 0.5, 15.0
"""Seconds between two attempts while the journal is full. After an operator has freed space, collection
resumes within 15 seconds; a journal that is full only for a moment costs half a second."""


class FeedWriter:
    """The one way by which the sweeps of a feed write to the journal.

    *generation* is the feed's, as last read; ``Checkpoints`` keeps it. See ``model.Progress``.
    """

    def __init__(self, feed: Feed, fingerprint: str, log: FeedLog, *, observe: Observe) -> None:
        self.feed = feed
        self.generation: int | None = None
        self._fingerprint = fingerprint
        self._log = log
        self._observe = observe

    async def commit(
        self,
        *,
        generation: int | None,
        revisions: tuple[Revision, ...] = (),
        seen: tuple[Seen, ...] = (),
        step: Step | None = None,
        key_value: tuple[str, str] | None = None,
        quarantined: tuple[Quarantined, ...] = (),
        notes: tuple[tuple[str, str | None], ...] = (),
    ) -> None:
        """Store all of it in one transaction, waiting for room as long as it takes.

        *generation* is what :attr:`generation` was when the compared data was read. Raises ``Moved``.
        """
        commit = Commit(
            self.feed, self._fingerprint, revisions, seen, step, key_value, generation, quarantined, notes
        )
        await self.when_room(partial(self._log.commit, commit))

    async def when_room(self, write: Callable[[], Awaitable[None]]) -> None:
        """Do *write*, waiting for room in the journal as long as it takes."""
        attempt = 0
        while True:
            try:
                await write()
            except JournalFull as full:
                attempt += 1
                self._observe(CollectionPaused(self.feed, str(full), full.outputs))
                await asyncio.sleep(_LEAST + full_jitter(attempt, base=_BASE, cap=_CAP, random=random.random))
            else:
                return
