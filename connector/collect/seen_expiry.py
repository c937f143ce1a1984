"""Deletes seen rows that no sweep needs any longer.

A seen row is needed as long as some sweep may read its time again: the slowest sweep decides, not a clock.
Audits, backfills and gap repairs read older time and say so by implementing ``NeedsSeenRows``.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Protocol

from connector.collect.checkpoints import Checkpoints
from connector.collect.revisions import SLACK
from connector.collect.windows import passed_by_every_sweep

_EVERY = 300.0
"""Seconds between two rounds: rows live for hours at least, so five minutes more do not matter."""


class NeedsSeenRows(Protocol):
    """A sweep that reads time which the regular sweeps have passed."""

    def still_needed(self) -> Iterable[datetime]:
        """Return times from which on seen rows must stay."""
        ...


class SeenExpiry:
    """Expires the seen rows of one feed."""

    def __init__(self, checkpoints: Checkpoints, sweeps: Iterable[str], overlap: timedelta) -> None:
        """*sweeps* are the names of the regular sweeps: rows stay until each has passed them."""
        self._checkpoints = checkpoints
        self._sweeps = tuple(sweeps)
        self._overlap = overlap
        self._needed_by: list[NeedsSeenRows] = []
        self._last = float("-inf")

    def keep_for(self, sweep: NeedsSeenRows) -> None:
        """Keep what *sweep* needs, too."""
        self._needed_by.append(sweep)

    async def expire_when_due(self) -> None:
        """Delete what is no longer needed, unless that was done a moment ago."""
        time = asyncio.get_running_loop().time()
        if time - self._last < _EVERY:
            return
        self._last = time
        await self.expire()

    async def expire(self) -> None:
        """Delete what is no longer needed; nothing while a sweep has not started yet."""
        reached = [self._checkpoints.get(name) for name in self._sweeps]
        started = [checkpoint for checkpoint in reached if checkpoint is not None]
        if len(started) < len(reached):
            return
        passed = passed_by_every_sweep(started, self._overlap)
        if passed is not None:
            needed = [moment for sweep in self._needed_by for moment in sweep.still_needed()]
            await self._checkpoints.expire(min((passed, *needed)) - SLACK)
