"""A search that was taken out of the configuration and is back, and one that was made to forget."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from datetime import timedelta

import pytest

from connector import facts
from connector.collect.feed_config import FeedConfig
from connector.collect.resume import note_forgotten, note_unconfigured
from connector.collect.windows import Timing
from connector.errors import Unavailable
from connector.model import Feed, Gap, GapCause, Page, Query, SearchPosition, Window
from tests.unit.collect.feed_under_test import AGES, FEED, START, FeedUnderTest, ids

pytestmark = pytest.mark.usefixtures("without_waiting")

MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)
OTHER = Feed("a" * 32, "other")


async def _away(feed: FeedUnderTest, away: timedelta) -> None:
    """Let a daemon without the search start, and *away* pass."""
    await note_unconfigured(feed.journal, [FEED, OTHER], [OTHER], feed.now)
    feed.now += away
    await note_unconfigured(feed.journal, [FEED, OTHER], [FEED, OTHER], feed.now)
    feed.collector = feed.build()


async def _gaps(feed: FeedUnderTest) -> tuple[Gap, ...]:
    return (await feed.journal.outline()).feeds[0].gaps


async def test_an_absence_within_start_is_caught_up_with(feed: FeedUnderTest) -> None:
    await feed.poll()
    feed.source.add("meanwhile", START + MINUTE)
    await _away(feed, 2 * HOUR)

    assert ids(await feed.poll()) == ["meanwhile"]
    assert await _gaps(feed) == ()


async def test_a_longer_absence_is_a_gap_that_no_sweep_fills(feed: FeedUnderTest) -> None:
    feed.source.add("before", START - MINUTE, final_disposition="MALICIOUS")
    await feed.poll()
    feed.source.add("meanwhile", START + 5 * HOUR)
    feed.source.add("recent", START + 9 * HOUR)
    feed.source.change("before", final_disposition="NONE")
    await _away(feed, 10 * HOUR)
    found = await feed.poll()

    assert sorted((one.record.id, one.number) for one in found) == [("before", 2), ("recent", 1)]
    gap = Gap(Window(START, START + 8 * HOUR), GapCause.NOT_CONFIGURED)
    assert await _gaps(feed) == (gap,)
    (reported,) = [fact for fact in feed.observed if isinstance(fact, facts.GapRecorded)]
    assert reported.advice.endswith("--from 2026-11-18T12:00:00Z --to 2026-11-18T20:00:00Z")
    for _ in range(4):
        assert await feed.poll(HOUR) == []
    feed.collector = feed.build()
    assert await feed.poll(24 * HOUR) == []
    assert await _gaps(feed) == (gap,)
    assert feed.of(facts.RecordLate) == []


async def test_what_lies_at_the_edge_of_an_absence_is_neither_read_by_the_overlap_nor_reported_as_late(
    feed: FeedUnderTest,
) -> None:
    await feed.poll()
    feed.source.add("skipped", START + 8 * HOUR - MINUTE)
    await _away(feed, 10 * HOUR)
    assert await feed.poll() == []
    assert await feed.poll(HOUR) == []

    (gap,) = await _gaps(feed)
    job, _ = await feed.collector.jobs.submit(("then", "now"), gap.window, everything=False)
    await feed.collector.backfill(job)
    assert ids(await feed.delivered()) == ["skipped"]
    assert feed.of(facts.RecordLate) == []
    assert await _gaps(feed) == ()


async def test_a_daemon_that_was_down_is_not_an_absence(feed: FeedUnderTest) -> None:
    await feed.poll()
    feed.source.add("meanwhile", START + 5 * HOUR)
    feed.collector = feed.build()

    assert ids(await feed.poll(30 * HOUR)) == ["meanwhile"]
    assert await _gaps(feed) == ()


async def test_a_search_that_was_made_to_forget_tells_what_it_skips_by_beginning_anew(
    feed: FeedUnderTest,
) -> None:
    await feed.poll()
    feed.now += 10 * HOUR
    await note_forgotten(feed.journal, FEED, START)
    await feed.journal.forget(FEED)
    feed.source.add("recent", START + 9 * HOUR)

    assert ids(await feed.poll()) == ["recent"]
    assert await _gaps(feed) == (Gap(Window(START, START + 8 * HOUR), GapCause.FORGOTTEN),)
    await feed.journal.forget(FEED)
    feed.collector = feed.build()
    await feed.poll()
    assert await _gaps(feed) == (), "what was noted served once"


async def test_a_local_clock_far_ahead_at_the_first_start_skips_nothing(feed: FeedUnderTest) -> None:
    """The API's first answer contradicts it, before it is decided where the feed begins."""
    feed.source.add("m", START - HOUR)
    true, answered = START, False
    original = feed.source.search

    async def search(
        query: Query, window: Window, position: SearchPosition | None = None
    ) -> AsyncGenerator[Page, None]:
        nonlocal answered
        answered = True
        if window.end > true:
            raise Unavailable("the window ends in the future of the API's clock")
        async for page in original(query, window, position):
            yield page

    feed.source.search = search  # type: ignore[method-assign]
    feed.source._now = lambda: true if answered else true + timedelta(days=30)
    feed.now = true + timedelta(days=30)
    feed.collector = feed.build(FeedConfig(FEED, Query(), Timing(start=2 * HOUR), AGES))

    assert ids(await feed.poll()) == ["m"]
    assert (await feed.journal.progress(FEED)).floor == START - 2 * HOUR
