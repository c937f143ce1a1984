"""What comes between: a full journal with a walk under way, aborted walks in a long overlap, new filters."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from dataclasses import replace
from datetime import timedelta

import pytest

from connector import facts
from connector.collect.feed_config import FeedConfig
from connector.collect.windows import Timing
from connector.errors import JournalFull, SearchIncomplete
from connector.model import Commit, Page, Quarantined, Query, SearchPosition, Step, Window
from tests.unit.collect.feed_under_test import AGES, FEED, START, FeedUnderTest, ids

pytestmark = pytest.mark.usefixtures("without_waiting")

MINUTE = timedelta(minutes=1)


async def test_a_full_journal_pauses_a_walk_between_its_pages_and_nothing_is_asked_twice(
    feed: FeedUnderTest, monkeypatch: pytest.MonkeyPatch
) -> None:
    for minute in range(10):
        feed.source.add(f"m{minute}", START - minute * MINUTE / 10 - MINUTE)
    original, room = feed.journal.commit, iter([True, True, True, True, *[False] * 7])

    async def commit(commit: Commit) -> None:
        if not next(room, True):
            raise JournalFull("the disk is full")
        await original(commit)

    monkeypatch.setattr(feed.journal, "commit", commit)
    found = await feed.poll()

    assert ids(found) == sorted(f"m{minute}" for minute in range(10))
    assert len(feed.of(facts.CollectionPaused)) == 7
    assert len(feed.source.asked) == len(set(feed.source.asked))


async def test_a_commit_that_waits_for_room_while_its_feed_is_forgotten_is_not_stored(
    feed: FeedUnderTest, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was compared with what is forgotten, and another sweep of the feed has begun anew meanwhile."""
    for minute in range(5):
        feed.source.add(f"m{minute}", START - MINUTE, final_disposition="SPAM")
    assert len(await feed.poll()) == 5
    for minute in range(5):
        feed.source.change(f"m{minute}", final_disposition="MALICIOUS")
    original, waiting, room = feed.journal.commit, asyncio.Event(), asyncio.Event()

    async def commit(commit: Commit) -> None:
        if commit.revisions and not room.is_set():
            waiting.set()
            raise JournalFull("the disk is full")
        await original(commit)

    monkeypatch.setattr(feed.journal, "commit", commit)
    feed.now += MINUTE
    polling = asyncio.create_task(feed.collector.once())
    await waiting.wait()
    await feed.journal.forget(FEED)
    await feed.collector._sweeper.load()
    room.set()
    await polling

    reported = [(one.record.id, one.number) for one in await feed.delivered()]
    assert sorted(reported) == [(f"m{minute}", 1) for minute in range(5)]


async def test_aborted_walks_in_an_overlap_longer_than_a_slice_never_move_the_checkpoint_back(
    feed: FeedUnderTest, monkeypatch: pytest.MonkeyPatch
) -> None:
    timing = Timing(start=timedelta(hours=2), overlap=90 * MINUTE)
    feed.collector = feed.build(replace(feed.config, timing=timing, ages=()))
    await feed.poll()
    steps: list[Step] = []
    original = feed.journal.commit

    async def commit(commit: Commit) -> None:
        if commit.step is not None:
            steps.append(commit.step)
        await original(commit)

    monkeypatch.setattr(feed.journal, "commit", commit)
    feed.source.add("late", START - 80 * MINUTE)
    feed.source.add("new", START + MINUTE)
    feed.source.faults = [
        None,
        *[SearchIncomplete("repeated_cursor")] * 5,
        None,
        SearchIncomplete("lost_cursor"),
    ]
    found = await feed.poll(10 * MINUTE)

    assert ids(found) == ["late", "new"]
    assert len(feed.of(facts.WindowSplit)) == 6
    assert steps[0].since == START
    assert all(step.since is not None and step.since <= step.until for step in steps)
    assert steps[-1].until == START + 10 * MINUTE


async def test_what_a_wider_filter_finds_in_old_time_is_not_reported_as_late(feed: FeedUnderTest) -> None:
    feed.source.add("clean", START - 3 * MINUTE)
    feed.source.hide("clean")
    await feed.poll()
    feed.source._hidden.clear()
    feed.collector = feed.build(FeedConfig(FEED, Query({"detections_only": False}), feed.config.timing, AGES))
    found = await feed.poll(10 * MINUTE)

    assert ids(found) == ["clean"]
    assert feed.of(facts.RecordLate) == []


async def test_what_cannot_become_a_record_is_kept_once_and_stops_nothing(
    feed: FeedUnderTest, monkeypatch: pytest.MonkeyPatch
) -> None:
    item = Quarantined(b'{"id": "deep", "x": [[[[', "nested_too_deeply")
    original = feed.source.search

    async def search(
        query: Query, window: Window, position: SearchPosition | None = None
    ) -> AsyncGenerator[Page, None]:
        yield Page((), (item,))
        async for page in original(query, window, position):
            yield page

    monkeypatch.setattr(feed.source, "search", search)
    feed.source.add("m", START - MINUTE)
    assert ids(await feed.poll()) == ["m"]
    assert await feed.poll(MINUTE) == []

    assert [kept.item for kept in await feed.journal.quarantined()] == [item]
    assert len(feed.of(facts.RecordQuarantined)) == 1
