"""Sends an event that stands for no place in the journal: a heartbeat, or a digest of throttled events.

It travels between batches over the output's own connection. It moves no position, never becomes a dead letter
and is no evidence for or against other events.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace

from connector.delivery.circuit import CircuitBreaker
from connector.delivery.context import DeliveryContext
from connector.delivery.outcome import outcome_of
from connector.delivery.retry_policy import (
    Answered,
    Decision,
    HoldOutput,
    Isolate,
    Retry,
    decide,
    excerpt,
    fault_of,
)
from connector.interfaces import Output
from connector.model import Event, Receipt
from connector.values import dataclass


@dataclass(frozen=True, slots=True)
class SideOutcome:
    """What came of one send; nothing set means accepted.

    Args:
        seconds: how long it took.
        refused: why the collector, or the mapping, does not want this event, in words.
        retry_after: the least seconds until it may be sent again; ``None`` unless it should be.
    """

    seconds: float
    refused: str | None = None
    retry_after: float | None = None


class SideSend:
    """Sends one event when the circuit breaker permits, and tells it what the answer says of the collector.

    Args:
        context: what the output's delivery shares.
        output: the destination.
        circuit: says when a send may begin.
    """

    def __init__(self, context: DeliveryContext, output: Output, circuit: CircuitBreaker) -> None:
        self._context = context
        self._output = output
        self._circuit = circuit
        self._fault, self._faults = "", 0

    async def send(self, make: Callable[[], Event]) -> SideOutcome:
        """Make the event at the moment it leaves, and send it once."""
        permit = await self._circuit.enter()
        loop = asyncio.get_running_loop()
        began = loop.time()
        try:
            outcome = await outcome_of(self._output.send([make()]))
        except Exception as error:  # noqa: BLE001, the mapping that makes it is the user's
            return SideOutcome(0.0, refused=f"the mapping failed: {fault_of(error)}")
        except asyncio.CancelledError:
            self._circuit.distrust(permit)
            raise
        finally:
            self._circuit.leave()
        decision = self._decide(outcome)
        self._circuit.answered(permit, decision)
        return _outcome(decision, loop.time() - began)

    def _decide(self, outcome: Receipt | Exception) -> Decision:
        # Whether it is accepted says nothing about events: it is neither a refusal nor an acceptance.
        history = self._circuit.history(refusals=0, fault=self._fault, faults=self._faults)
        decision = decide(outcome, 1, history, policy=self._context.policy, random=self._context.random)
        fault = fault_of(outcome)
        self._faults = self._faults + 1 if fault == self._fault else 1
        self._fault = fault
        return replace(decision, accepted=0) if isinstance(decision, Answered) else decision


def _outcome(decision: Decision, seconds: float) -> SideOutcome:
    if isinstance(decision, Retry | HoldOutput) or (isinstance(decision, Answered) and decision.retry):
        return SideOutcome(seconds, retry_after=decision.after or 0.0)
    if isinstance(decision, Isolate):
        return SideOutcome(seconds, refused=decision.answer)
    if isinstance(decision, Answered) and decision.rejected:
        return SideOutcome(seconds, refused=excerpt(next(iter(decision.rejected.values()))))
    return SideOutcome(seconds)
