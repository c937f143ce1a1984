"""Refusals in a row: whether the events are to blame, or the collector refuses everything. Pure.

An event that was refused alone is *condemned*. It becomes a dead letter once the collector accepted
another event, which proves that it is this event and not the collector. Until then it stays in doubt, and
the position stays before it.
"""

from __future__ import annotations

from dataclasses import dataclass

from connector.delivery.in_flight import Part


@dataclass(frozen=True, slots=True)
class Condemned:
    """A part of one event that was refused alone, and why."""

    part: Part
    reason: str
    answer: str


class Doubt:
    """One run of refusals with nothing accepted in between."""

    def __init__(self) -> None:
        self.refusals = 0
        self._condemned: list[Condemned] = []
        self._benefit = True

    def __bool__(self) -> bool:
        return bool(self._condemned)

    def __len__(self) -> int:
        return len(self._condemned)

    def refused(self, count: int = 1) -> None:
        """Count a refused request, or *count* events that were refused one by one."""
        self.refusals += count

    def condemn(self, condemned: Condemned) -> None:
        """Keep an event that was refused alone."""
        self._condemned.append(condemned)

    def accepted(self) -> list[Condemned]:
        """The collector accepted an event: end the run and give those who are to be buried."""
        self.refusals = 0
        self._benefit = True
        return self._empty()

    def recall(self) -> list[Condemned]:
        """Ask again: give everybody back, to be sent once more. The run goes on."""
        return self._empty()

    def pardon(self) -> list[Condemned]:
        """The collector refuses everything: end the run and give everybody back, nobody is to be buried."""
        self.refusals = 0
        return self._empty()

    def silence(self) -> list[Condemned] | None:
        """Nothing else is there to send. Give those to be buried; ``None``: ask again first.

        A refused event at the end of the journal should not wait for the next mail. The collector gets
        the benefit of this once; then it has to accept something before silence buries again.
        """
        if not self._benefit:
            return None
        self._benefit = False
        return self._empty()

    def _empty(self) -> list[Condemned]:
        condemned, self._condemned = self._condemned, []
        return condemned
