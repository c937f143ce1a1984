"""Sends the digests of throttled events: each delivers the newest and says how many there were."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from connector.delivery.circuit import CircuitBreaker
from connector.delivery.context import DeliveryContext
from connector.delivery.side_send import SideSend
from connector.delivery.throttle import Digest, Throttle
from connector.facts import DigestRefused, DigestSent
from connector.interfaces import Output
from connector.model import Event


class DigestSender:
    """Sends a digest when one is due, one at a time.

    The revisions it stands for are acknowledged already, so a digest lives in memory only: a crash loses it.
    One that cannot be sent is kept and sent again; one that the collector refuses is reported and left out.

    Args:
        context: what the output's delivery shares.
        output: the destination.
        circuit: says when a send may begin.
        throttle: sums up what is left out; ``None`` for an output that leaves nothing out.
        make: makes the event of a digest.
    """

    def __init__(
        self,
        context: DeliveryContext,
        output: Output,
        circuit: CircuitBreaker,
        throttle: Throttle | None,
        make: Callable[[Digest], Event],
    ) -> None:
        self._context = context
        self._side = SideSend(context, output, circuit)
        self._throttle = throttle
        self._make = make
        self._not_before = float("-inf")
        self._sending = False

    @property
    def idle(self) -> bool:
        """Whether nothing waits for a digest and none is under way."""
        return not self._sending and (self._throttle is None or self._throttle.due is None)

    def due(self, *, flush: bool) -> float | None:
        """When the next one is due; with *flush* as soon as it may be sent. ``None`` where none is."""
        if self._throttle is None or self._sending or self._throttle.due is None:
            return None
        return self._not_before if flush else max(self._throttle.due, self._not_before)

    def claim(self, *, flush: bool) -> Digest | None:
        """The digest that the caller should ``send`` now."""
        due, now = self.due(flush=flush), asyncio.get_running_loop().time()
        if self._throttle is None or due is None or now < due:
            return None
        digest = self._throttle.take(now, flush=flush)
        self._sending = digest is not None
        return digest

    async def send(self, digest: Digest) -> None:
        """Send what ``claim`` returned, once the circuit breaker permits."""
        done = False
        try:
            done = await self._send(digest)
        finally:
            self._sending = False
            if not done and self._throttle is not None:
                self._throttle.put_back(digest)

    async def _send(self, digest: Digest) -> bool:
        """Whether it is done with: accepted or refused."""
        outcome = await self._side.send(lambda: self._make(digest))
        name, observe = self._context.name, self._context.observe
        if outcome.retry_after is not None:
            # Not at once: a collector that accepts events but no digest must still get its events.
            wait = max(outcome.retry_after, self._context.policy.backoff(1, self._context.random))
            self._not_before = asyncio.get_running_loop().time() + wait
            return False
        if outcome.refused is not None:
            observe(DigestRefused(name, digest.count, outcome.refused))
        else:
            observe(DigestSent(name, digest.count, outcome.seconds))
        return True
