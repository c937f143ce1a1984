"""Prefetches from the journal: reads ahead of the sends, filters, maps and fills batches."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Literal, TypeAlias

from connector.broadcast import Broadcast
from connector.delivery.batcher import Batch, Batcher
from connector.delivery.context import DeliveryContext
from connector.delivery.retry_policy import fault_of
from connector.delivery.throttle import Digest, Throttle
from connector.interfaces import Mapper, OutputLog
from connector.model import ACTIONS, DeadLetter, Entry, Event, Revision

Emit: TypeAlias = Literal["all", "first"]

Shrink: TypeAlias = Callable[[Event, int], Event | None]
"""Makes an event fit into so many bytes, or returns ``None``. Pure; it SHOULD note what it shortened."""

Correction: TypeAlias = Callable[[Revision], bool]
"""Whether a revision that passed ``when`` did so for its previous state only: it takes an alert back."""

ServerClock: TypeAlias = Callable[[str], datetime]
"""The clock of the API as an account (by id) sees it: aware, UTC."""

_NO_TIME = datetime(1990, 1, 1, tzinfo=UTC)
"""Before this there was no email scanning: such a time (year 1, the Unix epoch) means that it is unknown."""

_AHEAD = timedelta(days=1)
"""An event time this far after its collection is no time either: no clock of a sane host is a day off."""


def record_key(revision: Revision) -> str:
    """What ``emit: first`` remembers a record by: searches that overlap on one account share it."""
    return f"{revision.feed.account}|{revision.record.id}"


def event_age(event: Event, now: datetime) -> timedelta:
    """How old *event* is at *now*; where its time is unknown, since it was collected."""
    collected = event.revision.collected
    unknown = event.time < _NO_TIME or event.time > collected + _AHEAD
    return now - (collected if unknown else event.time)


class EventMapper:
    """The mapper of an output and the filters around it, in the order they apply.

    ``addressed`` (a replay for another output), ``actions`` (an audit event for an output that takes none)
    and ``when``, both inside the mapper, ``max_age``, then ``emit: first``, that is, the first revision that
    passes the filters before it. Last the throttle, with ``group_by`` and ``throttle``.

    Args:
        context: what the output's delivery shares.
        mapper: filters with ``when``, redacts, maps and encodes.
        emit: ``first`` leaves later revisions of a record out.
        max_age: what happened longer ago is left out.
        throttle: leaves out what floods; ``None`` for nothing.
        is_correction: whether a revision only takes back an earlier alert. Neither ``max_age`` nor the
            throttle leaves it out: whoever received the alert must receive its correction.
        server_clock: tells the time for ``max_age`` by account; the local clock may be wrong.
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
        throttle: Throttle | None = None,
        is_correction: Correction | None = None,
        server_clock: ServerClock | None = None,
        event_bytes: int | None = None,
        shrink: Shrink | None = None,
    ) -> None:
        self._context = context
        self._mapper = mapper
        self._emit = emit
        self._max_age = max_age
        self._throttle = throttle
        self._is_correction = is_correction
        self._server_clock = server_clock
        self._event_bytes = event_bytes
        self._shrink = shrink
        self._limited = max_age is not None or throttle is not None
        self._restricted = self._limited or emit == "first"

    @property
    def first_only(self) -> bool:
        """Whether ``map_revision`` needs to know what was emitted before."""
        return self._emit == "first"

    def map_revision(
        self, sequence: int, revision: Revision, only: str | None, emitted: Mapping[str, str], now: float
    ) -> Event | DeadLetter | str:
        """Return the event in its place, a dead letter, or the name of the filter that leaves it out.

        *emitted* maps record keys to the identity that was emitted first; *now* is the loop's time. A replay
        addressed to this output (*only*) passes every filter but ``when``: an operator asked for it.
        """
        if only is not None and only != self._context.name:
            return "addressed"
        try:
            event = self._mapper(revision)
            if event is None:
                return "actions" if revision.feed.search == ACTIONS else "when"
            if self._restricted and (left_out := self._left_out(event, only, emitted, now)):
                return left_out
            fitting = self._fitting(event)
            if fitting is None:
                return self._context.dead_letter(sequence, revision, "too_large", self._size_problem(event))
            return fitting.place(sequence)
        except Exception as error:  # noqa: BLE001, a mapping is the user's: an error concerns this revision only
            # The error's text is left out: it may quote the message.
            return self._context.dead_letter(sequence, revision, "mapping", fault_of(error))
        finally:
            revision.record.forget_body()  # batches wait for collectors with a third of the memory

    def _left_out(self, event: Event, only: str | None, emitted: Mapping[str, str], now: float) -> str | None:
        """The name of the filter behind the mapping that leaves *event* out."""
        revision = event.revision
        limited = self._limited and only is None and not self._corrects(revision)
        if limited and self._too_old(event):
            return "max_age"
        if self.first_only and only is None:
            identity = revision.identity
            if emitted.get(record_key(revision), identity) != identity:
                return "emit"
        return self._throttled(revision, now, limited=limited)

    def _corrects(self, revision: Revision) -> bool:
        return self._is_correction is not None and self._is_correction(revision)

    def _throttled(self, revision: Revision, now: float, *, limited: bool) -> str | None:
        """The name of what leaves *revision* out; digests learn from one that is not *limited*."""
        if self._throttle is None:
            return None
        if limited:
            return self._throttle.admit(revision, now)
        self._throttle.corrected(revision)
        return None

    def map_digest(self, digest: Digest) -> Event:
        """The newest revision of *digest*, with ``$throttled``; ``ValueError`` where it cannot be sent."""
        event = self._mapper(replace(digest.newest, throttled=digest.count))
        if event is None:
            raise ValueError("the mapping produces no event of the digest")
        fitting = self._fitting(event)
        if fitting is None:
            raise ValueError(self._size_problem(event))
        return fitting

    def _too_old(self, event: Event) -> bool:
        if self._max_age is None:
            return False
        clock = self._server_clock
        now = self._context.clock() if clock is None else clock(event.revision.feed.account)
        return event_age(event, now) > self._max_age

    def _fitting(self, event: Event) -> Event | None:
        """*event*, shrunk where that is needed; ``None`` where it is larger than the output can send."""
        limit = self._event_bytes
        if limit is None or len(event.payload) <= limit:
            return event
        shrunk = self._shrink(event, limit) if self._shrink else None
        return shrunk if shrunk is not None and len(shrunk.payload) <= limit else None

    def _size_problem(self, event: Event) -> str:
        return f"the event has {len(event.payload)} bytes, the output takes {self._event_bytes}"


_REVISIONS_PER_TURN = 100
"""Revisions to map before other tasks run: about 10 ms at 100 us each, well under what liveness notices."""

_TURN_SECONDS = 0.05
"""Time to map before other tasks run. A record whose headers were made to be slow takes up to half a second,
so a page of a thousand must not be mapped in one turn."""

_END_OF_JOURNAL = 0.5
"""Seconds without data that count as the end of the journal while draining, where its head is unknown."""


class PrefetchReader:
    """Turns journal entries into batches, ahead of the sends by at most one full batch (backpressure).

    Args:
        context: what the output's delivery shares.
        log: the journal.
        event_mapper: makes events of revisions.
        batcher: groups events into batches.
        notifier: notified when something changed.
        replayed: takes the sequence numbers of dead letters that are sent again, until they are acknowledged.
        position: the sequence number after which reading begins.
    """

    def __init__(
        self,
        context: DeliveryContext,
        log: OutputLog,
        event_mapper: EventMapper,
        batcher: Batcher,
        notifier: Broadcast,
        replayed: set[int],
        *,
        position: int,
    ) -> None:
        self._context = context
        self._replayed = replayed
        self._log = log
        self._event_mapper = event_mapper
        self._batcher = batcher
        self._notifier = notifier
        self._reading: asyncio.Task[Entry] | None = None
        self._stopping = False
        self._head: int | None = None
        self._unacknowledged: dict[str, tuple[int, str]] = {}
        self.read = position
        self.exhausted = False

    @property
    def dry(self) -> bool:
        """Whether the journal has nothing more for now."""
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
                await self._process(entry)
        self.exhausted = True
        self._notifier.notify()

    def take(self) -> Batch | None:
        """Return the next batch, if one may leave."""
        batch = self._batcher.take(asyncio.get_running_loop().time(), flush=self.exhausted)
        if batch is not None:
            self._notifier.notify()
        return batch

    def stop(self, head: int | None) -> None:
        """Read no further than *head*, or than what is there now."""
        self._stopping, self._head = True, head
        if self._reading is not None:
            self._reading.cancel()

    def acknowledged(self, upto: int) -> None:
        """The position moved to *upto*: the journal knows itself what was emitted up to there."""
        self._unacknowledged = {
            key: (sequence, identity)
            for key, (sequence, identity) in self._unacknowledged.items()
            if sequence > upto
        }
        self._replayed.difference_update([sequence for sequence in self._replayed if sequence <= upto])

    def _complete(self) -> bool:
        return self._stopping and self._head is not None and self.read >= self._head

    async def _next(self) -> Entry | None:
        self._reading = asyncio.ensure_future(self._log.read(self._context.name, self.read))
        self._notifier.notify()
        head_unknown = self._stopping and self._head is None
        try:
            async with asyncio.timeout(_END_OF_JOURNAL if head_unknown else None):
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

    async def _process(self, entry: Entry) -> None:
        emitted = await self._emitted(entry)
        loop, batcher = asyncio.get_running_loop(), self._batcher
        map_revision, only = self._event_mapper.map_revision, entry.only
        if only == self._context.name:
            self._replayed.update(range(entry.first, entry.last + 1))
        first_only = self._event_mapper.first_only
        now, turn_began = loop.time(), time.monotonic()
        turn_ends = entry.first - 1 + _REVISIONS_PER_TURN
        for sequence, revision in enumerate(entry.revisions, entry.first):
            if batcher.full:
                self._notifier.notify()
                while batcher.full:
                    await self._notifier.wait()
                now = loop.time()
            result = map_revision(sequence, revision, only, emitted, now)
            if isinstance(result, Event):
                if first_only:
                    key, identity = record_key(revision), revision.identity
                    emitted.setdefault(key, identity)
                    self._unacknowledged.setdefault(key, (sequence, identity))
                batcher.add(result, now)
            elif isinstance(result, str):
                batcher.skip(sequence, result, now)
            else:
                batcher.dead_letter(result, now)
            self.read = sequence
            if sequence == turn_ends or time.monotonic() - turn_began > _TURN_SECONDS:
                await asyncio.sleep(0)
                now, turn_began = loop.time(), time.monotonic()
                turn_ends = sequence + _REVISIONS_PER_TURN
        self._notifier.notify()

    async def _emitted(self, entry: Entry) -> dict[str, str]:
        """What was emitted first of the records in *entry*: durably, or in flight."""
        if not self._event_mapper.first_only:
            return {}
        keys = [record_key(revision) for revision in entry.revisions]
        # Copied before the journal is asked: what is acknowledged meanwhile must be in one of both.
        in_flight = {key: self._unacknowledged[key][1] for key in keys if key in self._unacknowledged}
        return {**in_flight, **await self._log.emitted(self._context.name, keys)}
