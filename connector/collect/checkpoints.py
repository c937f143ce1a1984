"""Where the sweeps of one feed stand: a mirror of the journal, and the only way to move them.

The journal's checkpoints are the truth. What is held here is read again whenever the journal says that
somebody else moved one.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime, timedelta
from functools import partial
from types import MappingProxyType

from connector.collect.feed_config import FeedConfig
from connector.collect.gaps import advice, holes, overlap
from connector.collect.windows import LIVE, whole_second
from connector.errors import Moved, Unavailable
from connector.facts import CheckpointPulledBack, GapRecorded, GapRepaired, SearchChanged
from connector.interfaces import Clock, FeedLog, Observe
from connector.model import Commit, Gap, Step, Window

CHANGED = "filters_changed"
"""Name under which the point in time is kept at which a search's filters changed."""

_NOISE = timedelta(seconds=5)
"""A checkpoint this far ahead is only the clocks' noise."""


class Checkpoints:
    """The checkpoints of one feed by sweep, the floor of what was seen, and the gaps.

    Args:
        plan: the feed.
        log: where they are kept.
        commit: stores a commit, however long it takes.
        patiently: does a write to the journal, however long it takes.
        observe: takes facts.
        present: the API's clock as far as it is known.
    """

    def __init__(
        self,
        config: FeedConfig,
        log: FeedLog,
        commit: Callable[[Commit], Awaitable[None]],
        patiently: Callable[[Callable[[], Awaitable[None]]], Awaitable[None]],
        *,
        observe: Observe,
        present: Clock,
    ) -> None:
        self._config = config
        self._log = log
        self._commit = commit
        self._patiently = patiently
        self._observe = observe
        self._present = present
        self._at: dict[str, datetime] = {}
        self.floor: datetime | None = None
        self.gaps: tuple[Gap, ...] = ()
        self.generation = 0
        self._closing = asyncio.Lock()

    @property
    def all(self) -> Mapping[str, datetime]:
        """Every checkpoint by name."""
        return MappingProxyType(self._at)

    def get(self, name: str) -> datetime | None:
        """Where *name* stands, if it ever began."""
        return self._at.get(name)

    def at(self, name: str) -> datetime:
        """Where *name* stands, which has begun. Raises ``Moved`` when the feed was forgotten meanwhile."""
        if name not in self._at:
            raise Moved(f"the checkpoint {name} of {self._config.feed} is no longer there")
        return self._at[name]

    @property
    def known_since(self) -> datetime | None:
        """From when on this very search has read everything, and remembers it."""
        return max((moment for moment in (self.floor, self.get(CHANGED)) if moment), default=None)

    def lowest(self, begun: datetime) -> datetime | None:
        """What the live sweep that stands at *begun* never reads below: its floor, or the hole before it."""
        ends = [hole.window.end for hole in holes(self.gaps) if hole.window.end <= begun]
        return max([*ends, *([self.floor] if self.floor else [])], default=None)

    def known_before(self, end: datetime) -> Window | None:
        """The time up to *end* that this very search has read before: what is new there came late.

        As far as it has no hole: it begins after the last one before *end*.
        """
        inside = [hole.window for hole in holes(self.gaps) if hole.window.start < end]
        starts = [moment for moment in (self.known_since, *(hole.end for hole in inside)) if moment]
        since = max(starts, default=None) if self.known_since else None
        return Window(since, end) if since is not None and since < end else None

    async def load(self) -> None:
        """Read the checkpoints; note changed filters."""
        progress = await self._log.progress(self._config.feed)
        self._at = dict(progress.checkpoints)
        self.floor, self.gaps, self.generation = progress.floor, progress.gaps, progress.generation
        if progress.fingerprint not in (None, self._config.fingerprint):
            # Any commit makes the new fingerprint the stored one, so this one comes first.
            since = await self.step(CHANGED, self._at.get(LIVE, whole_second(self._present())))
            self._observe(SearchChanged(self._config.feed, since, advice(self._config.feed, None, since)))

    async def mend(self) -> None:
        """Pull back what lies in the future: a clock was wrong when it was set.

        Raises ``Unavailable`` when it is today's clock that cannot be right.
        """
        now = whole_second(self._present())
        for name, checkpoint in list(self._at.items()):
            if checkpoint <= now + _NOISE:
                continue
            if self.floor is not None and now < self.floor < checkpoint:
                raise Unavailable(
                    f"the clock says {now.isoformat()}, but this feed has read {self.floor.isoformat()} and "
                    "later already",
                    hint="synchronise the clock",
                )
            await self.step(name, now)
            self._observe(CheckpointPulledBack(self._config.feed, name, (checkpoint - now).total_seconds()))

    async def step(
        self, name: str, until: datetime, *, gap: Gap | None = None, note: tuple[str, str] | None = None
    ) -> datetime:
        """Move *name* from where it stands to *until*; *gap* is what that skips, *note* goes with it."""
        first = name == LIVE and name not in self._at
        step = Step(name, self._at.get(name), until, gap)
        feed, fingerprint = self._config.feed, self._config.fingerprint
        await self._commit(Commit(feed, fingerprint, step=step, note=note, generation=self.generation))
        if gap is not None:
            # Before the sweep counts as moved: what was seen in a gap that is retried is not forgotten.
            self.gaps = (await self._log.progress(feed)).gaps
        self.moved(step)
        if first:
            # What the journal does itself: rows are complete from where the live sweep began.
            self.floor = until
        if gap is not None:
            told = advice(self._config.feed, gap.window.start, gap.window.end)
            self._observe(GapRecorded(self._config.feed, gap, told))
        return until

    async def repaired(self, part: Window) -> None:
        """Note that *part* was read after all: whatever it has in common with a gap is a gap no more."""
        feed = self._config.feed
        async with self._closing:  # the gaps as they are: a backfill and a repair may read at the same time
            for gap in self.gaps:
                common = overlap(gap.window, part)
                if common is not None:
                    await self._patiently(partial(self._log.repaired, feed, gap, common))
                    self.gaps = (await self._log.progress(feed)).gaps
                    self._observe(GapRepaired(feed, Gap(common, gap.cause, gap.detail)))

    def moved(self, step: Step) -> None:
        """Note a *step* that was committed along with a page."""
        self._at[step.sweep] = step.until

    async def expire(self, passed: datetime) -> None:
        """Forget what was seen before *passed*, which no sweep will read again."""
        await self._log.expire(self._config.feed, passed)
        if self.floor is not None:
            self.floor = max(self.floor, passed)
