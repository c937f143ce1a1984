"""Reads the journal ahead of the sends, but never further than one full batch."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import timedelta
from typing import Literal, TypeAlias

from connector.broadcast import Broadcast
from connector.delivery.batcher import Batch, Batcher, Item
from connector.delivery.context import DeliveryContext
from connector.delivery.retry_policy import excerpt
from connector.interfaces import Mapper, OutputLog
from connector.model import DeadLetter, Entry, Event, Revision

Emit: TypeAlias = Literal["all", "first"]
Shrink: TypeAlias = Callable[[Event, int], Event | None]
"""Makes an event fit into so many bytes, or says ``None``. Pure; it SHOULD note what it shortened."""


class EventMapper:
    """The mapper of an output and the rules around it.

    Args:
        kit: what the output's delivery shares.
        mapper: maps and encodes.
        emit: ``first`` leaves updates out.
        max_age: what happened longer ago is left out.
        event_bytes: the most one payload may have.
        shrink: makes a payload that is too large fit, where that can be done.
    """

    def __init__(
        self,
        context: DeliveryContext,
        mapper: Mapper,
        *,
        emit: Emit = "all",
        max_age: timedelta | None = None,
        event_bytes: int | None = None,
        shrink: Shrink | None = None,
    ) -> None:
        self._context = context
        self._mapper = mapper
        self._emit = emit
        self._max_age = max_age
        self._event_bytes = event_bytes
        self._shrink = shrink

    def map_revision(self, sequence: int, revision: Revision, only: str | None) -> Item | DeadLetter | str:
        """Return the event, a dead letter, or in a word why the output does not want it.

        A replay addressed to this output passes ``emit`` and ``max_age``: a person asked for it.
        """
        if only is not None and only != self._context.name:
            return "addressed"
        if only is None and self._emit == "first" and revision.number > 1:
            return "emit"
        try:
            event = self._mapper(revision)
            if event is None:
                return "when"
            if (
                only is None
                and self._max_age is not None
                and event.time < self._context.clock() - self._max_age
            ):
                return "max_age"
            return self._fit(sequence, event)
        except Exception as error:  # noqa: BLE001, a mapping is the user's: any error is that revision's fate
            answer = excerpt(f"{type(error).__name__}: {error}")
            return self._context.letter(sequence, revision, "mapping", answer)

    def _fit(self, sequence: int, event: Event) -> Item | DeadLetter:
        limit = self._event_bytes
        if limit is None or len(event.payload) <= limit:
            return Item(sequence, event)
        shrunk = self._shrink(event, limit) if self._shrink else None
        if shrunk is not None and len(shrunk.payload) <= limit:
            return Item(sequence, shrunk)
        answer = f"the event has {len(event.payload)} bytes, the output takes {limit}"
        return self._context.letter(sequence, event.revision, "too_large", answer)


_TURN = 100
"""Revisions that are mapped before other tasks get their turn."""

_GRACE = 0.5
"""Seconds without data that count as the end of the journal, where nobody knows its head."""


class PrefetchReader:
    """Entries become batches.

    Args:
        kit: what the output's delivery shares.
        log: the journal.
        translator: makes events of revisions.
        batcher: makes batches of events.
        pulse: beats when something changed.
        position: the sequence number after which reading begins.
    """

    def __init__(
        self,
        context: DeliveryContext,
        log: OutputLog,
        event_mapper: EventMapper,
        batcher: Batcher,
        notifier: Broadcast,
        *,
        position: int,
    ) -> None:
        self._context = context
        self._log = log
        self._event_mapper = event_mapper
        self._batcher = batcher
        self._notifier = notifier
        self._reading: asyncio.Task[Entry] | None = None
        self._stopping = False
        self._head: int | None = None
        self.read = position
        self.exhausted = False

    @property
    def dry(self) -> bool:
        """Whether the journal has nothing more to give for now."""
        return self._batcher.empty and (self.exhausted or self._reading is not None)

    @property
    def due(self) -> float | None:
        """When the next batch may be taken, as far as that is known."""
        return self._batcher.due

    async def run(self) -> None:
        """Read until stopped and at the head."""
        while not self._complete():
            entry = await self._next()
            if entry is not None:
                await self._digest(entry)
        self.exhausted = True
        self._notifier.notify()

    def take(self) -> Batch | None:
        """Give the next batch, if one may leave."""
        batch = self._batcher.take(asyncio.get_running_loop().time(), flush=self.exhausted)
        if batch is not None:
            self._notifier.notify()
        return batch

    def stop(self, head: int | None) -> None:
        """Read no further than *head*, or than what is there now."""
        self._stopping, self._head = True, head
        if self._reading is not None:
            self._reading.cancel()

    def _complete(self) -> bool:
        return self._stopping and self._head is not None and self.read >= self._head

    async def _next(self) -> Entry | None:
        self._reading = asyncio.ensure_future(self._log.read(self._context.name, self.read))
        self._notifier.notify()
        guess = self._stopping and self._head is None
        try:
            async with asyncio.timeout(_GRACE if guess else None):
                return await self._reading
        except TimeoutError:
            self._head = self.read
            return None
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if not self._stopping or task is None or task.cancelling():
                raise
            return None
        finally:
            self._reading = None

    async def _digest(self, entry: Entry) -> None:
        for sequence, revision in enumerate(entry.revisions, entry.first):
            while self._batcher.full:
                await self._notifier.wait()
            now = asyncio.get_running_loop().time()
            made = self._event_mapper.map_revision(sequence, revision, entry.only)
            if isinstance(made, str):
                self._batcher.skip(sequence, made, now)
            elif isinstance(made, Item):
                self._batcher.add(made, now)
            else:
                self._batcher.dead_letter(made, now)
            self.read = sequence
            if self._batcher.full:
                self._notifier.notify()
            if (sequence - entry.first) % _TURN == _TURN - 1:
                await asyncio.sleep(0)
        self._notifier.notify()
