"""Heartbeats: a status event at regular times, so that a SIEM can alert when none arrives.

A heartbeat is no revision: it is not journaled, and travels beside what is (see ``SideSend``).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import timedelta

from connector.delivery.circuit import CircuitBreaker
from connector.delivery.context import DeliveryContext
from connector.delivery.outcome import CancelledItself, outcome_of
from connector.delivery.side_send import SideSend
from connector.facts import HeartbeatRefused, HeartbeatSent
from connector.interfaces import Output
from connector.model import Event
from connector.values import dataclass


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
        self._side = SideSend(context, output, circuit)
        self._heartbeat = heartbeat
        self._next = float("-inf")
        self._under_way: asyncio.Future[None] | None = None
        self._stopped = False

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
        outcome = await self._side.send(heartbeat.make)
        every = heartbeat.every.total_seconds()
        if outcome.retry_after is not None:
            # Not at once: a collector that accepts events but no heartbeats must not be kept
            # from accepting events.
            self._schedule(max(min(every, self._context.policy.probe), outcome.retry_after))
            return
        if outcome.refused is not None:
            self._context.observe(HeartbeatRefused(self._context.name, outcome.refused))
        else:
            self._context.observe(HeartbeatSent(self._context.name, outcome.seconds))
        self._schedule(every)

    def _schedule(self, seconds: float) -> None:
        self._next = asyncio.get_running_loop().time() + seconds
