"""Asks for gaps again, for a day after they were recorded: a refusal may have been a mistake of the API.

The newest end comes first, which is the likeliest to be there. What is read is a gap no more; what is refused
again costs one request per attempt.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from connector.collect.checkpoints import Checkpoints
from connector.collect.gaps import is_due, is_retried
from connector.collect.ingest import Slice, SliceResult
from connector.collect.slices import SliceReader
from connector.collect.sweeper import Sweeper
from connector.errors import BadQuery
from connector.interfaces import Clock
from connector.model import Gap, Priority, Window

REPAIR = "repair"
"""The name of the sweep."""


class GapRepair:
    """Repairs the gaps of one feed; see the module."""

    def __init__(
        self,
        reader: SliceReader,
        sweeper: Sweeper,
        checkpoints: Checkpoints,
        *,
        now: Clock,
    ) -> None:
        self._reader = reader
        self._sweeper = sweeper
        self._checkpoints = checkpoints
        self._now = now

    def still_needed(self) -> list[datetime]:
        """From when on what was seen is still needed: a gap that is read in two attempts is told once."""
        now = self._now()
        return [gap.window.start for gap in self._checkpoints.gaps if is_retried(gap, now)]

    async def walk(self) -> bool:
        """Ask for every gap that is due, newest first; says whether there was any."""
        now = self._now()
        due = [gap for gap in self._checkpoints.gaps if is_due(gap, now)]
        for gap in reversed(due):
            await self._repair(gap)
        return bool(due)

    async def _repair(self, gap: Gap) -> None:
        while gap in self._checkpoints.gaps:
            part = self._reader.sizing.last_slice(REPAIR, gap.window)
            query, began = self._reader.query(Priority.BACKFILL), self._now()
            try:
                walked = await self._reader.walk(Slice(REPAIR, part, None, query))
            except BadQuery:
                return
            if not isinstance(walked, SliceResult):
                continue
            await self._sweeper.read_late(part, walked, began)
            await self._checkpoints.repaired(part)
            gap = replace(gap, window=Window(gap.window.start, part.start))
