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
from connector.model import Feed, Gap, Page, Query, Window
from tests.unit.collect.feed_under_test import AGES, FEED, START, Desk, ids

pytestmark = pytest.mark.usefixtures("without_waiting")

MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)
OTHER = Feed("a" * 32, "other")


async def _away(desk: Desk, away: timedelta) -> None:
    """Let a daemon without the search start, and *away* pass."""
    await note_unconfigured(desk.journal, [FEED, OTHER], [OTHER], desk.now)
    desk.now += away
    await note_unconfigured(desk.journal, [FEED, OTHER], [FEED, OTHER], desk.now)
    desk.collector = desk.build()


async def _gaps(desk: Desk) -> tuple[Gap, ...]:
    return (await desk.journal.outline()).feeds[0].gaps


async def test_an_absence_within_start_is_caught_up_with(desk: Desk) -> None:
    await desk.poll()
    desk.source.add("meanwhile", START + MINUTE)
    await _away(desk, 2 * HOUR)

    assert ids(await desk.poll()) == ["meanwhile"]
    assert await _gaps(desk) == ()


async def test_a_longer_absence_is_a_gap_that_no_sweep_fills(desk: Desk) -> None:
    desk.source.add("before", START - MINUTE, final_disposition="MALICIOUS")
    await desk.poll()
    desk.source.add("meanwhile", START + 5 * HOUR)
    desk.source.add("recent", START + 9 * HOUR)
    desk.source.change("before", final_disposition="NONE")
    await _away(desk, 10 * HOUR)
    found = await desk.poll()

    assert sorted((one.record.id, one.number) for one in found) == [("before", 2), ("recent", 1)]
    gap = Gap(Window(START, START + 8 * HOUR), "not configured")
    assert await _gaps(desk) == (gap,)
    (told,) = [fact for fact in desk.observed if isinstance(fact, facts.GapRecorded)]
    assert told.advice.endswith("--from 2026-11-18T12:00:00Z --to 2026-11-18T20:00:00Z")
    for _ in range(4):
        assert await desk.poll(HOUR) == []
    desk.collector = desk.build()
    assert await desk.poll(24 * HOUR) == []
    assert await _gaps(desk) == (gap,)
    assert desk.of(facts.RecordLate) == []


async def test_what_lies_at_the_edge_of_an_absence_is_neither_read_by_the_overlap_nor_told_as_late(
    desk: Desk,
) -> None:
    await desk.poll()
    desk.source.add("skipped", START + 8 * HOUR - MINUTE)
    await _away(desk, 10 * HOUR)
    assert await desk.poll() == []
    assert await desk.poll(HOUR) == []

    (gap,) = await _gaps(desk)
    job, _ = await desk.collector.jobs.submit(("then", "now"), gap.window, everything=False)
    await desk.collector.backfill(job)
    assert ids(await desk.delivered()) == ["skipped"]
    assert desk.of(facts.RecordLate) == []
    assert await _gaps(desk) == ()


async def test_a_daemon_that_was_down_is_not_an_absence(desk: Desk) -> None:
    await desk.poll()
    desk.source.add("meanwhile", START + 5 * HOUR)
    desk.collector = desk.build()

    assert ids(await desk.poll(30 * HOUR)) == ["meanwhile"]
    assert await _gaps(desk) == ()


async def test_a_search_that_was_made_to_forget_tells_what_it_skips_by_beginning_anew(desk: Desk) -> None:
    await desk.poll()
    desk.now += 10 * HOUR
    await note_forgotten(desk.journal, FEED, START)
    await desk.journal.forget(FEED)
    desk.source.add("recent", START + 9 * HOUR)

    assert ids(await desk.poll()) == ["recent"]
    assert await _gaps(desk) == (Gap(Window(START, START + 8 * HOUR), "forgotten"),)
    await desk.journal.forget(FEED)
    desk.collector = desk.build()
    await desk.poll()
    assert await _gaps(desk) == (), "what was noted served once"


async def test_a_local_clock_far_ahead_at_the_first_start_skips_nothing(desk: Desk) -> None:
    """The API's first answer contradicts it, before it is decided where the feed begins."""
    desk.source.add("m", START - HOUR)
    true, answered = START, False
    whole_second = desk.source.search

    async def search(query: Query, window: Window) -> AsyncGenerator[Page, None]:
        nonlocal answered
        answered = True
        if window.end > true:
            raise Unavailable("the window ends in the future of the API's clock")
        async for page in whole_second(query, window):
            yield page

    desk.source.search = search  # type: ignore[method-assign]
    desk.source._now = lambda: true if answered else true + timedelta(days=30)
    desk.now = true + timedelta(days=30)
    desk.collector = desk.build(FeedConfig(FEED, Query(), Timing(start=2 * HOUR), AGES))

    assert ids(await desk.poll()) == ["m"]
    assert (await desk.journal.progress(FEED)).floor == START - 2 * HOUR
