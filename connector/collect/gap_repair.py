"""Retries gaps for a day after they were recorded: the API may have refused them by mistake.

The newest end comes first, because it is the most likely to be retained. What is read leaves the gap; a
range that is refused again costs one request per attempt.
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
    """Repairs the gaps of one feed."""

    def __init__(
        self, reader: SliceReader, sweeper: Sweeper, checkpoints: Checkpoints, *, now: Clock
    ) -> None:
        self._reader = reader
        self._sweeper = sweeper
        self._checkpoints = checkpoints
        self._now = now

    def still_needed(self) -> list[datetime]:
        """From when on seen rows must stay: a gap read in two attempts must not be delivered twice."""
        now = self._now()
        return [gap.window.start for gap in self._checkpoints.gaps if is_retried(gap, now)]

    async def run_due(self) -> bool:
        """Read every gap that is due, newest first; returns whether there was any."""
        now = self._now()
        due = [gap for gap in self._checkpoints.gaps if is_due(gap, now)]
        for gap in reversed(due):
            await self._repair(gap)
        return bool(due)

    async def _repair(self, gap: Gap) -> None:
        while gap in self._checkpoints.gaps:
            part = await self._reader.last_slice(REPAIR, gap.window)
            query = self._reader.query(Priority.BACKFILL)
            try:
                result = await self._reader.read(Slice(REPAIR, part, None, query))
            except BadQuery:
                return
            if not isinstance(result, SliceResult):
                continue
            await self._sweeper.note_late_read(part, result)
            await self._checkpoints.note_repaired(part)
            await self._reader.finish(REPAIR)
            gap = replace(gap, window=Window(gap.window.start, part.start))
