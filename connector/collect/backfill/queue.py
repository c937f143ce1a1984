"""The queue of one feed's backfills, kept in the journal so that it survives restarts.

Several processes may share the journal, and queue and remove backfills: every change compares and sets.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import datetime

from connector.collect.backfill.job import BackfillList, Job, Tally
from connector.interfaces import SharedValueStore
from connector.model import Feed, Window


class BackfillQueue:
    """The backfills of one feed."""

    def __init__(self, feed: Feed, store: SharedValueStore) -> None:
        self._key = f"backfill {feed}"
        self._store = store
        self._list = BackfillList()

    async def load(self) -> BackfillList:
        """Return the backfills as the journal has them now."""
        self._list = BackfillList.of_text(await self._store.get_value(self._key))
        return self._list

    @property
    def unfinished(self) -> tuple[Job, ...]:
        """Those queued or running when they were last read, in the order of their requests."""
        return self._list.unfinished

    def recent(self, now: datetime) -> tuple[Job, ...]:
        """Those that ended within a day when they were last read."""
        return self._list.recent(now)

    def key(self, number: int) -> str:
        """Key under which the tally of *number* is stored while it runs."""
        return f"{self._key} {number}"

    async def next(self) -> Job:
        """Return the next job to work on; wait until there is one."""
        while not (await self.load()).unfinished:
            await self._store.value_changed(self._key)
        return self.unfinished[0]

    async def removed(self, number: int) -> None:
        """Wait until backfill *number* is removed from the queue."""
        while (await self.load()).find(number) is not None:
            await self._store.value_changed(self._key)

    async def submit(self, asked: tuple[str, str], window: Window, *, everything: bool) -> tuple[Job, bool]:
        """Queue *window*, requested in the words *asked*; also return whether it was queued already."""
        known: Job | None = None

        def add(jobs: BackfillList) -> BackfillList:
            nonlocal known
            known = jobs.match(asked, window, everything=everything)
            return jobs if known else jobs.added(asked, window, everything=everything)

        jobs = await self._change(add)
        return known or jobs.jobs[-1], known is not None

    async def find(self, number: int) -> tuple[Job, Tally] | None:
        """Return backfill *number* and its tally; ``None`` when it is not remembered."""
        job = (await self.load()).find(number)
        return None if job is None else (job, job.done or await self.tally(job))

    async def tally(self, job: Job) -> Tally:
        """Return the durable tally of *job*."""
        text = await self._store.get_value(self.key(job.number))
        return Tally(job.window.start) if text is None else Tally.of_text(text)

    async def end(self, job: Job, tally: Tally, at: datetime) -> None:
        """Note that *job* was complete *at* this time. Raises ``JournalFull``."""
        await self._change(lambda jobs: jobs.ended(job.number, tally, at))
        await self._store.set_value(self.key(job.number), None)

    async def remove(self, job: Job) -> None:
        """Remove *job*."""
        await self._change(lambda jobs: jobs.without(job.number))
        await self._store.set_value(self.key(job.number), None)

    async def _change(self, change: Callable[[BackfillList], BackfillList]) -> BackfillList:
        """Apply *change* to the stored backfills and return the outcome."""
        while True:
            text = await self._store.get_value(self._key)
            jobs = BackfillList.of_text(text)
            changed = change(jobs)
            if changed is jobs or await self._store.replace_value(self._key, text, changed.to_text()):
                self._list = changed
                return changed
            await asyncio.sleep(0)  # somebody else was quicker: try with what they stored
