"""The context that every part of one output's delivery shares: its name, policy, clock and observer."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeAlias

from connector.delivery.retry_policy import Random, RetryPolicy
from connector.interfaces import Clock, Observe
from connector.model import DeadLetter, Event, Receipt, Revision
from connector.values import dataclass

OnSent: TypeAlias = Callable[[str, Sequence[Event], Receipt], None]
"""Takes an output's name, the events of one request, and what its collector said of each."""


def ignore_sent(_output: str, _events: Sequence[Event], _receipt: Receipt) -> None:
    """Nobody watches."""


@dataclass(frozen=True, slots=True)
class DeliveryContext:
    """An output's name and the collaborators that its delivery shares."""

    name: str
    observe: Observe
    clock: Clock
    policy: RetryPolicy
    random: Random
    on_sent: OnSent = ignore_sent

    def dead_letter(self, sequence: int, revision: Revision, reason: str, answer: str) -> DeadLetter:
        """Make a dead letter of a revision that was never sent."""
        now = self.clock()
        return DeadLetter(self.name, sequence, revision, reason, answer, 0, now, now)
