"""``ScriptedOutput``: a fake output that returns a scripted sequence of receipts and errors.

::

    output = ScriptedOutput(
        [
            Retryable("busy", after=30),              # first the collector is busy,
            Refused("line too long", suspect=2),      # then it finds fault with the third event,
            Receipt(rejected={0: "no such field"}),   # then it takes all but one,
            Unanswered(Retryable("timed out")),       # then it takes all, but the answer is lost,
            hang,                                     # then it never answers,
        ],                                            # and from then on it takes everything
    )
    ...
    assert output.identities == ["a", "b", "c"]
    assert output.misuses == []
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import NoReturn, TypeAlias

from connector.errors import Refused
from connector.model import Event, Limits, Receipt

Answer: TypeAlias = Callable[[Sequence[Event]], Receipt | Awaitable[Receipt]]
"""Decides by looking at the events; it MAY raise."""


async def hang(_: Sequence[Event]) -> NoReturn:
    """Never answer; only cancelling ends it."""
    await asyncio.Event().wait()
    raise AssertionError


@dataclass(frozen=True, slots=True)
class Unanswered:
    """The collector takes everything, but the answer is lost on the way: *error* is raised instead."""

    error: Exception


Step: TypeAlias = Receipt | Exception | Unanswered | Answer
"""What one ``send`` meets."""


def refusing(culprit: Callable[[Event], bool], reason: str = "malformed event") -> Answer:
    """Refuse every request with an event that *culprit* picks, without naming it."""

    def answer(events: Sequence[Event]) -> Receipt:
        if any(culprit(event) for event in events):
            raise Refused(reason)
        return Receipt()

    return answer


class ScriptedOutput:
    """Implements ``Output``; checks on the way that its caller keeps the contract.

    Args:
        script: what each ``send`` meets, in order.
        then: what every ``send`` after the script meets.
        opening: what each ``open`` meets: an error, or ``None`` for success; success after the end.
        closing: the same for ``close``.
        limits: what one ``send`` may hold.
        seconds: how long each ``send`` takes.

    Attributes:
        taken: every event that the collector took, in order, repeats included.
        sends: the record ids of each ``send``, in order.
        calls: ``open``, ``close`` and ``send`` in the order they were called.
        contract_violations: how the caller broke the contract, in words.
    """

    def __init__(
        self,
        script: Iterable[Step] = (),
        *,
        then: Step = Receipt(),  # noqa: B008, it is frozen
        opening: Iterable[Exception | None] = (),
        closing: Iterable[Exception | None] = (),
        limits: Limits = Limits(linger=0.0),  # noqa: B008, it is frozen
        seconds: float = 0.0,
    ) -> None:
        self._script = iter(script)
        self._then = then
        self._opening = iter(opening)
        self._closing = iter(closing)
        self._limits = limits
        self._seconds = seconds
        self._open = False
        self._under_way = 0
        self.taken: list[Event] = []
        self.sends: list[list[str]] = []
        self.calls: list[str] = []
        self.contract_violations: list[str] = []

    @property
    def limits(self) -> Limits:
        """See ``Output``."""
        return self._limits

    @property
    def identities(self) -> list[str]:
        """The record ids of all that was taken; none of a batch with unnamed rejections."""
        return [event.revision.record.id for event in self.taken]

    @property
    def repeats(self) -> int:
        """How many events were taken more than once, each repeat counted."""
        return sum(count - 1 for count in Counter(self.identities).values())

    async def open(self) -> None:
        """Follow *opening*."""
        self.calls.append("open")
        if error := next(self._opening, None):
            raise error
        self._open = True

    async def send(self, events: Sequence[Event]) -> Receipt:
        """Follow the story."""
        self._check(events)
        self.calls.append("send")
        self.sends.append([event.revision.record.id for event in events])
        turn = next(self._script, self._then)
        self._under_way += 1
        try:
            if self._seconds:
                await asyncio.sleep(self._seconds)
            return await self._meet(turn, events)
        except BaseException:
            self._open = False
            raise
        finally:
            self._under_way -= 1

    async def close(self) -> None:
        """Follow *closing*."""
        self.calls.append("close")
        self._open = False
        if self._under_way:
            self.contract_violations.append("closed while a send was under way")
        if error := next(self._closing, None):
            raise error

    async def _meet(self, turn: Step, events: Sequence[Event]) -> Receipt:
        if isinstance(turn, Exception):
            raise turn
        if isinstance(turn, Unanswered):
            self.taken += events
            raise turn.error
        receipt = turn if isinstance(turn, Receipt) else turn(events)
        if not isinstance(receipt, Receipt):
            receipt = await receipt
        named = receipt.retry | receipt.rejected.keys()
        if not receipt.unnamed:
            self.taken += [event for index, event in enumerate(events) if index not in named]
        return receipt

    def _check(self, events: Sequence[Event]) -> None:
        limits = self._limits
        total = sum(len(event.payload) for event in events)
        wrongs = {
            "sent without open, or after an error": not self._open,
            "sent nothing": not events,
            "sent too many events": len(events) > limits.events,
            "sent too many bytes": len(events) > 1 and total > limits.bytes,
            "sent too large an event": limits.event_bytes is not None
            and any(len(event.payload) > limits.event_bytes for event in events),
            "sent too many batches at once": self._under_way >= limits.concurrency,
        }
        self.contract_violations += [wrong for wrong, happened in wrongs.items() if happened]
