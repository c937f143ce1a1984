"""Feeds that were left out of the configuration for a while and are back.

A daemon notes at its start which feeds of its journal nobody configured. Such a feed, once it is back,
catches up as after any outage, as far as its ``start`` reaches, which says how far back a feed without a past
reads. What lies before that is skipped: somebody took the search out, and months of old mail at once would be
a flood. It is a recorded gap, and ``backfill`` reads it.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from connector.collect.checkpoints import Checkpoints
from connector.collect.feed_config import FeedConfig
from connector.collect.windows import LIVE
from connector.interfaces import KeyValueStore
from connector.model import Feed, Gap, GapCause, Window


async def note_unconfigured(
    notes: KeyValueStore, known: Iterable[Feed], configured: Iterable[Feed], now: datetime
) -> None:
    """Note which of the *known* feeds are not among the *configured*."""
    for feed in set(known) - set(configured):
        if not await notes.get_value(_left_out(feed)):
            await notes.set_value(_left_out(feed), now.isoformat())


async def note_forgotten(notes: KeyValueStore, feed: Feed, live: datetime) -> None:
    """Note how far *feed* had read before an operator made it forget."""
    await notes.set_value(_forgotten(feed), live.isoformat())


class FeedResume:
    """Decides where a feed goes on that was away; see the module."""

    def __init__(self, config: FeedConfig, notes: KeyValueStore, checkpoints: Checkpoints) -> None:
        self._config = config
        self._notes = notes
        self._checkpoints = checkpoints
        self._left_out = self._had_read = ""

    async def load(self) -> None:
        """Read what was noted of the feed."""
        self._left_out = await self._notes.get_value(_left_out(self._config.feed)) or ""
        self._had_read = await self._notes.get_value(_forgotten(self._config.feed)) or ""

    @property
    def is_back(self) -> bool:
        """Whether the feed was away, and nothing was decided yet."""
        return bool(self._left_out)

    async def begin(self, begin: datetime | None) -> None:
        """Set the live checkpoint where a feed begins, or goes on after an absence.

        *begin* is where one without a past would begin; ``None`` while that lies in the future.
        """
        live = self._checkpoints.get(LIVE)
        if begin is not None and (live is None or live < begin):
            # In one transaction: killed in between, it would skip a little more the next time.
            note = (_left_out(self._config.feed), "")
            await self._checkpoints.step(LIVE, begin, gap=self._skipped(live, begin), note=note)
        if self._checkpoints.get(LIVE) is not None:
            await self._served()

    def _skipped(self, live: datetime | None, begin: datetime) -> Gap | None:
        if live is not None:
            return Gap(Window(live, begin), GapCause.NOT_CONFIGURED)
        read = datetime.fromisoformat(self._had_read) if self._had_read else begin
        return Gap(Window(read, begin), GapCause.FORGOTTEN) if read < begin else None

    async def _served(self) -> None:
        if self._left_out:
            await self._notes.set_value(_left_out(self._config.feed), None)
        if self._had_read:
            await self._notes.set_value(_forgotten(self._config.feed), None)
        self._left_out = self._had_read = ""


def _left_out(feed: Feed) -> str:
    return f"left out {feed}"


def _forgotten(feed: Feed) -> str:
    return f"forgotten {feed}"
