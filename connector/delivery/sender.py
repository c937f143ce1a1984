"""Sends parts, and does with them what was decided."""

from __future__ import annotations

import asyncio
from bisect import insort
from collections.abc import Sequence
from datetime import datetime
from itertools import pairwise

from connector.delivery.batcher import Batcher, Item
from connector.delivery.circuit import Gate
from connector.delivery.context import Kit
from connector.delivery.in_flight import Fate, Ledger, Part
from connector.delivery.notifier import outcome_of
from connector.delivery.retry_policy import (
    Condemn,
    Decision,
    Retry,
    Settled,
    Split,
    Suspend,
    decide,
    excerpt,
    fault_of,
)
from connector.delivery.suspects import Condemned, Doubt
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

    def __init__(self, kit: Kit, output: Output, gate: Gate, ledger: Ledger, batcher: Batcher) -> None:
        self._kit = kit
        self._output = output
        self._gate = gate
        self._ledger = ledger
        self._batcher = batcher
        self._waiting: list[Part] = []
        self._doubt = Doubt()
        self.in_flight = 0
        self.last_success: datetime | None = None

    @property
    def doubtful(self) -> int:
        """How many events were refused alone and wait for proof that it is their own fault."""
        return len(self._doubt)

    def next(self) -> Part | None:
        """Take the first part that waits to be sent again."""
        return self._waiting.pop(0) if self._waiting else None

    async def send(self, part: Part) -> None:
        """Send *part* once, when the gate opens, and see to what follows."""
        generation = await self._gate.enter()
        loop, size = asyncio.get_running_loop(), len(part.items)
        self.in_flight += size
        try:
            self._kit.observe(BatchSending(self._kit.name, size, part.bytes))
            part.attempts += 1
            part.first_tried = part.first_tried or self._kit.clock()
            began = loop.time()
            outcome = await outcome_of(self._attempt([item.event for item in part.items]))
        finally:
            self.in_flight -= size
            self._gate.leave()
        decision = self._decide(part, outcome)
        if isinstance(outcome, Receipt):
            self._tell(part, outcome, loop.time() - began)
        self._gate.answered(generation, decision)
        self._apply(part, decision)

    def silence(self) -> None:
        """Nothing else is there to send: bury what is in doubt, or ask the collector once more."""
        condemned = self._doubt.silence()
        if condemned is not None:
            self._bury(condemned)
            return
        policy = self._kit.policy
        wait = full_jitter(self._doubt.refusals, base=policy.base, cap=policy.cap, random=self._kit.random)
        self._gate.pause(wait)
        self._again([each.part for each in self._doubt.recall()])

    async def _attempt(self, events: Sequence[Event]) -> Receipt:
        receipt = await self._output.send(events)
        named = [*receipt.rejected, *receipt.retry]
        if len(set(named)) < len(named) or not all(0 <= index < len(events) for index in named):
            raise ContradictoryReceipt
        return receipt

    def _decide(self, part: Part, outcome: Receipt | Exception) -> Decision:
        history = self._gate.history(refusals=self._doubt.refusals, fault=part.fault, faults=part.faults)
        decision = decide(outcome, len(part.items), history, policy=self._kit.policy, random=self._kit.random)
        fault = fault_of(outcome)
        part.faults = part.faults + 1 if fault == part.fault else 1
        part.fault = fault
        return decision

    def _apply(self, part: Part, decision: Decision) -> None:
        match decision:
            case Settled():
                self._settle(part, decision)
            case Split():
                self._split(part, decision)
            case Condemn():
                self._doubt.refused()
                self._condemn(part, decision.reason, decision.answer)
            case Suspend(wholesale=True):
                self._again([part, *(each.part for each in self._doubt.pardon())])
            case Retry() | Suspend():
                self._again([part])

    def _settle(self, part: Part, settled: Settled) -> None:
        if settled.retry:
            reason = f"{len(settled.retry)} of {len(part.items)} events are to be sent again"
            self._kit.observe(
                BatchRetried(self._kit.name, reason, part.attempts, settled.after or 0.0, settled.asked)
            )
        if not settled.accepted and settled.rejected:
            self._doubt.refused(len(settled.rejected))
            self._sort_out(part, settled)
            return
        if settled.accepted:
            self.last_success = self._kit.clock()
            self._batcher.found_good()
            self._bury(self._doubt.accepted())
        for index, answer in settled.rejected.items():
            part.dead.append(self._letter(part, part.items[index], "rejected", excerpt(answer)))
        part.items = tuple(part.items[index] for index in sorted(settled.retry))
        if part.items:
            self._again([part])
        else:
            part.fate = Fate.DONE

    def _sort_out(self, part: Part, settled: Settled) -> None:
        """Nothing was accepted: condemn each rejected event alone, send what lies between them again."""
        cuts = sorted({0, len(part.items), *settled.rejected, *(index + 1 for index in settled.rejected)})
        groups = [part.items[start:stop] for start, stop in pairwise(cuts)]
        for start, piece in zip(cuts, self._ledger.carve(part, groups), strict=False):
            if start in settled.rejected:
                self._condemn(piece, "rejected", excerpt(settled.rejected[start]))
            else:
                self._again([piece])

    def _split(self, part: Part, split: Split) -> None:
        self._doubt.refused()
        if split.too_large:
            self._batcher.found_too_large(part.bytes)
        self._kit.observe(BatchSplit(self._kit.name, len(part.items), split.reason))
        self._again(self._ledger.carve(part, [part.items[start:stop] for start, stop in split.parts]))

    def _condemn(self, part: Part, reason: str, answer: str) -> None:
        part.fate = Fate.DOUBTFUL
        self._doubt.condemn(Condemned(part, reason, answer))

    def _bury(self, condemned: Sequence[Condemned]) -> None:
        for each in condemned:
            each.part.dead.append(self._letter(each.part, each.part.items[0], each.reason, each.answer))
            each.part.items = ()
            each.part.fate = Fate.DONE

    def _again(self, parts: Sequence[Part]) -> None:
        for part in parts:
            part.fate = Fate.OPEN
            insort(self._waiting, part, key=lambda waiting: waiting.items[0].sequence)

    def _letter(self, part: Part, item: Item, reason: str, answer: str) -> DeadLetter:
        now = self._kit.clock()
        first = part.first_tried or now
        return DeadLetter(
            self._kit.name, item.sequence, item.event.revision, reason, answer, part.attempts, first, now
        )

    def _tell(self, part: Part, receipt: Receipt, seconds: float) -> None:
        named = receipt.retry | receipt.rejected.keys()
        taken = [item.event for index, item in enumerate(part.items) if index not in named]
        self._kit.observe(
            BatchSent(
                self._kit.name,
                len(taken),
                len(receipt.rejected),
                len(receipt.retry),
                receipt.duplicates,
                sum(len(event.payload) for event in taken),
                seconds,
                max((event.time for event in taken), default=None),
            )
        )
