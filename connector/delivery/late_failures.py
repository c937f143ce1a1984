"""Late failures: what an output accepted and then could not deliver becomes a dead letter after all.

Over syslog nothing is acknowledged, so the position has passed an event when its connection breaks. While the
output tries it again, the event is a *suspect*: stored whole, so that it survives a crash. One that the
output gives up becomes a dead letter; so does one that an earlier process left behind, as nothing tries it
any more.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from connector.delivery.context import DeliveryContext
from connector.delivery.retry_policy import excerpt
from connector.interfaces import LateReporting, Output
from connector.model import DeadLetter, LateFailure
from connector.values import dataclass

_LEFT_BEHIND = "delivery ended before it was tried often enough to be certain"


@dataclass(frozen=True, slots=True)
class LateChange:
    """What is not durable yet: dead letters to add, and the suspects to keep instead of those stored."""

    dead: tuple[DeadLetter, ...]
    suspects: tuple[DeadLetter, ...]


class LateFailureTracker:
    """The suspects and late dead letters of one output, from a position on.

    Args:
        context: what the output's delivery shares.
        output: the destination; most report nothing.
        stored: the suspects in the journal.
        position: the stored position.
    """

    def __init__(
        self, context: DeliveryContext, output: Output, stored: Sequence[DeadLetter], position: int
    ) -> None:
        self._context = context
        self._output = output if isinstance(output, LateReporting) else None
        self._stored = {letter.sequence for letter in stored}
        self._suspects: dict[int, DeadLetter] = {letter.sequence: letter for letter in stored}
        self._dead: list[DeadLetter] = []
        self.collect()
        now = context.clock()
        for letter in stored:
            # What lies after the position is sent again; what this output itself still tries stays a suspect.
            if letter.sequence <= position and letter.sequence not in self._suspects:
                answer = excerpt(f"{letter.answer}; {_LEFT_BEHIND}")
                self._dead.append(replace(letter, answer=answer, dead_lettered_at=now))

    def __len__(self) -> int:
        return len(self._suspects)

    def collect(self) -> None:
        """Ask the output what it learned."""
        if self._output is None:
            self._suspects = {}
            return
        late = self._output.late_failures()
        # A heartbeat or digest has no place in the journal, and nothing that could be stored.
        self._dead += [self._letter(one) for one in _stored_ones(late.abandoned)]
        self._suspects = {one.event.sequence: self._letter(one) for one in _stored_ones(late.suspected)}

    def change(self, upto: int) -> LateChange | None:
        """What to store with a position of *upto*; ``None`` where all is stored.

        A revision after it is sent again by itself if the process ends, so its dead letter waits.
        """
        dead = tuple(letter for letter in self._dead if letter.sequence <= upto)
        if not dead and self._stored == self._suspects.keys():
            return None
        return LateChange(dead, tuple(self._suspects.values()))

    def written(self, change: LateChange) -> None:
        """Note that *change* is durable."""
        self._dead = [letter for letter in self._dead if letter not in change.dead]
        self._stored = {letter.sequence for letter in change.suspects}

    def _letter(self, failure: LateFailure) -> DeadLetter:
        now, sequence = self._context.clock(), failure.event.sequence
        known = self._suspects.get(sequence)
        answer = f"every connection with this event broke while others passed: {failure.reason}"
        return DeadLetter(
            self._context.name,
            sequence,
            failure.event.revision,
            "poison",
            excerpt(answer),
            failure.attempts,
            known.first_tried if known else now,
            now,
        )


def _stored_ones(failures: Iterable[LateFailure]) -> Iterable[LateFailure]:
    return (failure for failure in failures if failure.event.sequence)
