"""Heartbeats: a status event at regular times, so that a SIEM can alert when none arrives.

A heartbeat travels between batches over the output's own connection. It is no revision: it moves no position,
never becomes a dead letter, is no evidence for or against other events, and is not journaled.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import timedelta

from connector.delivery.circuit import CircuitBreaker
from connector.delivery.context import DeliveryContext
from connector.delivery.outcome import CancelledItself, outcome_of
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
from connector.facts import HeartbeatRefused, HeartbeatSent
from connector.interfaces import Output
from connector.model import Event, Receipt


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """How often to send one, and what makes its event at the moment it leaves."""

    every: timedelta
    make: Callable[[], Event]


class HeartbeatSender:
    """Sends a heartbeat when one is due, however many lanes of however many sessions ask.

    The first is due at once. One that cannot be sent is made anew within a minute; one that the collector
    refuses is reported and left out.

    Args:
        context: what the output's delivery shares.
        output: the destination.
        circuit: says when a send may begin.
        heartbeat: how often and what; ``None`` for an output without one.
    """

    def __init__(
        self, context: DeliveryContext, output: Output, circuit: CircuitBreaker, heartbeat: Heartbeat | None
    ) -> None:
        self._context = context
        self._output = output
        self._circuit = circuit
        self._heartbeat = heartbeat
        self._next = float("-inf")
        self._under_way: asyncio.Future[None] | None = None
        self._stopped = False
        self._fault, self._faults = "", 0

    @property
    def due(self) -> float | None:
        """When the next one is due; ``None`` where none is, or while one is under way."""
        idle = self._heartbeat is None or self._under_way is not None or self._stopped
        return None if idle else self._next

    def claim(self) -> bool:
        """Whether the caller should ``send`` now."""
        return self.due is not None and asyncio.get_running_loop().time() >= self._next

    async def send(self) -> None:
        """Send one when the circuit breaker permits; return without sending when stopped meanwhile."""
        if self._heartbeat is None:
            return
        self._under_way = asyncio.ensure_future(self._send(self._heartbeat))
        try:
            failure = await outcome_of(self._under_way)
        finally:
            self._under_way = None
        if isinstance(failure, Exception) and not isinstance(failure, CancelledItself):
            raise failure

    def stop(self) -> None:
        """Send no further one: a drain must not wait for a heartbeat."""
        self._stopped = True
        if self._under_way is not None:
            self._under_way.cancel()

    async def _send(self, heartbeat: Heartbeat) -> None:
        permit = await self._circuit.enter()
        loop = asyncio.get_running_loop()
        began, outcome = loop.time(), None
        try:
            outcome = await outcome_of(self._output.send([heartbeat.make()]))
        except Exception as error:  # noqa: BLE001, the mapping that makes it is the user's
            self._refused(f"the mapping of heartbeats failed: {fault_of(error)}", heartbeat)
            return
        except asyncio.CancelledError:
            self._circuit.distrust(permit)
            raise
        finally:
            self._circuit.leave()
        decision = self._decide(outcome)
        self._circuit.answered(permit, decision)
        self._report(decision, heartbeat, loop.time() - began)

    def _decide(self, outcome: Receipt | Exception) -> Decision:
        # Whether a heartbeat is accepted says nothing about events: it is neither a refusal nor
        # an acceptance.
        history = self._circuit.history(refusals=0, fault=self._fault, faults=self._faults)
        decision = decide(outcome, 1, history, policy=self._context.policy, random=self._context.random)
        fault = fault_of(outcome)
        self._faults = self._faults + 1 if fault == self._fault else 1
        self._fault = fault
        return replace(decision, accepted=0) if isinstance(decision, Answered) else decision

    def _report(self, decision: Decision, heartbeat: Heartbeat, seconds: float) -> None:
        if isinstance(decision, Retry | HoldOutput) or (isinstance(decision, Answered) and decision.retry):
            # Not at once: a collector that accepts events but no heartbeats must not be kept
            # from accepting events.
            wait = min(heartbeat.every.total_seconds(), self._context.policy.probe)
            self._schedule(max(wait, decision.after or 0.0))
            return
        if isinstance(decision, Isolate):
            self._refused(decision.answer, heartbeat)
        elif isinstance(decision, Answered) and decision.rejected:
            self._refused(excerpt(next(iter(decision.rejected.values()))), heartbeat)
        else:
            self._context.observe(HeartbeatSent(self._context.name, seconds))
            self._schedule(heartbeat.every.total_seconds())

    def _refused(self, reason: str, heartbeat: Heartbeat) -> None:
        self._context.observe(HeartbeatRefused(self._context.name, reason))
        self._schedule(heartbeat.every.total_seconds())

    def _schedule(self, seconds: float) -> None:
        self._next = asyncio.get_running_loop().time() + seconds
