"""Where a feed begins, what it does when clocks are wrong, and what an operator changes under its feet."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from datetime import timedelta

import pytest

from connector import facts
from connector.collect.collector import Collector
from connector.collect.feed_config import FeedConfig
from connector.collect.schedule import Interval
from connector.collect.windows import Timing
from connector.errors import BadQuery, JournalBroken, Unavailable
from connector.model import Commit, Page, Query, SearchPosition, Window
from tests.unit.collect.feed_under_test import AGES, FEED, START, FeedUnderTest, ids

pytestmark = pytest.mark.usefixtures("without_waiting")

MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)


async def test_the_floor_lies_where_the_feed_began_also_when_its_first_walk_failed(
    feed: FeedUnderTest,
) -> None:
    feed.source.add("m", START - MINUTE)
    feed.source.faults = [Unavailable("HTTP 502")]
    await feed.collector._load()
    with pytest.raises(Unavailable):
        await feed.collector._sweeper.live()

    progress = await feed.journal.progress(FEED)
    assert progress.floor == progress.checkpoints["live"] == START - 2 * HOUR
    assert ids(await feed.poll()) == ["m"]


async def test_a_feed_that_begins_now_begins(feed: FeedUnderTest) -> None:
    feed.collector = feed.build(FeedConfig(FEED, Query(), Timing(start=timedelta(0)), AGES))
    feed.source.add("before", START - MINUTE)
    await feed.poll()
    feed.source.add("after", START + MINUTE)

    assert ids(await feed.poll(2 * MINUTE)) == ["after"]


async def test_a_feed_that_begins_on_a_date_waits_for_it(feed: FeedUnderTest) -> None:
    feed.collector = feed.build(FeedConfig(FEED, Query(), Timing(start=START + HOUR), AGES))
    feed.source.add("before", START + 30 * MINUTE)
    feed.source.add("after", START + 61 * MINUTE)

    assert await feed.poll(31 * MINUTE) == []
    assert ids(await feed.poll(HOUR)) == ["after"]


async def test_the_second_asked_before_the_beginning_is_not_reported_as_late(feed: FeedUnderTest) -> None:
    """Requests ask a second more at both ends: what lies there was never read before."""
    original = feed.source.search

    def padded(
        query: Query, window: Window, position: SearchPosition | None = None
    ) -> AsyncGenerator[Page, None]:
        second = timedelta(seconds=1)
        return original(query, Window(window.start - second, window.end + second), position)

    feed.source.search = padded  # type: ignore[method-assign]
    feed.source.add("edge", START - 2 * HOUR - timedelta(milliseconds=500))
    await feed.poll()
    await feed.poll(2 * HOUR)

    assert feed.of(facts.RecordLate) == []


async def test_a_clock_set_back_while_running_is_reported_and_loses_nothing(feed: FeedUnderTest) -> None:
    await feed.poll()
    await feed.poll(-HOUR)
    assert feed.of(facts.CheckpointPulledBack)
    feed.source.add("m", START + MINUTE)

    assert ids(await feed.poll(65 * MINUTE)) == ["m"]


async def test_a_clock_that_cannot_be_right_moves_nothing_and_is_reported(feed: FeedUnderTest) -> None:
    """A machine without a battery wakes up in 1970: that is no reason to read half a century again."""
    await feed.poll()
    before = (await feed.journal.progress(FEED)).checkpoints
    feed.now = START.replace(year=1970)
    feed.collector = feed.build()
    await feed.collector._load()
    with pytest.raises(Unavailable, match="synchronise the clock"):
        await feed.collector._sweeper.live()

    assert (await feed.journal.progress(FEED)).checkpoints == before
    feed.source.asked.clear()
    feed.now = START
    await feed.poll(5 * MINUTE)
    assert len(feed.source.asked) < 5


async def test_a_feed_far_behind_either_clock_does_not_say_that_it_caught_up(feed: FeedUnderTest) -> None:
    """The API's clock is ahead, as it is to a slow machine; or a ``Date`` lies and is behind."""

    def collector(ahead: timedelta) -> Collector:
        local = feed.now
        feed.source._now = lambda: local + ahead
        return feed.build()

    class Single(Interval):
        """One tick at once; a second is waited for in vain, after the first walk and what it had to tell."""

        def __init__(self) -> None:
            super().__init__(HOUR)
            self.walked = asyncio.Event()
            self._asked = False

        async def wait(self) -> None:
            if self._asked:
                self.walked.set()
                await asyncio.Event().wait()
            self._asked = True

    for ahead, fresh in ((2 * HOUR, False), (-HOUR, False), (timedelta(seconds=20), True)):
        schedule = Single()
        running = asyncio.create_task(collector(ahead).run(schedule))
        await asyncio.wait_for(schedule.walked.wait(), 20)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        assert bool(feed.of(facts.FeedCaughtUp)) == fresh


async def test_a_feed_that_is_forgotten_in_the_middle_of_a_walk_begins_anew(feed: FeedUnderTest) -> None:
    for minute in range(9):
        feed.source.add(f"m{minute}", START - minute * 10 * MINUTE - MINUTE)
    assert len(await feed.poll()) == 9
    original, forgotten = feed.source.search, False

    async def search(
        query: Query, window: Window, position: SearchPosition | None = None
    ) -> AsyncGenerator[Page, None]:
        nonlocal forgotten
        async for page in original(query, window, position):
            yield page
            if not forgotten:
                forgotten = True
                await feed.journal.forget(FEED)

    feed.source.search = search  # type: ignore[method-assign]
    feed.source.add("new", START + MINUTE)
    found = await feed.poll(2 * MINUTE)

    assert set(ids(found)) == {f"m{minute}" for minute in range(9)} | {"new"}
    progress = await feed.journal.progress(FEED)
    assert progress.floor == feed.now - 2 * HOUR


async def test_filters_that_changed_while_the_clock_was_wrong_are_still_noted(feed: FeedUnderTest) -> None:
    await feed.poll()
    feed.now -= HOUR
    feed.collector = feed.build(FeedConfig(FEED, Query({"domain": "example.com"}), feed.config.timing, AGES))
    await feed.collector._load()

    assert feed.of(facts.SearchChanged)
    assert (await feed.journal.progress(FEED)).checkpoints["filters_changed"] == START


async def test_time_beyond_retention_is_skipped_as_a_gap_if_the_search_itself_is_taken(
    feed: FeedUnderTest,
) -> None:
    await feed.poll()
    original, edge = feed.source.search, timedelta(days=5)

    async def search(
        query: Query, window: Window, position: SearchPosition | None = None
    ) -> AsyncGenerator[Page, None]:
        if window.start < feed.now - edge:
            raise BadQuery("start is older than the retention period")
        async for page in original(query, window, position):
            yield page

    feed.source.search = search  # type: ignore[method-assign]
    feed.source.add("left", START + timedelta(days=6))
    found = await feed.poll(timedelta(days=10))

    assert ids(found) == ["left"]
    live = [gap for gap in (await feed.journal.outline()).feeds[0].gaps if gap.detail == "live"]
    assert [gap.window.start for gap in live] == [START]
    assert timedelta(0) <= live[0].window.end - (feed.now - edge) < 3 * MINUTE
    assert {fact.gap for fact in feed.observed if isinstance(fact, facts.GapRecorded)} >= set(live)


async def test_a_search_that_is_refused_whatever_its_range_skips_nothing(feed: FeedUnderTest) -> None:
    await feed.poll()

    async def search(
        query: Query, window: Window, position: SearchPosition | None = None
    ) -> AsyncGenerator[Page, None]:
        raise BadQuery("sender is no parameter")
        yield Page(())

    feed.source.search = search  # type: ignore[method-assign]
    feed.now += timedelta(days=10)
    with pytest.raises(BadQuery):
        await feed.collector._sweeper.live()

    assert (await feed.journal.progress(FEED)).checkpoints["live"] == START
    assert (await feed.journal.outline()).feeds[0].gaps == ()


async def test_a_journal_that_breaks_is_reported_as_such_and_not_as_one_of_several_errors(
    feed: FeedUnderTest, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def commit(_: Commit) -> None:
        raise JournalBroken("journal.db is damaged")

    monkeypatch.setattr(feed.journal, "commit", commit)
    with pytest.raises(JournalBroken, match="damaged"):
        await feed.collector.run(Interval(MINUTE))
