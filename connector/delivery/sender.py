"""Sends chunks and applies the decision about each outcome: done, retry, split, suspect, or dead letter."""

from __future__ import annotations

import asyncio
from bisect import insort
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from datetime import datetime
from itertools import pairwise
from typing import TypeAlias

from connector.delivery.batch_names import BatchNames
from connector.delivery.batcher import Batcher
from connector.delivery.circuit import CircuitBreaker, Permit
from connector.delivery.context import DeliveryContext
from connector.delivery.filter_watch import FilterWatch
from connector.delivery.in_flight import Chunk, ChunkStatus, InFlight
from connector.delivery.outcome import outcome_of
from connector.delivery.reader import record_key
from connector.delivery.retry_policy import (
    Answered,
    Decision,
    HoldOutput,
    Isolate,
    Retry,
    Split,
    decide,
    excerpt,
    fault_of,
)
from connector.delivery.suspects import PoisonSearch, Suspect, Suspects
from connector.errors import DeliveryError, JournalFull, Retryable
from connector.facts import BatchPartlyRejected, BatchRetried, BatchSending, BatchSent, BatchSplit
from connector.interfaces import BatchOutput, Output
from connector.model import PARTIAL_SUCCESS, DeadLetter, Event, Limits, Receipt

Request: TypeAlias = tuple[Chunk, ...]
"""What one send carries: a chunk, or the remainders of several that were accepted in part."""


_OVERTAKING = 8
"""Batches beyond the window that may be unacknowledged while a suspect or a remainder is behind: enough for
most controls of a suspect and for the tails of 30 % refused items (500, 150, 45, 14, 4, 1). A
crash repeats at most these."""

_OVERTAKING_PER_ITEM = 1000
"""The same while one event is waited out that the collector asks for again and again. Only collectors with
an answer per item do that, and these recognise repeated events by their id; so an hour's events may pass."""


_PUSHBACKS = 8
"""Times in a row that a request may be refused as too much at once before it counts as failed like any other.
Three halvings take the highest concurrency, 8, down to 1; the rest is chance."""

_STUCK = 3
"""Combined requests in a row without an accepted event after which each remainder is sent by itself. Of two
events, 30 % refused each, every request of a thousand gets there."""


class ContradictoryReceipt(Exception):
    """A receipt named an event twice, or one that was not sent, or miscounted: nothing may be assumed."""


class Sender:
    """The chunks that wait for a send, in journal order, and what becomes of them.

    Args:
        context: what the output's delivery shares.
        output: the destination.
        circuit: says when a send may begin.
        in_flight: holds what is being delivered.
        batcher: learns what size the collector takes.
        filter_watch: learns that an event was sent.
        names: names the batches of an output that stores them whole. What such a batch failed with is the
            collector's, never an event's: cut in two it would have other names and could be stored twice.
        replayed: sequence numbers of dead letters that an operator sends again. One that is refused again
            becomes a dead letter at once, and says nothing about the collector: it was known to be refused.
        first_only: what a record was emitted as is stored with the position (``emit: first``).
    """

    def __init__(
        self,
        context: DeliveryContext,
        output: Output,
        circuit: CircuitBreaker,
        in_flight: InFlight,
        batcher: Batcher,
        filter_watch: FilterWatch,
        names: BatchNames,
        replayed: AbstractSet[int],
        *,
        first_only: bool = False,
    ) -> None:
        self._context = context
        self._output = output
        self._whole = output if isinstance(output, BatchOutput) else None
        self._names = names
        self._replayed = replayed
        self._first_only = first_only
        self._circuit = circuit
        self._in_flight = in_flight
        self._batcher = batcher
        self._filter_watch = filter_watch
        self._limits: Limits = output.limits
        self._waiting: list[Chunk] = []
        self._suspects = Suspects()
        self._search = PoisonSearch(context.policy, context.random)
        self._suspect_sent: Chunk | None = None
        self.sending = 0
        self.last_success: datetime | None = None

    @property
    def refused(self) -> int:
        """How many events were refused alone and wait for an acceptance of another event."""
        return len(self._suspects)

    @property
    def suspects(self) -> int:
        """How many events were refused or failed alone and wait for evidence."""
        return self._in_flight.suspects

    @property
    def needs_control(self) -> bool:
        """Whether another event should be sent next, to tell a poisoned event from a failing collector."""
        return any(self._search.needs_control(chunk) for chunk in self._waiting)

    @property
    def searching(self) -> bool:
        """Whether requests failed, and it is open whether an event or the collector is to blame.

        A request that the collector answered per event did not fail: it asked for these events again.
        """
        return any(chunk.failures and chunk.events and not chunk.per_item for chunk in self._in_flight)

    @property
    def overtaking(self) -> int:
        """How many batches per concurrent send may overtake what holds the position back."""
        return _OVERTAKING_PER_ITEM if any(map(self._search.waits_out, self._waiting)) else _OVERTAKING

    @property
    def due(self) -> float | None:
        """Loop time at which the next chunk has backed off long enough; ``None`` where none backs off."""
        now = asyncio.get_running_loop().time()
        moments = (moment for chunk in self._waiting for moment in (chunk.not_before, chunk.collect_until))
        return min((moment for moment in moments if moment > now), default=None)

    def next(self, now: float, *, full: bool, dry: bool) -> Request | None:
        """Take what waits to be sent again.

        The order is that of the journal, with two exceptions: a suspect takes turns with other events, and
        remainders of batches that were accepted in part are collected until they fill a request.

        Args:
            now: the loop's time.
            full: the window allows no new batch.
            dry: there are no new events.
        """
        plain = next(
            (
                chunk
                for chunk in self._waiting
                if chunk.status is not ChunkStatus.SUSPECT and not chunk.remainder and chunk.not_before <= now
            ),
            None,
        )
        controlled = self.needs_control
        if not controlled:
            suspect = self._due_suspect(now, eager=plain is not None or not (full or dry))
            if suspect is not None:
                return self._take(suspect)
        if plain is not None and self.suspects < self._context.policy.refusals:
            return self._take(self.control(plain))
        if (request := self._remainders(now, ready=full or dry)) is not None:
            return request
        if controlled and (full or dry or plain is not None):
            return self._take_suspect_again(now)
        return None

    def control(self, chunk: Chunk) -> Chunk:
        """Cut *chunk* down to its first event while a suspect is on trial: one is enough to compare with."""
        on_trial = any(c.status is ChunkStatus.SUSPECT and self._search.on_trial(c) for c in self._waiting)
        if not on_trial or len(chunk.events) == 1:
            return chunk
        first, rest = self._in_flight.split(chunk, [chunk.events[:1], chunk.events[1:]])
        if chunk in self._waiting:
            self._waiting.remove(chunk)
            self._again([first])
        self._again([rest])
        return first

    async def send(self, request: Request) -> None:
        """Send *request* once, when the circuit breaker permits, and apply what follows."""
        try:
            permit = await self._circuit.enter()
            outcome, seconds = await self._send(request)
        finally:
            if request[0] is self._suspect_sent:
                self._suspect_sent = None
        if len(request) > 1 and not isinstance(outcome, Receipt):
            decision = self._decide(request[0], _events_of(request), outcome, seconds)
            if self._waits_its_turn(request, decision, permit, seconds):
                return
            # One chunk may be to blame: each is sent by itself from now on.
            self._circuit.answered(permit, decision)
            for chunk in request:
                chunk.alone = True
            self._again(request)
            return
        partly = ""
        if isinstance(outcome, Receipt):
            self._report(request, outcome, seconds)
            partly = self._rejected_in_part(request, outcome)
        if len(request) > 1 and isinstance(outcome, Receipt):
            self._apply_to_remainders(request, outcome, permit, seconds, partly)
            return
        [chunk] = request
        decision = self._decide(chunk, chunk.events, outcome, seconds)
        if self._waits_its_turn(request, decision, permit, seconds):
            return
        if (failure := self._failure(chunk, decision)) is not None:
            self._fail(chunk, failure, decision, permit)
            return
        self._circuit.answered(permit, decision)
        self._apply(chunk, decision, seconds, partly)

    def on_idle(self) -> None:
        """Nothing else is left to send: dead-letter refused events, or retry them once more."""
        suspects = self._suspects.on_idle()
        if suspects is not None:
            self._dead_letter_suspects(suspects)
            return
        self._circuit.pause(self._context.policy.backoff(self._suspects.refusals, self._context.random))
        self._again([suspect.chunk for suspect in self._suspects.retry_all()])

    def resume(self) -> None:
        """End the backoff of every chunk."""
        for chunk in self._waiting:
            chunk.not_before = chunk.collect_until = float("-inf")

    def _take(self, chunk: Chunk) -> Request:
        self._waiting.remove(chunk)
        if chunk.status is ChunkStatus.SUSPECT:
            self._suspect_sent = chunk
        return (chunk,)

    def _due_suspect(self, now: float, *, eager: bool) -> Chunk | None:
        """The first suspect in the journal. One at a time, or their failures would be taken for controls.

        *eager*: there are controls at hand, so the suspects that need them do not back off.
        """
        if self._suspect_sent is not None:
            return None
        for chunk in self._waiting:
            if chunk.status is not ChunkStatus.SUSPECT:
                continue
            if chunk.rests and eager:
                chunk.rests -= 1
                return None
            if chunk.not_before <= now or (eager and self._search.on_trial(chunk)):
                return chunk
        return None

    def _take_suspect_again(self, now: float) -> Request | None:
        """There is no plain control: try a suspect without evidence, as in an outage all are, in turns."""
        if self._suspect_sent is not None:
            return None
        suspects = [c for c in self._waiting if c.status is ChunkStatus.SUSPECT and c.not_before <= now]
        unproven = [chunk for chunk in suspects if not chunk.contrasts and not chunk.awaits_control]
        chunk = min(unproven or suspects, key=lambda chunk: chunk.last_failed, default=None)
        return None if chunk is None else self._take(chunk)

    def _remainders(self, now: float, *, ready: bool) -> Request | None:
        """Remainders for one request: as soon as they nearly fill it, or *ready*, as nothing else can go."""
        chosen: list[Chunk] = []
        events = size = 0
        due = ready
        for chunk in self._waiting:
            if not chunk.remainder or chunk.status is ChunkStatus.SUSPECT or chunk.not_before > now:
                continue
            if chosen and (
                chunk.alone
                or events + len(chunk.events) > self._limits.events
                or size + chunk.bytes > self._limits.bytes
            ):
                break
            chosen.append(chunk)
            events += len(chunk.events)
            size += chunk.bytes
            due = due or chunk.collect_until <= now
            if chunk.alone:
                break
        if not chosen or not (due or 4 * events >= 3 * self._limits.events):
            return None
        for chunk in chosen:
            self._waiting.remove(chunk)
        return tuple(chosen)

    async def _send(self, request: Request) -> tuple[Receipt | Exception, float]:
        loop = asyncio.get_running_loop()
        events = _events_of(request)
        self.sending += len(events)
        try:
            self._context.observe(
                BatchSending(self._context.name, len(events), sum(chunk.bytes for chunk in request))
            )
            for chunk in request:
                chunk.attempts += 1
                chunk.first_tried = chunk.first_tried or self._context.clock()
            try:
                await self._name(request)
            except JournalFull as error:
                return Retryable(f"the journal cannot store the name of the batch: {error}"), 0.0
            began = loop.time()
            outcome = await outcome_of(self._attempt(request, events))
            return outcome, loop.time() - began
        finally:
            self.sending -= len(events)
            self._circuit.leave()

    async def _name(self, request: Request) -> None:
        """Name the batch before it is sent for the first time, so that every repetition has its name."""
        for chunk in request if self._whole else ():
            if chunk.name is None:
                first, last = chunk.events[0].sequence, chunk.events[-1].sequence
                chunk.name = await self._names.name(first, last, self._context.clock())

    async def _attempt(self, request: Request, events: Sequence[Event]) -> Receipt:
        name = request[0].name
        if self._whole and name is not None:
            try:
                receipt = await self._whole.send_batch(name, events)
            except DeliveryError:
                raise
            except Exception as error:
                # A bug proves nothing about the events, and the batch may be stored.
                raise Retryable(f"unexpected {fault_of(error)}") from error
        else:
            receipt = await self._output.send(events)
        named = [*receipt.rejected, *receipt.retry]
        if len(set(named)) < len(named) or not all(0 <= index < len(events) for index in named):
            raise ContradictoryReceipt
        if receipt.unnamed and not 0 < receipt.unnamed < len(events) - len(named):
            raise ContradictoryReceipt
        self._context.on_sent(self._context.name, events, receipt)
        return receipt

    def _decide(
        self, chunk: Chunk, events: Sequence[Event], outcome: Receipt | Exception, seconds: float
    ) -> Decision:
        """What to do after a send of *events*, those of *chunk* and of chunks that travelled with it."""
        context = self._context
        history = self._circuit.history(
            refusals=self._suspects.refusals - self._known_refusals(events, outcome),
            fault=chunk.fault,
            faults=chunk.faults,
            seconds=seconds,
        )
        decision = decide(outcome, len(events), history, policy=context.policy, random=context.random)
        fault = fault_of(outcome)
        chunk.faults = chunk.faults + 1 if fault == chunk.fault else 1
        chunk.fault = fault
        return decision

    def _known_refusals(self, events: Sequence[Event], outcome: Receipt | Exception) -> int:
        """How many refusals *outcome* would count that are of replayed dead letters alone."""
        if isinstance(outcome, Receipt):
            return sum(self._all_replayed(events[index : index + 1]) for index in outcome.rejected)
        return int(self._all_replayed(events))

    def _all_replayed(self, events: Sequence[Event]) -> bool:
        return all(event.sequence in self._replayed for event in events)

    def _failure(self, chunk: Chunk, decision: Decision) -> Retry | None:
        """The failure where request or collector may be to blame; ``None`` for every other outcome.

        That is: nothing was accepted, and no event was called wrong.
        """
        match decision:
            case Answered(accepted=0) if decision.retry and not decision.rejected:
                reason = _asked_again(len(decision.retry), len(chunk.events), decision.reason)
                return Retry(reason, decision.after or 0.0, decision.asked)
            case HoldOutput(wholesale=False):
                return Retry(decision.reason, decision.after, decision.asked)
            case Retry():
                return decision
            case _:
                return None

    def _waits_its_turn(self, request: Request, decision: Decision, permit: Permit, seconds: float) -> bool:
        """Whether only *request* waits: the collector was too busy for it and accepted others meanwhile.

        That is no failure: concurrent requests were too many for it, and fewer will be sent at once.
        """
        match decision:
            case Answered(accepted=0, asked=None) if decision.retry and not decision.rejected:
                reason = _asked_again(len(decision.retry), len(decision.retry), decision.reason)
            case Retry(busy=True, asked=None):
                reason = decision.reason
            case _:
                return False
        pushbacks = max(chunk.pushbacks for chunk in request) + 1
        if pushbacks > _PUSHBACKS or not self._circuit.progressed(permit):
            return False
        context = self._context
        self._circuit.pushed_back(permit)
        wait = context.policy.backoff(pushbacks, context.random, pace=seconds)
        not_before = asyncio.get_running_loop().time() + wait
        for chunk in request:
            chunk.pushbacks = pushbacks
            chunk.not_before = not_before
        context.observe(BatchRetried(context.name, reason, pushbacks, wait, None))
        self._again(request)
        return True

    def _fail(self, chunk: Chunk, failure: Retry, decision: Decision, permit: Permit) -> None:
        """A request failed: blame the collector, unless others are accepted where this one is not."""
        if self._whole:
            self._circuit.answered(permit, decision)
            self._again([chunk])
            return
        per_item = isinstance(decision, Answered)
        answer = failure.reason
        now, context = asyncio.get_running_loop().time(), self._context
        self._search.failed(
            chunk, answer, self._in_flight, self._circuit.failed_openings, now, per_item=per_item
        )
        if self._search.to_blame(chunk):
            wait = context.policy.backoff(chunk.failures, context.random)
            chunk.not_before = now + wait
            context.observe(BatchRetried(context.name, answer, chunk.failures, wait, failure.asked))
            if not per_item:
                self._circuit.distrust(permit)
        else:
            self._circuit.answered(permit, decision)
            if per_item:
                context.observe(
                    BatchRetried(context.name, answer, chunk.failures, failure.after, failure.asked)
                )
        cut = self._search.cut(chunk)
        if not cut:
            self._again([chunk])
            return
        context.observe(BatchSplit(context.name, len(chunk.events), answer))
        self._again(self._in_flight.split(chunk, [chunk.events[:cut], chunk.events[cut:]]))

    def _apply(self, chunk: Chunk, decision: Decision, seconds: float, partly: str) -> None:
        match decision:
            case Answered():
                self._apply_answer(chunk, decision, seconds, partly)
            case Split():
                self._split(chunk, decision)
            case Isolate():
                self._refused_alone(chunk, decision.reason, decision.answer)
            case HoldOutput():
                self._again([chunk, *(suspect.chunk for suspect in self._suspects.release_all())])
            case Retry():
                raise AssertionError("failures are handled by _fail")

    def _apply_answer(self, chunk: Chunk, answered: Answered, seconds: float, partly: str) -> None:
        if answered.retry and not (answered.rejected and not answered.accepted):
            self._report_retry(len(answered.retry), len(chunk.events), chunk.attempts, answered)
        if not answered.accepted and answered.rejected:
            self._sort_out(chunk, answered)
            return
        if answered.accepted:
            self._progress()
        self._keep_remainder(chunk, answered.rejected, answered.retry, seconds, partly)

    def _apply_to_remainders(
        self, request: Request, receipt: Receipt, permit: Permit, seconds: float, partly: str
    ) -> None:
        """Divide one receipt among the chunks whose remainders travelled together."""
        size = sum(len(chunk.events) for chunk in request)
        decision = self._decide(request[0], _events_of(request), receipt, seconds)
        if self._waits_its_turn(request, decision, permit, seconds):
            return
        self._circuit.answered(permit, decision)
        accepted = size - len(receipt.rejected) - len(receipt.retry) - receipt.unnamed
        if not accepted:
            for chunk in request:
                chunk.stuck += 1
                chunk.alone = bool(receipt.rejected) or chunk.stuck >= _STUCK
            if isinstance(decision, Answered) and not receipt.rejected:
                self._report_retry(size, size, request[0].attempts, decision)
            self._again(request)
            return
        if receipt.retry and isinstance(decision, Answered):
            self._report_retry(len(receipt.retry), size, request[0].attempts, decision)
        self._progress()
        start = 0
        for chunk in request:
            stop = start + len(chunk.events)
            rejected = {i - start: text for i, text in receipt.rejected.items() if start <= i < stop}
            retry = frozenset(i - start for i in receipt.retry if start <= i < stop)
            self._keep_remainder(chunk, rejected, retry, seconds, partly)
            start = stop

    def _progress(self) -> None:
        """The collector accepted events: settle what waited for that."""
        self.last_success = self._context.clock()
        self._batcher.grow()
        self._filter_watch.accepted()
        self._dead_letter_suspects(self._suspects.accepted())
        for chunk in self._search.accepted(self._in_flight, self._circuit.failed_openings):
            # One that is being sent just now may still be accepted.
            if chunk in self._waiting:
                self._waiting.remove(chunk)
                answer = f"every request with this event failed while others were accepted: {chunk.answer}"
                self._dead_letter(chunk, "poison", excerpt(answer))

    def _keep_remainder(
        self, chunk: Chunk, rejected: Mapping[int, str], retry: frozenset[int], seconds: float, partly: str
    ) -> None:
        """Dead-letter what was rejected, and keep what is to be sent again; the rest is accepted.

        *partly*: why some of the rest was rejected, without saying which; empty if all was accepted.
        """
        size = len(chunk.events)
        if len(retry) < size:
            chunk.alone = False
            chunk.stuck = 0
        chunk.pushbacks = 0
        for index, answer in rejected.items():
            chunk.dead.append(self._letter(chunk, chunk.events[index], "rejected", excerpt(answer)))
        done: Sequence[Event] = chunk.events
        if retry or rejected:
            done = [one for n, one in enumerate(chunk.events) if n not in retry and n not in rejected]
        if partly:
            chunk.dead += [self._letter(chunk, event, PARTIAL_SUCCESS, partly) for event in done]
        elif self._first_only:
            chunk.emitted |= {record_key(event.revision): event.revision.identity for event in done}
        chunk.events = tuple([chunk.events[index] for index in sorted(retry)])
        if not chunk.events:
            chunk.status = ChunkStatus.DONE
            return
        context = self._context
        # Where most were accepted there is room for the rest now. The wait never grows: this is progress.
        now = asyncio.get_running_loop().time()
        if 2 * len(retry) > size:
            chunk.not_before = now + context.policy.backoff(1, context.random, pace=seconds)
        chunk.collect_until = now + context.policy.base
        chunk.remainder = True
        self._again([chunk])

    def _sort_out(self, chunk: Chunk, answered: Answered) -> None:
        """Nothing was accepted: suspect each rejected event alone, send what lies between them again."""
        cuts = sorted({0, len(chunk.events), *answered.rejected, *(index + 1 for index in answered.rejected)})
        groups = [chunk.events[start:stop] for start, stop in pairwise(cuts)]
        for start, piece in zip(cuts, self._in_flight.split(chunk, groups), strict=False):
            if start in answered.rejected:
                self._refused_alone(piece, "rejected", excerpt(answered.rejected[start]))
            else:
                self._again([piece])

    def _split(self, chunk: Chunk, split: Split) -> None:
        if not self._all_replayed(chunk.events):
            self._suspects.refused()
        if split.too_large:
            self._batcher.shrink(chunk.bytes)
        self._context.observe(BatchSplit(self._context.name, len(chunk.events), split.reason))
        groups = [chunk.events[start:stop] for start, stop in split.chunks]
        self._again(self._in_flight.split(chunk, groups))

    def _refused_alone(self, chunk: Chunk, reason: str, answer: str) -> None:
        """Suspect the one event of *chunk*, which was refused; a replayed one is a dead letter again."""
        if self._all_replayed(chunk.events):
            self._dead_letter(chunk, reason, answer)
            return
        self._suspects.refused()
        chunk.status = ChunkStatus.SUSPECT
        self._suspects.add(Suspect(chunk, reason, answer))

    def _dead_letter_suspects(self, suspects: Sequence[Suspect]) -> None:
        for suspect in suspects:
            self._dead_letter(suspect.chunk, suspect.reason, suspect.answer)

    def _dead_letter(self, chunk: Chunk, reason: str, answer: str) -> None:
        chunk.dead.append(self._letter(chunk, chunk.events[0], reason, answer))
        chunk.events = ()
        chunk.status = ChunkStatus.DONE

    def _again(self, chunks: Sequence[Chunk]) -> None:
        for chunk in chunks:
            if chunk.status is not ChunkStatus.SUSPECT or not chunk.failures:
                chunk.status = ChunkStatus.OPEN
            insort(self._waiting, chunk, key=lambda waiting: waiting.sequence)

    def _letter(self, chunk: Chunk, event: Event, reason: str, answer: str) -> DeadLetter:
        now = self._context.clock()
        first = chunk.first_tried or now
        return DeadLetter(
            self._context.name, event.sequence, event.revision, reason, answer, chunk.attempts, first, now
        )

    def _report_retry(self, count: int, size: int, attempt: int, answered: Answered) -> None:
        reason = _asked_again(count, size, answered.reason)
        self._context.observe(
            BatchRetried(self._context.name, reason, attempt, answered.after or 0.0, answered.asked)
        )

    def _rejected_in_part(self, request: Request, receipt: Receipt) -> str:
        """What to note beside every event of *request* that *receipt* does not name; empty: accepted.

        Sending them again would double those that were taken. The next batches are smaller, so that fewer
        events share the doubt; one event alone is refused by name.
        """
        if not receipt.unnamed:
            return ""
        size = sum(len(chunk.events) for chunk in request)
        self._batcher.shrink(sum(chunk.bytes for chunk in request))
        self._context.observe(
            BatchPartlyRejected(self._context.name, receipt.unnamed, size, excerpt(receipt.unnamed_reason))
        )
        known = len(receipt.rejected) + len(receipt.retry)
        return excerpt(
            f"{receipt.unnamed} of {size - known} events rejected, the collector does not say which: "
            f"{receipt.unnamed_reason}"
        )

    def _report(self, request: Request, receipt: Receipt, seconds: float) -> None:
        accepted = _events_of(request)
        if named := receipt.retry | receipt.rejected.keys():
            accepted = [event for index, event in enumerate(accepted) if index not in named]
        self._context.observe(
            BatchSent(
                self._context.name,
                len(accepted) - receipt.unnamed,
                len(receipt.rejected),
                len(receipt.retry),
                receipt.duplicates,
                sum([len(event.payload) for event in accepted]),
                seconds,
                max([event.time for event in accepted], default=None),
            )
        )


def _events_of(request: Request) -> Sequence[Event]:
    if len(request) == 1:
        return request[0].events
    return [event for chunk in request for event in chunk.events]


def _asked_again(count: int, size: int, why: str) -> str:
    number = f"all {size}" if count == size else f"{count} of {size}"
    return excerpt(f"the collector asked for {number} events again{f': {why}' if why else ''}")
