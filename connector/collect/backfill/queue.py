"""The queue of one feed's backfills, kept in the journal so that it survives restarts."""

from __future__ import annotations

import asyncio
from datetime import datetime

from connector.broadcast import Broadcast
from connector.collect.backfill.job import BackfillList, Job, Tally
from connector.interfaces import KeyValueStore
from connector.model import Feed, Window


class BackfillQueue:
    """The backfills of one feed. The journal belongs to this process, so the queue is read from it once."""

    def __init__(self, feed: Feed, store: KeyValueStore) -> None:
        self._key = f"backfill {feed}"
        self._store = store
        self._list: BackfillList | None = None
        self._writing = asyncio.Lock()
        self._changed = Broadcast()

    async def load(self) -> BackfillList:
        """Return the backfills, read from the journal the first time."""
        async with self._writing:
            return await self._known()

    @property
    def unfinished(self) -> tuple[Job, ...]:
        """Those queued or running, in the order of their requests; none before ``load``."""
        return self._list.unfinished if self._list else ()

    def recent(self, now: datetime) -> tuple[Job, ...]:
        """Those that ended within a day; none before ``load``."""
        return self._list.recent(now) if self._list else ()

    def key(self, number: int) -> str:
        """Key under which the tally of *number* is stored while it runs."""
        return f"{self._key} {number}"

    async def next(self) -> Job:
        """Return the next job to work on; wait until there is one."""
        await self.load()
        while not self.unfinished:
            await self._changed.wait()
        return self.unfinished[0]

    async def submit(self, asked: tuple[str, str], window: Window, *, everything: bool) -> tuple[Job, bool]:
        """Queue *window*, requested in the words *asked*; also return whether it was queued already."""
        async with self._writing:
            jobs = await self._known()
            if known := jobs.match(asked, window, everything=everything):
                return known, True
            jobs = jobs.added(asked, window, everything=everything)
            await self._write(jobs)
            return jobs.jobs[-1], False

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
        async with self._writing:
            await self._write((await self._known()).ended(job.number, tally, at))
            await self._store.set_value(self.key(job.number), None)

    async def remove(self, job: Job) -> None:
        """Remove *job*."""
        async with self._writing:
            await self._write((await self._known()).without(job.number))
            await self._store.set_value(self.key(job.number), None)

    async def _known(self) -> BackfillList:
        if self._list is None:
            self._list = BackfillList.of_text(await self._store.get_value(self._key))
        return self._list

    async def _write(self, jobs: BackfillList) -> None:
        await self._store.set_value(self._key, jobs.to_text())
        self._list = jobs
        self._changed.notify()
