"""One revision of the journal becomes an event, a dead letter, or nothing on purpose."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Literal, TypeAlias

from connector.delivery.batcher import Item
from connector.delivery.context import Kit
from connector.delivery.retry_policy import excerpt
from connector.interfaces import Mapper
from connector.model import DeadLetter, Event, Revision

Emit: TypeAlias = Literal["all", "first"]
Shrink: TypeAlias = Callable[[Event, int], Event | None]
"""Makes an event fit into so many bytes, or says ``None``. Pure; it SHOULD note what it shortened."""


class Translator:
    """The mapper of an output and the rules around it.

    Args:
        kit: what the output's delivery shares.
        mapper: maps and encodes.
        emit: ``first`` leaves updates out.
        max_age: what happened longer ago is left out.
        event_bytes: the most one payload may have.
        shrink: makes a payload that is too large fit, where that can be done.
    """

    def __init__(
        self,
        kit: Kit,
        mapper: Mapper,
        *,
        emit: Emit = "all",
        max_age: timedelta | None = None,
        event_bytes: int | None = None,
        shrink: Shrink | None = None,
    ) -> None:
        self._kit = kit
        self._mapper = mapper
        self._emit = emit
        self._max_age = max_age
        self._event_bytes = event_bytes
        self._shrink = shrink

    def translate(self, sequence: int, revision: Revision, only: str | None) -> Item | DeadLetter | str:
        """Return the event, a dead letter, or in a word why the output does not want it.

        A replay addressed to this output passes ``emit`` and ``max_age``: a person asked for it.
        """
        if only is not None and only != self._kit.name:
            return "addressed"
        if only is None and self._emit == "first" and revision.number > 1:
            return "emit"
        try:
            event = self._mapper(revision)
            if event is None:
                return "when"
            if only is None and self._max_age is not None and event.time < self._kit.clock() - self._max_age:
                return "max_age"
            return self._fit(sequence, event)
        except Exception as error:  # noqa: BLE001, a mapping is the user's: any error is that revision's fate
            answer = excerpt(f"{type(error).__name__}: {error}")
            return self._kit.letter(sequence, revision, "mapping", answer)

    def _fit(self, sequence: int, event: Event) -> Item | DeadLetter:
        limit = self._event_bytes
        if limit is None or len(event.payload) <= limit:
            return Item(sequence, event)
        shrunk = self._shrink(event, limit) if self._shrink else None
        if shrunk is not None and len(shrunk.payload) <= limit:
            return Item(sequence, shrunk)
        answer = f"the event has {len(event.payload)} bytes, the output takes {limit}"
        return self._kit.letter(sequence, event.revision, "too_large", answer)
