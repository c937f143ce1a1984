"""The delivery of one output: one worker, to be supervised."""

from __future__ import annotations

import asyncio
import contextlib
import random as chance
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from connector.broadcast import Broadcast
from connector.delivery.acknowledger import Acknowledger
from connector.delivery.batcher import Batcher
from connector.delivery.circuit import CircuitBreaker, HoldState
from connector.delivery.context import DeliveryContext
from connector.delivery.heartbeat import Heartbeat, HeartbeatSender
from connector.delivery.in_flight import InFlight
from connector.delivery.reader import Emit, EventMapper, PrefetchReader, Shrink
from connector.delivery.retry_policy import Random, RetryPolicy
from connector.delivery.sender import Sender
from connector.delivery.session import Session
from connector.errors import JournalFull, Moved
from connector.interfaces import Clock, Mapper, Observe, Output, OutputLog, Start
from connector.model import Backlog
from connector.net.backoff import full_jitter


@dataclass(frozen=True, slots=True)
class DeliveryOptions:
    """What an output's delivery may be told.

    Args:
        start: where a new output begins.
        backlog: how much it may leave undelivered.
        emit: ``all`` revisions, or only the ``first`` sight of a record.
        max_age: events older than this when they are mapped are left out and counted.
        heartbeat: a status event at regular times; ``None`` for none.
        settle: seconds without anything to send after which an event in doubt is buried.
        policy: the numbers of back-off, probes and refusals.
    """

    start: Start = "head"
    backlog: Backlog = field(default_factory=Backlog)
    emit: Emit = "all"
    max_age: timedelta | None = None
    heartbeat: Heartbeat | None = None
    settle: float = 1.0
    policy: RetryPolicy = field(default_factory=RetryPolicy)


@dataclass(frozen=True, slots=True)
class DeliveryState:
    """Where an output's delivery stands, for people.

    Args:
        position: the sequence number up to which all is done and durable.
        hold: why it waits for a person; ``None`` where it does not.
        hold_since: when that began.
        attempt: failures in a row; 0 when all is well.
        in_flight: events that are being sent just now.
        doubtful: events that were refused alone and wait for proof that it is their own fault.
        last_success: when the collector last accepted an event.
    """

    position: int
    hold: str | None
    hold_since: datetime | None
    attempt: int
    in_flight: int
    suspects: int
    last_success: datetime | None


class Deliverer:
    """Delivers the journal to one output, endlessly and in order.

    Every revision is accepted by the output, or filtered on purpose, or becomes a dead letter, before the
    position passes it. A crash, a cancelled ``run`` and a drain cut short repeat at most the batches that
    were in flight, one per concurrent send.

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
        head: tells the newest sequence number; a drain without it guesses by waiting a moment.
        random: chance for jitter, in ``[0, 1)``.
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
        random: Random = chance.random,
    ) -> None:
        self._output = output
        self._log = log
        self._mapper = mapper
        self._options = options or DeliveryOptions()
        self._shrink = shrink
        self._head = head
        self._context = DeliveryContext(name, observe, clock, self._options.policy, random)
        self._hold = HoldState(self._context)
        self._notifier = Broadcast()
        self._circuit = CircuitBreaker(self._context, output, self._hold, self._notifier, refresh)
        self._heartbeats = HeartbeatSender(self._context, output, self._circuit, self._options.heartbeat)
        self._session: Session | None = None
        self._position = 0
        self._last_success: datetime | None = None
        self._running = False
        self._over = False
        self._draining = False
        self._cut = False
        self._complete = False

    async def run(self) -> None:
        """Deliver until cancelled or drained.

        Somebody who moves the position (``rewind``, ``when_full: skip``) is followed: what is in memory
        is dropped and delivery goes on from there. Raises what only a supervisor can handle.
        """
        self._running, self._over = True, False
        try:
            while not self._cut and not self._complete:
                with contextlib.suppress(Moved):
                    await self._stretch()
            self._over = True
        except asyncio.CancelledError:
            self._over = True
            raise
        finally:
            self._running = False
            self._notifier.notify()

    def resume(self) -> bool:
        """End the current wait: the next attempt starts now; returns whether the output was waiting."""
        return self._circuit.resume()

    async def drain(self, seconds: float) -> bool:
        """Deliver what is in the journal now, then end ``run``; after *seconds* cut it short.

        Says whether all was delivered; what was not waits in the journal. A ``run`` that failed and is
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

        Cut short after *seconds*, and at once where nothing is accepted anyway. Says whether it was not.
        """
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while not (self._over or self._hold.reason or self._circuit.failures):
                    if self._session:
                        self._session.reader.stop(self._session.reader.read)
                    await self._notifier.wait()
        await self._cut_short()
        return self._complete

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
            suspects=0 if session is None else session.sender.suspects,
            last_success=(session and session.sender.last_success) or self._last_success,
        )

    async def _stretch(self) -> None:
        """Deliver from the stored position on, until drained, cut, or moved."""
        position = await self._attach()
        if position is None:
            return
        session = self._session = self._begin(position)
        try:
            if self._draining:
                await self._stop(session)
            self._complete = await session.run()
        finally:
            self._position = session.acknowledger.position
            self._last_success = session.sender.last_success or self._last_success
            self._session = None

    async def _attach(self) -> int | None:
        """The stored position, as soon as the journal gives it; ``None`` when cut before."""
        attempt, policy = 0, self._context.policy
        while not self._cut:
            try:
                return await self._log.attach(self._context.name, self._options.start, self._options.backlog)
            except JournalFull as error:
                attempt += 1
                self._hold.begin("journal", f"the journal cannot begin this output: {error}")
                wait = full_jitter(attempt, base=policy.base, cap=policy.cap, random=self._context.random)
                await self._notifier.wait(asyncio.get_running_loop().time() + wait)
        return None

    def _begin(self, position: int) -> Session:
        self._hold.end("journal")
        context, limits, options = self._context, self._output.limits, self._options
        notifier, circuit, in_flight, batcher = self._notifier, self._circuit, InFlight(), Batcher(limits)
        event_mapper = EventMapper(
            context,
            self._mapper,
            emit=options.emit,
            max_age=options.max_age,
            event_bytes=limits.event_bytes,
            shrink=self._shrink,
        )
        reader = PrefetchReader(context, self._log, event_mapper, batcher, notifier, position=position)
        return Session(
            reader=reader,
            sender=Sender(context, self._output, circuit, in_flight, batcher),
            acknowledger=Acknowledger(
                context,
                self._log,
                in_flight,
                self._hold,
                notifier,
                position=position,
                read=lambda: reader.read,
            ),
            in_flight=in_flight,
            circuit=circuit,
            heartbeats=self._heartbeats,
            notifier=notifier,
            concurrency=limits.concurrency,
            settle=options.settle,
        )

    async def _cut_short(self) -> None:
        """End ``run`` where it goes on; what is not acknowledged will be sent again."""
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
