"""The checkpoints of one feed's sweeps: a mirror of the journal, and the only way to move them.

The journal's checkpoints are the truth. This mirror is read again whenever the journal answers ``Moved``.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import datetime, timedelta
from functools import partial
from types import MappingProxyType

from connector.collect.feed_config import FeedConfig
from connector.collect.feed_writer import FeedWriter
from connector.collect.gaps import backfill_command, holes, overlap
from connector.collect.windows import LIVE, whole_second
from connector.errors import Moved, Unavailable
from connector.facts import CheckpointPulledBack, GapRecorded, GapRepaired, SearchChanged
from connector.interfaces import Clock, FeedLog, Observe
from connector.model import Gap, Step, Window

CHANGED = "filters_changed"
"""Name of the checkpoint that says up to when the search had other filters."""

_NOISE = timedelta(seconds=5)
"""A checkpoint up to this far in the future is within the error of synchronised clocks."""


class Checkpoints:
    """The checkpoints of one feed by sweep, the floor of its seen rows, and its gaps.

    Args:
        config: of the feed.
        log: reads them from the journal.
        writer: writes them to the journal.
        observe: takes facts.
        present: the API's clock as far as it is known.
    """

    def __init__(
        self,
        config: FeedConfig,
        log: FeedLog,
        writer: FeedWriter,
        *,
        observe: Observe,
        present: Clock,
    ) -> None:
        self._config = config
        self._log = log
        self._writer = writer
        self._observe = observe
        self._present = present
        self._at: dict[str, datetime] = {}
        self.floor: datetime | None = None
        self.gaps: tuple[Gap, ...] = ()
        self._repairing = asyncio.Lock()

    @property
    def all(self) -> Mapping[str, datetime]:
        """Every checkpoint by name."""
        return MappingProxyType(self._at)

    def get(self, name: str) -> datetime | None:
        """The checkpoint *name*, if it exists."""
        return self._at.get(name)

    def at(self, name: str) -> datetime:
        """The checkpoint *name*. Raises ``Moved`` when the feed was forgotten meanwhile."""
        if name not in self._at:
            raise Moved(f"the checkpoint {name} of {self._config.feed} no longer exists")
        return self._at[name]

    @property
    def known_since(self) -> datetime | None:
        """From when on this search, with its present filters, has read everything and remembers it."""
        return max((moment for moment in (self.floor, self.get(CHANGED)) if moment), default=None)

    def lowest(self, begun: datetime) -> datetime | None:
        """The time below which the live sweep at *begun* never reads: its floor, or the hole before it."""
        ends = [hole.window.end for hole in holes(self.gaps) if hole.window.end <= begun]
        return max([*ends, *([self.floor] if self.floor else [])], default=None)

    def known_before(self, end: datetime) -> Window | None:
        """The time up to *end* that this search has read before: a record that is new there came late.

        It begins after the last hole before *end*.
        """
        inside = [hole.window for hole in holes(self.gaps) if hole.window.start < end]
        starts = [moment for moment in (self.known_since, *(hole.end for hole in inside)) if moment]
        since = max(starts, default=None) if self.known_since else None
        return Window(since, end) if since is not None and since < end else None

    async def load(self) -> None:
        """Read the checkpoints; note that filters changed."""
        progress = await self._log.progress(self._config.feed)
        self._at = dict(progress.checkpoints)
        self.floor, self.gaps = progress.floor, progress.gaps
        self._writer.generation = progress.generation
        if progress.fingerprint not in (None, self._config.fingerprint):
            # Any commit stores the new fingerprint, so the change is noted before anything else.
            since = await self.step(CHANGED, self._at.get(LIVE, whole_second(self._present())))
            self._observe(
                SearchChanged(self._config.feed, since, backfill_command(self._config.feed, None, since))
            )

    async def pull_back_from_future(self) -> None:
        """Pull back checkpoints that lie in the future: a clock was wrong when they were set.

        Raises ``Unavailable`` when it is the present clock that must be wrong.
        """
        now = whole_second(self._present())
        for name, checkpoint in list(self._at.items()):
            if checkpoint <= now + _NOISE:
                continue
            if self.floor is not None and now < self.floor < checkpoint:
                raise Unavailable(
                    f"the clock shows {now.isoformat()}, but this feed has already read beyond "
                    f"{self.floor.isoformat()}",
                    hint="synchronise the clock of this machine; if it is right, the API or a proxy sent a "
                    "wrong Date, and collection resumes with the next right one",
                )
            await self.step(name, now)
            self._observe(CheckpointPulledBack(self._config.feed, name, (checkpoint - now).total_seconds()))

    async def step(
        self,
        name: str,
        until: datetime,
        *,
        gap: Gap | None = None,
        key_value: tuple[str, str] | None = None,
    ) -> datetime:
        """Move *name* to *until*; *gap* is the time that this skips, *key_value* is stored along with it."""
        first = name == LIVE and name not in self._at
        step, feed = Step(name, self._at.get(name), until, gap), self._config.feed
        await self._writer.commit(generation=self._writer.generation, step=step, key_value=key_value)
        if gap is not None:
            # Before the sweep counts as moved: rows seen in a gap that is retried must not expire.
            self.gaps = (await self._log.progress(feed)).gaps
        self.moved(step)
        if first:
            # As the journal does itself: rows are complete from where the live sweep began.
            self.floor = until
        if gap is not None:
            command = backfill_command(feed, gap.window.start, gap.window.end)
            self._observe(GapRecorded(feed, gap, command))
        return until

    async def note_repaired(self, part: Window) -> None:
        """Note that *part* was read after all: what it has in common with a gap is no longer one."""
        feed = self._config.feed
        async with self._repairing:  # a backfill and a gap repair may both work from the same list of gaps
            for gap in self.gaps:
                common = overlap(gap.window, part)
                if common is not None:
                    await self._writer.when_room(partial(self._log.repaired, feed, gap, common))
                    self.gaps = (await self._log.progress(feed)).gaps
                    self._observe(GapRepaired(feed, Gap(common, gap.cause, gap.detail)))

    def moved(self, step: Step) -> None:
        """Note a *step* that was committed along with a page."""
        self._at[step.sweep] = step.until

    async def expire(self, passed: datetime) -> None:
        """Delete the seen rows before *passed*, which no sweep will read again."""
        await self._log.expire(self._config.feed, passed)
        if self.floor is not None:
            self.floor = max(self.floor, passed)
