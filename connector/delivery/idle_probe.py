"""Checks an idle output's collector now and then, so that a dead one does not show as working.

An output whose filter lets nothing through, or that has no events, would otherwise never notice.
"""

from __future__ import annotations

import asyncio

from connector.delivery.circuit import CircuitBreaker
from connector.delivery.context import DeliveryContext
from connector.delivery.outcome import outcome_of
from connector.delivery.retry_policy import Answered, decide
from connector.errors import PartlyDown
from connector.facts import OutputProbed, OutputWarning
from connector.interfaces import Output, Probe

_EVERY = 300.0
"""Seconds between two probes: a dead collector shows within the ten minutes after which alerts usually
fire, and a collector sees 12 requests an hour."""

_FIRST = 60.0
"""Seconds to the first probe: a start with events proves the collector sooner, without a probe."""


class IdleProbe:
    """Runs ``output.check`` when nothing was sent for a while; outputs without it are left alone.

    Args:
        context: what the output's delivery shares.
        output: the destination.
        circuit: learns what the probe says, as it would from a send.
    """

    def __init__(self, context: DeliveryContext, output: Output, circuit: CircuitBreaker) -> None:
        self._context = context
        self._output = output if isinstance(output, Probe) else None
        self._circuit = circuit
        self._next: float | None = None
        self._under_way: asyncio.Future[None] | None = None
        self._stopped = False
        self._warned = ""

    @property
    def due(self) -> float | None:
        """When the next probe is due, provided that nothing is sent; ``None`` where none is."""
        if self._stopped or self._under_way is not None or self._output is None:
            return None
        if self._next is None:
            self._next = asyncio.get_running_loop().time() + _FIRST
        return self._next

    def claim(self) -> bool:
        """Whether the caller should ``probe`` now."""
        return self.due is not None and asyncio.get_running_loop().time() >= self.due

    def postpone(self) -> None:
        """A send is as good as a probe."""
        self._next = asyncio.get_running_loop().time() + _EVERY

    async def probe(self) -> None:
        """Check the collector once; return without a result when stopped meanwhile."""
        if self._output is None:
            return
        self._under_way = asyncio.ensure_future(self._check(self._output))
        try:
            await outcome_of(self._under_way)
        finally:
            self._under_way = None

    def stop(self) -> None:
        """Probe no more: a drain must not wait for it."""
        self._stopped = True
        if self._under_way is not None:
            self._under_way.cancel()

    async def _check(self, output: Probe) -> None:
        permit = await self._circuit.enter()
        try:
            outcome = await outcome_of(output.check())
        except asyncio.CancelledError:
            self._circuit.distrust(permit)
            raise
        finally:
            self._circuit.leave()
        if isinstance(outcome, PartlyDown):
            self._warn(outcome.reason)
        elif isinstance(outcome, Exception):
            history = self._circuit.history(refusals=0, fault="", faults=0)
            policy, random = self._context.policy, self._context.random
            self._circuit.answered(permit, decide(outcome, 0, history, policy=policy, random=random))
            # Again as soon as the wait that this failure began is over.
            self._next = asyncio.get_running_loop().time()
            return
        else:
            self._warned = ""
        self._circuit.answered(permit, Answered(accepted=0))
        self._context.observe(OutputProbed(self._context.name))
        self.postpone()

    def _warn(self, reason: str) -> None:
        """Report once that a part of the collectors is down: events are delivered, so nothing is held."""
        if reason != self._warned:
            self._warned = reason
            self._context.observe(OutputWarning(self._context.name, reason))
