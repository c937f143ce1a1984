"""The context that every part of one output's delivery shares: its name, policy, clock and observer."""

from __future__ import annotations

from dataclasses import dataclass

from connector.delivery.retry_policy import Random, RetryPolicy
from connector.interfaces import Clock, Observe
from connector.model import DeadLetter, Revision


@dataclass(frozen=True, slots=True)
class DeliveryContext:
    """An output's name and the collaborators that its delivery shares."""

    name: str
    observe: Observe
    clock: Clock
    policy: RetryPolicy
    random: Random

    def dead_letter(self, sequence: int, revision: Revision, reason: str, answer: str) -> DeadLetter:
        """Make a dead letter of a revision that was never sent."""
        now = self.clock()
        return DeadLetter(self.name, sequence, revision, reason, answer, 0, now, now)
