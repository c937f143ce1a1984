"""Sends parts, and does with them what was decided."""

from __future__ import annotations

import asyncio
from bisect import insort
from collections.abc import Sequence
from datetime import datetime
from itertools import pairwise

from connector.delivery.batcher import Batcher, Item
from connector.delivery.circuit import CircuitBreaker
from connector.delivery.context import DeliveryContext
from connector.delivery.in_flight import Chunk, InFlight, Status
from connector.delivery.outcome import outcome_of
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
from connector.delivery.suspects import Suspect, Suspects
from connector.facts import BatchRetried, BatchSending, BatchSent, BatchSplit
from connector.interfaces import Output
from connector.model import DeadLetter, Event, Receipt
from connector.net.backoff import full_jitter


class ContradictoryReceipt(Exception):
    """A receipt named an event twice, or one that was not sent: nothing may be assumed."""


class Sender:
    """The parts that wait for a send, in journal order, and what becomes of them.

    Args:
        kit: what the output's delivery shares.
        output: the destination.
        gate: says when a send may begin.
        ledger: holds what is under way.
        batcher: learns what size the collector takes.
    """

    def __init__(
        self,
        context: DeliveryContext,
        output: Output,
        circuit: CircuitBreaker,
        in_flight: InFlight,
        batcher: Batcher,
    ) -> None:
        self._context = context
        self._output = output
        self._circuit = circuit
        self._in_flight = in_flight
        self._batcher = batcher
        self._waiting: list[Chunk] = []
        self._suspects = Suspects()
        self.sending = 0
        self.last_success: datetime | None = None

    @property
    def suspects(self) -> int:
        """How many events were refused alone and wait for proof that it is their own fault."""
        return len(self._suspects)

    def next(self) -> Chunk | None:
        """Take the first part that waits to be sent again."""
        return self._waiting.pop(0) if self._waiting else None

    async def send(self, chunk: Chunk) -> None:
        """Send *part* once, when the gate opens, and see to what follows."""
        generation = await self._circuit.enter()
        loop, size = asyncio.get_running_loop(), len(chunk.items)
        self.sending += size
        try:
            self._context.observe(BatchSending(self._context.name, size, chunk.bytes))
            chunk.attempts += 1
            chunk.first_tried = chunk.first_tried or self._context.clock()
            began = loop.time()
            outcome = await outcome_of(self._attempt([item.event for item in chunk.items]))
        finally:
            self.sending -= size
            self._circuit.leave()
        decision = self._decide(chunk, outcome)
        if isinstance(outcome, Receipt):
            self._tell(chunk, outcome, loop.time() - began)
        self._circuit.answered(generation, decision)
        self._apply(chunk, decision)

    def on_idle(self) -> None:
        """Nothing else is there to send: bury what is in doubt, or ask the collector once more."""
        suspects = self._suspects.on_idle()
        if suspects is not None:
            self._dead_letter(suspects)
            return
        policy = self._context.policy
        wait = full_jitter(
            self._suspects.refusals, base=policy.base, cap=policy.cap, random=self._context.random
        )
        self._circuit.pause(wait)
        self._again([each.chunk for each in self._suspects.retry_all()])

    async def _attempt(self, events: Sequence[Event]) -> Receipt:
        receipt = await self._output.send(events)
        named = [*receipt.rejected, *receipt.retry]
        if len(set(named)) < len(named) or not all(0 <= index < len(events) for index in named):
            raise ContradictoryReceipt
        return receipt

    def _decide(self, chunk: Chunk, outcome: Receipt | Exception) -> Decision:
        history = self._circuit.history(
            refusals=self._suspects.refusals, fault=chunk.fault, faults=chunk.faults
        )
        decision = decide(
            outcome, len(chunk.items), history, policy=self._context.policy, random=self._context.random
        )
        fault = fault_of(outcome)
        chunk.faults = chunk.faults + 1 if fault == chunk.fault else 1
        chunk.fault = fault
        return decision

    def _apply(self, chunk: Chunk, decision: Decision) -> None:
        match decision:
            case Answered():
                self._settle(chunk, decision)
            case Split():
                self._split(chunk, decision)
            case Isolate():
                self._suspects.refused()
                self._suspect(chunk, decision.reason, decision.answer)
            case HoldOutput(wholesale=True):
                self._again([chunk, *(each.chunk for each in self._suspects.release_all())])
            case Retry() | HoldOutput():
                self._again([chunk])

    def _settle(self, chunk: Chunk, answered: Answered) -> None:
        if answered.retry:
            reason = f"{len(answered.retry)} of {len(chunk.items)} events are to be sent again"
            self._context.observe(
                BatchRetried(
                    self._context.name, reason, chunk.attempts, answered.after or 0.0, answered.asked
                )
            )
        if not answered.accepted and answered.rejected:
            self._suspects.refused(len(answered.rejected))
            self._sort_out(chunk, answered)
            return
        if answered.accepted:
            self.last_success = self._context.clock()
            self._batcher.grow()
            self._dead_letter(self._suspects.accepted())
        for index, answer in answered.rejected.items():
            chunk.dead.append(self._letter(chunk, chunk.items[index], "rejected", excerpt(answer)))
        chunk.items = tuple(chunk.items[index] for index in sorted(answered.retry))
        if chunk.items:
            self._again([chunk])
        else:
            chunk.status = Status.DONE

    def _sort_out(self, chunk: Chunk, answered: Answered) -> None:
        """Nothing was accepted: condemn each rejected event alone, send what lies between them again."""
        cuts = sorted({0, len(chunk.items), *answered.rejected, *(index + 1 for index in answered.rejected)})
        groups = [chunk.items[start:stop] for start, stop in pairwise(cuts)]
        for start, piece in zip(cuts, self._in_flight.carve(chunk, groups), strict=False):
            if start in answered.rejected:
                self._suspect(piece, "rejected", excerpt(answered.rejected[start]))
            else:
                self._again([piece])

    def _split(self, chunk: Chunk, split: Split) -> None:
        self._suspects.refused()
        if split.too_large:
            self._batcher.shrink(chunk.bytes)
        self._context.observe(BatchSplit(self._context.name, len(chunk.items), split.reason))
        self._again(self._in_flight.carve(chunk, [chunk.items[start:stop] for start, stop in split.chunks]))

    def _suspect(self, chunk: Chunk, reason: str, answer: str) -> None:
        chunk.status = Status.SUSPECT
        self._suspects.add(Suspect(chunk, reason, answer))

    def _dead_letter(self, suspects: Sequence[Suspect]) -> None:
        for each in suspects:
            each.chunk.dead.append(self._letter(each.chunk, each.chunk.items[0], each.reason, each.answer))
            each.chunk.items = ()
            each.chunk.status = Status.DONE

    def _again(self, chunks: Sequence[Chunk]) -> None:
        for chunk in chunks:
            chunk.status = Status.OPEN
            insort(self._waiting, chunk, key=lambda waiting: waiting.items[0].sequence)

    def _letter(self, chunk: Chunk, item: Item, reason: str, answer: str) -> DeadLetter:
        now = self._context.clock()
        first = chunk.first_tried or now
        return DeadLetter(
            self._context.name, item.sequence, item.event.revision, reason, answer, chunk.attempts, first, now
        )

    def _tell(self, chunk: Chunk, receipt: Receipt, seconds: float) -> None:
        named = receipt.retry | receipt.rejected.keys()
        taken = [item.event for index, item in enumerate(chunk.items) if index not in named]
        self._context.observe(
            BatchSent(
                self._context.name,
                len(taken),
                len(receipt.rejected),
                len(receipt.retry),
                receipt.duplicates,
                sum(len(event.payload) for event in taken),
                seconds,
                max((event.time for event in taken), default=None),
            )
        )
