"""The audit of a feed: reads everything within reach again, round after round, whatever was assumed before.

A round reads from its reach up to where the oldest revisit has been, but never before the floor of the seen
rows or before the search's filters changed. It is a sweep like the others: one checkpoint holds how far the
round is, a second one when it began, so that it continues after a restart. What it finds counts as what a
revisit finds.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from connector.collect.checkpoints import Checkpoints
from connector.collect.feed_config import AuditConfig, FeedConfig
from connector.collect.gaps import holes
from connector.collect.ingest import Slice, SliceResult
from connector.collect.slices import SliceReader
from connector.collect.sweeper import Sweeper
from connector.collect.windows import LIVE, SECOND, audit_window, first_unread, whole_second
from connector.interfaces import Clock
from connector.model import Priority, Window

AUDIT = "audit"
ROUND = "audit_round"
"""Names of the checkpoints: how far the round is, and when it began."""


class Auditor:
    """Audits one feed."""

    def __init__(
        self,
        config: FeedConfig,
        audit: AuditConfig,
        reader: SliceReader,
        sweeper: Sweeper,
        checkpoints: Checkpoints,
        *,
        now: Clock,
    ) -> None:
        self._audit = audit
        self._reader = reader
        self._sweeper = sweeper
        self._checkpoints = checkpoints
        self._now = now
        self._oldest = max(config.ages, default=config.timing.settle)
        self._margin = config.timing.overlap + 2 * SECOND

    @property
    def every(self) -> timedelta:
        """Time between the starts of two rounds."""
        return self._audit.every

    def still_needed(self) -> list[datetime]:
        """From when on seen rows must stay: for the present round, and for the next one."""
        reach = self._now() - self._audit.reach
        begun, reached = self._checkpoints.get(ROUND), self._checkpoints.get(AUDIT)
        if begun is not None and reached is not None and reached < begun - self._oldest:
            reach = min(reach, reached)
        return [reach - self._margin]

    async def run_due(self) -> bool:
        """Read the rest of the round, or the next round if it is due; returns whether there was anything."""
        live = self._checkpoints.get(LIVE)
        if live is None:
            return False
        window = self._rest(live) or await self._next(live)
        if window is None:
            return False
        position = window.start
        while position < window.end:
            position = await self._read_slice(Window(position, window.end))
        return True

    def _rest(self, live: datetime) -> Window | None:
        """What remains of the round that began last."""
        begun, reached = self._checkpoints.get(ROUND), self._checkpoints.get(AUDIT)
        if begun is None or reached is None:
            return None
        window = audit_window(begun, self._audit.reach, self._oldest, self._checkpoints.known_since, live)
        if window is None or reached >= window.end:
            return None
        return Window(max(reached, window.start), window.end)

    async def _next(self, live: datetime) -> Window | None:
        """The whole of the next round, once it is due."""
        begun, now = self._checkpoints.get(ROUND), whole_second(self._now())
        if begun is not None and now < begun + self._audit.every:
            return None
        window = audit_window(now, self._audit.reach, self._oldest, self._checkpoints.known_since, live)
        # In this order: a crash between both repeats the last round and skips nothing.
        await self._checkpoints.step(AUDIT, window.start if window else min(now, live))
        await self._checkpoints.step(ROUND, now)
        return window

    async def _read_slice(self, left: Window) -> datetime:
        """Read one slice; returns where the round continues."""
        unread = first_unread(left, timedelta(0), holes(self._checkpoints.gaps))
        if unread.start > left.start:
            return await self._checkpoints.step(AUDIT, unread.start)
        task = str(self._checkpoints.get(ROUND))
        part = await self._reader.first_slice(AUDIT, unread, task)
        query, known = self._reader.query(Priority.BACKFILL), self._checkpoints.known_before(part.end)
        result = await self._reader.read_within_retention(
            Slice(AUDIT, part, None, query, known, self._oldest.total_seconds(), task=task)
        )
        if isinstance(result, SliceResult):
            await self._sweeper.look_up_disappeared(part, result, is_audit=True)
            reached = await self._checkpoints.step(AUDIT, part.end)
            await self._reader.finish(AUDIT)
            return reached
        if result > part.start:
            # Not a gap of the feed: it was read in time, and the API no longer retains it.
            await self._checkpoints.step(AUDIT, min(result, left.end))
        return result
