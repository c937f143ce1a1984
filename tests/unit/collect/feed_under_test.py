"""A feed for tests: its source, its journal, and a clock that tests move. Slices stay at one hour."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

from connector import facts
from connector.collect.collector import Collector
from connector.collect.feed_config import FeedConfig
from connector.collect.windows import FIRST_SLICE, Timing
from connector.interfaces import Observe
from connector.journal import Journal
from connector.model import Backlog, Feed, Query, Revision
from tests.support.fake_source import FakeSource

FEED = Feed("a" * 32, "detections")
START = datetime(2026, 11, 18, 12, tzinfo=UTC)
AGES = (timedelta(minutes=5), timedelta(hours=1))


class FeedUnderTest:
    """One feed, its source, its journal and a clock to move."""

    def __init__(self, journal: Journal, observed: list[facts.Fact]) -> None:
        self.now = START
        self.journal = journal
        self.observed = observed
        self.source = FakeSource(lambda: self.now)
        self.config = FeedConfig(
            FEED, Query(), Timing(start=timedelta(hours=2)), AGES, longest_slice=FIRST_SLICE
        )
        self.collector = self.build()
        self._position = 0

    def build(self, config: FeedConfig | None = None) -> Collector:
        return Collector(
            config or self.config,
            self.source,
            self.source,
            self.journal,
            observe=self.observed.append,
            clock=lambda: self.now,
        )

    async def poll(self, after: timedelta = timedelta(0)) -> list[Revision]:
        """Let time pass, walk the feed to the present, return what is new in the journal."""
        self.now += after
        await self.collector.once()
        return await self.delivered()

    async def delivered(self) -> list[Revision]:
        head = (await self.journal.outline()).head
        revisions: list[Revision] = []
        while self._position < head:
            entry = await self.journal.read("out", self._position)
            revisions.extend(entry.revisions)
            await self.journal.acknowledge("out", after=self._position, upto=entry.last)
            self._position = entry.last
        return revisions

    def of(self, kind: type) -> list[facts.Fact]:
        return [fact for fact in self.observed if isinstance(fact, kind)]


@asynccontextmanager
async def feed_under_test(directory: Path) -> AsyncIterator[FeedUnderTest]:
    observed: list[facts.Fact] = []
    observe: Observe = observed.append
    feeds: list[FeedUnderTest] = []
    clock = lambda: feeds[0].now if feeds else START  # noqa: E731
    async with Journal.open(directory, observe=observe, clock=clock) as journal:
        await journal.attach("out", "beginning", Backlog())
        feeds.append(FeedUnderTest(journal, observed))
        yield feeds[0]


def ids(revisions: list[Revision]) -> list[str]:
    return sorted(revision.record.id for revision in revisions)
