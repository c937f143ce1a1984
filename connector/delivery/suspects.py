"""Refusals in a row: whether the events are to blame, or the collector refuses everything. Pure.

An event that was refused alone is *condemned*. It becomes a dead letter once the collector accepted
another event, which proves that it is this event and not the collector. Until then it stays in doubt, and
the position stays before it.
"""

from __future__ import annotations

from dataclasses import dataclass

from connector.delivery.in_flight import Chunk


@dataclass(frozen=True, slots=True)
class Suspect:
    """A part of one event that was refused alone, and why."""

    chunk: Chunk
    reason: str
    answer: str


class Suspects:
    """One run of refusals with nothing accepted in between."""

    def __init__(self) -> None:
        self.refusals = 0
        self._suspects: list[Suspect] = []
        self._may_accuse_on_idle = True

    def __bool__(self) -> bool:
        return bool(self._suspects)

    def __len__(self) -> int:
        return len(self._suspects)

    def refused(self, count: int = 1) -> None:
        """Count a refused request, or *count* events that were refused one by one."""
        self.refusals += count

    def add(self, condemned: Suspect) -> None:
        """Keep an event that was refused alone."""
        self._suspects.append(condemned)

    def accepted(self) -> list[Suspect]:
        """The collector accepted an event: end the run and give those who are to be buried."""
        self.refusals = 0
        self._may_accuse_on_idle = True
        return self._empty()

    def retry_all(self) -> list[Suspect]:
        """Ask again: give everybody back, to be sent once more. The run goes on."""
        return self._empty()

    def release_all(self) -> list[Suspect]:
        """The collector refuses everything: end the run and give everybody back, nobody is to be buried."""
        self.refusals = 0
        return self._empty()

    def on_idle(self) -> list[Suspect] | None:
        """Nothing else is there to send. Give those to be buried; ``None``: ask again first.

        A refused event at the end of the journal should not wait for the next mail. The collector gets
        the benefit of this once; then it has to accept something before silence buries again.
        """
        if not self._may_accuse_on_idle:
            return None
        self._may_accuse_on_idle = False
        return self._empty()

    def _empty(self) -> list[Suspect]:
        condemned, self._suspects = self._suspects, []
        return condemned
