"""Delivers the journal to one output: the worker that a supervisor runs, and what it can be asked."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import field
from datetime import datetime, timedelta
from random import random as default_random

from connector.broadcast import Broadcast
from connector.delivery.acknowledger import Acknowledger
from connector.delivery.batch_names import BatchNames
from connector.delivery.batcher import Batcher, NamedRange
from connector.delivery.circuit import CircuitBreaker, HoldState
from connector.delivery.context import DeliveryContext, OnSent, ignore_sent
from connector.delivery.digest import DigestSender
from connector.delivery.filter_watch import FilterWatch
from connector.delivery.heartbeat import Heartbeat, HeartbeatSender
from connector.delivery.idle_probe import IdleProbe
from connector.delivery.in_flight import InFlight
from connector.delivery.late_failures import LateFailureTracker
from connector.delivery.reader import Correction, Emit, EventMapper, PrefetchReader, ServerClock, Shrink
from connector.delivery.retry_policy import Random, RetryPolicy
from connector.delivery.sender import Sender
from connector.delivery.session import Session
from connector.delivery.throttle import GroupBy, Throttle
from connector.errors import JournalFull, Moved
from connector.interfaces import BatchOutput, Clock, KeyValueStore, Mapper, Observe, Output, OutputLog, Start
from connector.model import Backlog
from connector.values import dataclass


@dataclass(frozen=True, slots=True)
class DeliveryOptions:
    """How to deliver to one output.

    Args:
        start: where a new output begins.
        backlog: how much it may leave undelivered.
        emit: ``all`` revisions, or only the ``first`` of a record that passes the output's other filters.
        max_age: events older than this when they are mapped are left out and counted.
        per_minute: the most events in a minute; the rest is summed up in a digest. ``None`` for no limit.
        group_by: what is sent as one alert and one digest; ``None`` for no groups.
        is_correction: whether a revision takes an alert back: then ``max_age``, *per_minute* and *group_by*
            do not leave it out.
        heartbeat: a status event at regular times; ``None`` for none.
        settle: seconds without anything to send after which a refused event is dead-lettered.
        policy: the numbers of backoff, probes, refusals and evidence.
    """

    start: Start = "head"
    backlog: Backlog = field(default_factory=Backlog)
    emit: Emit = "all"
    max_age: timedelta | None = None
    per_minute: int | None = None
    group_by: GroupBy | None = None
    is_correction: Correction | None = None
    heartbeat: Heartbeat | None = None
    settle: float = 1.0
    policy: RetryPolicy = field(default_factory=RetryPolicy)


@dataclass(frozen=True, slots=True)
class DeliveryState:
    """Where an output's delivery stands, for people.

    Args:
        position: the sequence number up to which everything is done and durable.
        hold: why it waits for an operator; ``None`` where it does not.
        hold_since: when that began.
        attempt: failures in a row; 0 when all is well.
        in_flight: events being sent just now.
        suspects: events that were refused or failed alone and wait for evidence, late failures included.
        last_success: when the collector last accepted an event.
        retry_at: when the wait under way ends; ``None`` where there is none.
        wait_reason: why it waits.
        concurrency: how many sends may be under way now.
    """

    position: int
    hold: str | None
    hold_since: datetime | None
    attempt: int
    in_flight: int
    suspects: int
    last_success: datetime | None
    retry_at: datetime | None
    wait_reason: str | None
    concurrency: int


class Deliverer:
    """Delivers the journal to one output, endlessly and in order.

    Every revision is accepted by the output, left out by a filter, or becomes a dead letter before the
    position passes it. A crash, a cancelled ``run`` and a drain cut short repeat at most one window of
    batches, one per concurrent send (see ``Session``). Order is the journal's at concurrency 1, except that
    later events overtake one that was refused, or failed alone twice.

    Args:
        name: the output's name.
        output: the destination; it is opened and closed here.
        log: the journal.
        mapper: makes an event of a revision.
        observe: takes facts.
        clock: the wall clock.
        options: how to deliver.
        refresh: reads rotated secrets again; called before each probe of a hold.
        shrink: makes an event that is too large fit, where that can be done.
        head: returns the newest sequence number; a drain without it guesses by waiting a moment.
        server_clock: the API's clock by account id, for ``max_age``; default *clock*.
        values: keeps the names of batches for an output that stores them whole; without it they do not
            survive this object.
        random: random numbers for jitter, in ``[0, 1)``.
        on_sent: learns what the collector said of each event.
    """

    def __init__(
        self,
        name: str,
        output: Output,
        log: OutputLog,
        mapper: Mapper,
        observe: Observe,
        clock: Clock,
        *,
        options: DeliveryOptions | None = None,
        refresh: Callable[[], bool] | None = None,
        shrink: Shrink | None = None,
        head: Callable[[], Awaitable[int]] | None = None,
        server_clock: ServerClock | None = None,
        values: KeyValueStore | None = None,
        random: Random = default_random,
        on_sent: OnSent = ignore_sent,
    ) -> None:
        self._output = output
        self._log = log
        self._mapper = mapper
        self._options = options or DeliveryOptions()
        self._shrink = shrink
        self._head = head
        self._server_clock = server_clock
        self._context = DeliveryContext(name, observe, clock, self._options.policy, random, on_sent)
        self._names = BatchNames(name, values)
        self._hold = HoldState(self._context)
        self._notifier = Broadcast()
        self._circuit = CircuitBreaker(self._context, output, self._hold, self._notifier, refresh)
        self._heartbeats = HeartbeatSender(self._context, output, self._circuit, self._options.heartbeat)
        self._filter_watch = FilterWatch(self._context)
        self._idle_probe = IdleProbe(self._context, output, self._circuit)
        per_minute, group_by = self._options.per_minute, self._options.group_by
        self._throttle = Throttle(per_minute, group_by) if per_minute or group_by else None
        self._session: Session | None = None
        self._position = 0
        self._last_success: datetime | None = None
        self._running = False
        self._over = False
        self._draining = False
        self._finishing = False
        self._cut = False
        self._complete = False

    async def run(self) -> None:
        """Deliver until cancelled or drained.

        When the position is moved (``rewind``, ``when_full: skip``), what is in memory is dropped and
        delivery continues from the new position. Raises what only a supervisor can handle.
        """
        self._running, self._over = True, False
        try:
            while not self._cut and not self._complete:
                with contextlib.suppress(Moved):
                    await self._run_session()
            self._over = True
        except asyncio.CancelledError:
            self._over = True
            raise
        finally:
            self._running = False
            self._notifier.notify()

    async def drain(self, seconds: float) -> bool:
        """Deliver what is in the journal now, then end ``run``; after *seconds* cut it short.

        Returns whether everything was delivered; the rest waits in the journal. A ``run`` that failed and is
        about to be started again is waited for.
        """
        self._draining = True
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                if self._session:
                    await self._stop(self._session)
                while not self._over:
                    await self._notifier.wait()
        await self._cut_short()
        return self._complete

    async def finish(self, seconds: float) -> bool:
        """Deliver what was read from the journal already, then end ``run``; the rest waits for a successor.

        Cut short after *seconds*, and at once where nothing is accepted anyway. Returns whether it was not
        cut.
        """
        self._finishing = True
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while not (self._over or self._hold.reason or self._circuit.failures):
                    if self._session:
                        self._session.reader.stop(self._session.reader.read)
                    await self._notifier.wait()
        await self._cut_short()
        return self._complete

    def resume(self) -> bool:
        """End every wait and try again now; returns whether the output was waiting.

        For an operator who knows that the collector is ready, after a collector asked for a long wait.
        """
        waiting = self._circuit.resume()
        if self._session:
            self._session.resume()
        return waiting

    @property
    def state(self) -> DeliveryState:
        """Where delivery stands at this moment."""
        session = self._session
        return DeliveryState(
            position=self._position if session is None else session.acknowledger.position,
            hold=self._hold.reason,
            hold_since=self._hold.since,
            attempt=self._circuit.failures,
            in_flight=0 if session is None else session.sender.sending,
            suspects=0 if session is None else session.sender.suspects + session.acknowledger.suspects,
            last_success=(session and session.sender.last_success) or self._last_success,
            retry_at=self._circuit.retry_at,
            wait_reason=self._circuit.wait_reason,
            concurrency=self._circuit.limit,
        )

    async def _run_session(self) -> None:
        """Deliver from the stored position on, until drained, cut, or moved."""
        position = await self._attach()
        if position is None:
            return
        ranges: Sequence[NamedRange] = ()
        if isinstance(self._output, BatchOutput):
            ranges = await self._names.load(position, await self._head() if self._head else None)
        suspects = await self._log.suspects(self._context.name)
        late = LateFailureTracker(self._context, self._output, suspects, position)
        session = self._session = self._begin(position, ranges, late)
        try:
            if self._draining:
                await self._stop(session)
            elif self._finishing:
                session.reader.stop(position)
            self._complete = await session.run()
        finally:
            self._position = session.acknowledger.position
            self._last_success = session.sender.last_success or self._last_success
            self._session = None

    async def _attach(self) -> int | None:
        """The stored position, as soon as the journal gives it; ``None`` when cut before."""
        attempt = 0
        while not self._cut:
            try:
                return await self._log.attach(self._context.name, self._options.start, self._options.backlog)
            except JournalFull as error:
                attempt += 1
                self._hold.begin("journal", f"the journal cannot add this output: {error}")
                wait = self._context.policy.backoff(attempt, self._context.random)
                await self._notifier.wait(asyncio.get_running_loop().time() + wait)
        return None

    def _begin(self, position: int, ranges: Sequence[NamedRange], late: LateFailureTracker) -> Session:
        self._hold.end("journal")
        context, limits, options = self._context, self._output.limits, self._options
        notifier, circuit, in_flight, names = self._notifier, self._circuit, InFlight(), self._names
        batcher = Batcher(limits, ranges=ranges, patient=isinstance(self._output, BatchOutput))
        event_mapper = EventMapper(
            context,
            self._mapper,
            emit=options.emit,
            max_age=options.max_age,
            throttle=self._throttle,
            is_correction=options.is_correction,
            server_clock=self._server_clock,
            event_bytes=limits.event_bytes,
            shrink=self._shrink,
        )
        replayed: set[int] = set()
        reader = PrefetchReader(
            context, self._log, event_mapper, batcher, notifier, replayed, position=position
        )
        return Session(
            reader=reader,
            sender=Sender(
                context,
                self._output,
                circuit,
                in_flight,
                batcher,
                self._filter_watch,
                names,
                replayed,
                first_only=event_mapper.first_only,
            ),
            acknowledger=Acknowledger(
                context,
                self._log,
                in_flight,
                names,
                self._hold,
                notifier,
                position=position,
                reader=reader,
                filter_watch=self._filter_watch,
                late=late,
            ),
            in_flight=in_flight,
            circuit=circuit,
            heartbeats=self._heartbeats,
            digests=DigestSender(context, self._output, circuit, self._throttle, event_mapper.map_digest),
            idle_probe=self._idle_probe,
            notifier=notifier,
            concurrency=limits.concurrency,
            settle=options.settle,
            most_suspects=options.policy.refusals,
        )

    async def _cut_short(self) -> None:
        """End ``run`` if it still runs; what is not acknowledged will be sent again."""
        if self._over:
            return
        self._cut = True
        if self._session:
            self._session.cut()
        while self._running:
            self._notifier.notify()
            await self._notifier.wait()

    async def _stop(self, session: Session) -> None:
        session.stop(await self._head() if self._head else None)
