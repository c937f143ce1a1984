"""Resumes feeds that were absent from the configuration for a while, or that an operator reset.

At its start the daemon notes which feeds of its journal are not configured. When such a feed returns, it
catches up as after any outage, but only as far back as its ``start``, which says how far back a feed without
a past reads. Older time is skipped: an operator removed the search, and months of old email at once would be
a flood. That time is a recorded gap, which ``backfill`` reads.
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
    store: KeyValueStore, known: Iterable[Feed], configured: Iterable[Feed], now: datetime
) -> None:
    """Note which of the *known* feeds are not among the *configured*."""
    for feed in set(known) - set(configured):
        if not await store.get_value(_unconfigured_key(feed)):
            await store.set_value(_unconfigured_key(feed), now.isoformat())


async def note_forgotten(store: KeyValueStore, feed: Feed, live: datetime) -> None:
    """Note how far *feed* had read before an operator reset it."""
    await store.set_value(_forgotten_key(feed), live.isoformat())


class FeedResume:
    """Decides where a feed continues after it was absent or reset."""

    def __init__(self, config: FeedConfig, store: KeyValueStore, checkpoints: Checkpoints) -> None:
        self._config = config
        self._store = store
        self._checkpoints = checkpoints
        self._unconfigured_since = self._read_until = ""

    async def load(self) -> None:
        """Read what was noted about the feed."""
        self._unconfigured_since = await self._store.get_value(_unconfigured_key(self._config.feed)) or ""
        self._read_until = await self._store.get_value(_forgotten_key(self._config.feed)) or ""

    @property
    def is_back(self) -> bool:
        """Whether the feed was absent, and where it continues is not decided yet."""
        return bool(self._unconfigured_since)

    async def begin(self, begin: datetime | None) -> None:
        """Set the live checkpoint where a feed begins, or continues after an absence.

        *begin* is where a feed without a past would begin; ``None`` while that lies in the future.
        """
        live = self._checkpoints.get(LIVE)
        if begin is not None and (live is None or live < begin):
            # In one transaction: killed in between, the feed would skip a little more the next time.
            key_value = (_unconfigured_key(self._config.feed), "")
            await self._checkpoints.step(LIVE, begin, gap=self._skipped(live, begin), key_value=key_value)
        if self._checkpoints.get(LIVE) is not None:
            await self._clear()

    def _skipped(self, live: datetime | None, begin: datetime) -> Gap | None:
        if live is not None:
            return Gap(Window(live, begin), GapCause.NOT_CONFIGURED)
        read = datetime.fromisoformat(self._read_until) if self._read_until else begin
        return Gap(Window(read, begin), GapCause.FORGOTTEN) if read < begin else None

    async def _clear(self) -> None:
        if self._unconfigured_since:
            await self._store.set_value(_unconfigured_key(self._config.feed), None)
        if self._read_until:
            await self._store.set_value(_forgotten_key(self._config.feed), None)
        self._unconfigured_since = self._read_until = ""


def _unconfigured_key(feed: Feed) -> str:
    return f"left out {feed}"


def _forgotten_key(feed: Feed) -> str:
    return f"forgotten {feed}"
