"""The backfills of one feed as the journal remembers them: a queue that survives every restart."""

from __future__ import annotations

import asyncio
from datetime import datetime

from connector.broadcast import Broadcast
from connector.collect.backfill.job import BackfillList, Job, Tally
from connector.interfaces import KeyValueStore
from connector.model import Feed, Window


class BackfillQueue:
    """The queue; see the module. The journal belongs to this process, so it is read once."""

    def __init__(self, feed: Feed, notes: KeyValueStore) -> None:
        self._key = f"backfill {feed}"
        self._notes = notes
        self._book: BackfillList | None = None
        self._writing = asyncio.Lock()
        self._changed = Broadcast()

    async def load(self) -> BackfillList:
        """What is remembered."""
        async with self._writing:
            return await self._known()

    @property
    def unfinished(self) -> tuple[Job, ...]:
        """Those that wait or run, in the order they were asked for, once they are loaded."""
        return self._book.unfinished if self._book else ()

    def recent(self, now: datetime) -> tuple[Job, ...]:
        """Those that ended within a day, once they are loaded."""
        return self._book.recent(now) if self._book else ()

    def key(self, number: int) -> str:
        """Where the tally of *number* is kept while it runs."""
        return f"{self._key} {number}"

    async def next(self) -> Job:
        """The next one to work on; waits until there is one."""
        await self.load()
        while not self.unfinished:
            await self._changed.wait()
        return self.unfinished[0]

    async def submit(self, asked: tuple[str, str], window: Window, *, everything: bool) -> tuple[Job, bool]:
        """Ask for *window*, in the words *asked*; says whether that is one which was there already."""
        async with self._writing:
            book = await self._known()
            if known := book.match(asked, window, everything=everything):
                return known, True
            book = book.added(asked, window, everything=everything)
            await self._store(book)
            return book.jobs[-1], False

    async def find(self, number: int) -> tuple[Job, Tally] | None:
        """Number *number* and what it found by now; ``None`` when it is not remembered."""
        job = (await self.load()).find(number)
        return None if job is None else (job, job.done or await self.tally(job))

    async def tally(self, job: Job) -> Tally:
        """How far *job* is, as far as that is durable."""
        text = await self._notes.get_value(self.key(job.number))
        return Tally(job.window.start) if text is None else Tally.of_text(text)

    async def end(self, job: Job, tally: Tally, at: datetime) -> None:
        """Note that *job* was complete *at* this time. Raises ``JournalFull``."""
        async with self._writing:
            await self._store((await self._known()).ended(job.number, tally, at))
            await self._notes.set_value(self.key(job.number), None)

    async def remove(self, job: Job) -> None:
        """Forget *job*."""
        async with self._writing:
            await self._store((await self._known()).without(job.number))
            await self._notes.set_value(self.key(job.number), None)

    async def _known(self) -> BackfillList:
        if self._book is None:
            self._book = BackfillList.of_text(await self._notes.get_value(self._key))
        return self._book

    async def _store(self, book: BackfillList) -> None:
        await self._notes.set_value(self._key, book.to_text())
        self._book = book
        self._changed.notify()
