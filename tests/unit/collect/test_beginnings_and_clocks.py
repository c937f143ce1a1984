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
from connector.model import Commit, Page, Query, Window
from tests.unit.collect.feed_under_test import AGES, FEED, START, Desk, ids

pytestmark = pytest.mark.usefixtures("without_waiting")

MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)


async def test_the_floor_lies_where_the_feed_began_also_when_its_first_walk_failed(desk: Desk) -> None:
    desk.source.add("m", START - MINUTE)
    desk.source.faults = [Unavailable("HTTP 502")]
    await desk.collector._load()
    with pytest.raises(Unavailable):
        await desk.collector._sweeper.live()

    progress = await desk.journal.progress(FEED)
    assert progress.floor == progress.checkpoints["live"] == START - 2 * HOUR
    assert ids(await desk.poll()) == ["m"]


async def test_a_feed_that_begins_now_begins(desk: Desk) -> None:
    desk.collector = desk.build(FeedConfig(FEED, Query(), Timing(start=timedelta(0)), AGES))
    desk.source.add("before", START - MINUTE)
    await desk.poll()
    desk.source.add("after", START + MINUTE)

    assert ids(await desk.poll(2 * MINUTE)) == ["after"]


async def test_a_feed_that_begins_on_a_date_waits_for_it(desk: Desk) -> None:
    desk.collector = desk.build(FeedConfig(FEED, Query(), Timing(start=START + HOUR), AGES))
    desk.source.add("before", START + 30 * MINUTE)
    desk.source.add("after", START + 61 * MINUTE)

    assert await desk.poll(31 * MINUTE) == []
    assert ids(await desk.poll(HOUR)) == ["after"]


async def test_the_second_asked_before_the_beginning_is_not_told_as_late(desk: Desk) -> None:
    """Requests ask a second more at both ends: what lies there was never read before."""
    whole_second = desk.source.search

    def padded(query: Query, window: Window) -> AsyncGenerator[Page, None]:
        second = timedelta(seconds=1)
        return whole_second(query, Window(window.start - second, window.end + second))

    desk.source.search = padded  # type: ignore[method-assign]
    desk.source.add("edge", START - 2 * HOUR - timedelta(milliseconds=500))
    await desk.poll()
    await desk.poll(2 * HOUR)

    assert desk.of(facts.RecordLate) == []


async def test_a_clock_set_back_while_running_is_told_and_loses_nothing(desk: Desk) -> None:
    await desk.poll()
    await desk.poll(-HOUR)
    assert desk.of(facts.CheckpointPulledBack)
    desk.source.add("m", START + MINUTE)

    assert ids(await desk.poll(65 * MINUTE)) == ["m"]


async def test_a_clock_that_cannot_be_right_moves_nothing_and_is_told(desk: Desk) -> None:
    """A machine without a battery wakes up in 1970: that is no reason to read half a century again."""
    await desk.poll()
    before = (await desk.journal.progress(FEED)).checkpoints
    desk.now = START.replace(year=1970)
    desk.collector = desk.build()
    await desk.collector._load()
    with pytest.raises(Unavailable, match="synchronise the clock"):
        await desk.collector._sweeper.live()

    assert (await desk.journal.progress(FEED)).checkpoints == before
    desk.source.asked.clear()
    desk.now = START
    await desk.poll(5 * MINUTE)
    assert len(desk.source.asked) < 5


async def test_a_feed_far_behind_either_clock_does_not_say_that_it_caught_up(desk: Desk) -> None:
    """The API's clock is ahead, as it is to a slow machine; or a ``Date`` lies and is behind."""

    def collector(ahead: timedelta) -> Collector:
        local = desk.now
        desk.source._now = lambda: local + ahead
        return desk.build()

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
        assert bool(desk.of(facts.FeedCaughtUp)) == fresh


async def test_a_feed_that_is_forgotten_in_the_middle_of_a_walk_begins_anew(desk: Desk) -> None:
    for minute in range(9):
        desk.source.add(f"m{minute}", START - minute * 10 * MINUTE - MINUTE)
    assert len(await desk.poll()) == 9
    whole_second, forgotten = desk.source.search, False

    async def search(query: Query, window: Window) -> AsyncGenerator[Page, None]:
        nonlocal forgotten
        async for page in whole_second(query, window):
            yield page
            if not forgotten:
                forgotten = True
                await desk.journal.forget(FEED)

    desk.source.search = search  # type: ignore[method-assign]
    desk.source.add("new", START + MINUTE)
    found = await desk.poll(2 * MINUTE)

    assert set(ids(found)) == {f"m{minute}" for minute in range(9)} | {"new"}
    progress = await desk.journal.progress(FEED)
    assert progress.floor == desk.now - 2 * HOUR


async def test_filters_that_changed_while_the_clock_was_wrong_are_still_noted(desk: Desk) -> None:
    await desk.poll()
    desk.now -= HOUR
    desk.collector = desk.build(FeedConfig(FEED, Query({"domain": "example.com"}), desk.config.timing, AGES))
    await desk.collector._load()

    assert desk.of(facts.SearchChanged)
    assert (await desk.journal.progress(FEED)).checkpoints["filters_changed"] == START


async def test_time_beyond_retention_is_skipped_as_a_gap_if_the_search_itself_is_taken(desk: Desk) -> None:
    await desk.poll()
    whole_second, edge = desk.source.search, timedelta(days=5)

    async def search(query: Query, window: Window) -> AsyncGenerator[Page, None]:
        if window.start < desk.now - edge:
            raise BadQuery("start is older than the retention period")
        async for page in whole_second(query, window):
            yield page

    desk.source.search = search  # type: ignore[method-assign]
    desk.source.add("left", START + timedelta(days=6))
    found = await desk.poll(timedelta(days=10))

    assert ids(found) == ["left"]
    live = [gap for gap in (await desk.journal.outline()).feeds[0].gaps if "live" in gap.cause]
    assert [gap.window.start for gap in live] == [START]
    assert timedelta(0) <= live[0].window.end - (desk.now - edge) < 3 * MINUTE
    assert {fact.gap for fact in desk.observed if isinstance(fact, facts.GapRecorded)} >= set(live)


async def test_a_search_that_is_refused_whatever_its_range_skips_nothing(desk: Desk) -> None:
    await desk.poll()

    async def search(query: Query, window: Window) -> AsyncGenerator[Page, None]:
        raise BadQuery("sender is no parameter")
        yield Page(())

    desk.source.search = search  # type: ignore[method-assign]
    desk.now += timedelta(days=10)
    with pytest.raises(BadQuery):
        await desk.collector._sweeper.live()

    assert (await desk.journal.progress(FEED)).checkpoints["live"] == START
    assert (await desk.journal.outline()).feeds[0].gaps == ()


async def test_a_journal_that_breaks_is_reported_as_such_and_not_as_one_of_several_errors(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def commit(_: Commit) -> None:
        raise JournalBroken("journal.db is damaged")

    monkeypatch.setattr(desk.journal, "commit", commit)
    with pytest.raises(JournalBroken, match="damaged"):
        await desk.collector.run(Interval(MINUTE))
