"""An enricher that answers from memory, for tests of collection: endpoints break, know nothing, wait."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence

from connector.interfaces import INCOMPLETE
from connector.model import Body, JsonObject, Record


class FakeEnricher:
    """Says of every wanted record what each endpoint saw; remembers who was asked for.

    *broken* endpoints do not answer, *empty* ones know nothing, *slow* records wait for *gate*.
    """

    def __init__(self, *endpoints: str) -> None:
        self.endpoints = endpoints or ("detections", "action_log")
        self.broken: set[str] = set()
        self.empty: set[str] = set()
        self.wanted: Callable[[Record], bool] = lambda _: True
        self.asked: list[str] = []
        self.slow: set[str] = set()
        self.gate = asyncio.Event()
        self.waiting = asyncio.Event()

    async def enrich(self, records: Sequence[Record]) -> Mapping[str, Body]:
        """See ``interfaces.Enricher``."""
        self.asked += [record.id for record in records]
        if self.slow.intersection(record.id for record in records):
            self.waiting.set()
            await self.gate.wait()
        return {record.id: self._one(record) for record in records if self.wanted(record)}

    def _one(self, record: Record) -> Body:
        answered = [name for name in self.endpoints if name not in self.broken]
        found: JsonObject = {name: {"of": record.id} for name in answered if name not in self.empty}
        missing = sorted(self.broken.intersection(self.endpoints))
        return {**found, INCOMPLETE: missing} if missing else found
