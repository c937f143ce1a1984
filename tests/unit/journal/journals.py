"""A journal for a test, with a clock that stands still and every fact kept."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TypeVar

from connector.facts import Fact
from connector.journal import Journal, JournalOptions

T = TypeVar("T")


@dataclass
class Surroundings:
    """What a journal is opened with: its place, a clock to set, and the facts it reported."""

    directory: Path
    now: datetime = datetime(2026, 3, 1, tzinfo=UTC)
    facts: list[Fact] = field(default_factory=list)

    @asynccontextmanager
    async def journal(self, options: JournalOptions | None = None) -> AsyncIterator[Journal]:
        """Open the journal of this place."""
        async with Journal.open(
            self.directory, observe=self.facts.append, clock=lambda: self.now, options=options
        ) as journal:
            yield journal

    def passed(self, **time: float) -> None:
        """Set the clock forward."""
        self.now += timedelta(**time)

    def reported(self, kind: type[T]) -> list[T]:
        """The facts of one kind."""
        return [fact for fact in self.facts if isinstance(fact, kind)]
