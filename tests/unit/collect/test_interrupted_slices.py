"""A slice that is interrupted goes on where it was, however often: no record is lost, none comes twice.

The process is killed before or after a commit, or the API fails in the middle. Records come newest first,
oldest first, or in no order that tells what is left.
"""

from __future__ import annotations

import sqlite3
import tempfile
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Literal, TypeAlias

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from connector.collect.windows import Timing
from connector.errors import SearchIncomplete, Unavailable
from connector.model import Commit, Page, Query, SearchPosition, Window
from tests.support.examples import examples
from tests.support.jumping_loop import run
from tests.unit.collect.feed_under_test import AGES, FEED, START, FeedUnderTest, feed_under_test, ids

Order: TypeAlias = Literal["newest", "oldest"]
MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)
PAGE = 3
EVERYTHING = {"detections_only": False}
RECORDS = 40
"""Fourteen pages in the hour before the start, which is one slice."""


class Killed(BaseException):
    """The process ends here."""


@contextmanager
def killed_in(feed: FeedUnderTest, commits: int, *, after: bool) -> Iterator[None]:
    """Kill the process at the commit after *commits* others, before it is durable or *after*."""
    whole, left = feed.journal.commit, commits

    async def commit(commit: Commit) -> None:
        nonlocal left
        left -= 1
        if left >= 0 or after:
            await whole(commit)
        if left < 0:
            raise Killed

    feed.journal.commit = commit  # type: ignore[method-assign]
    try:
        yield
    except Killed:
        feed.collector = feed.build()
    finally:
        feed.journal.commit = whole  # type: ignore[method-assign]


@contextmanager
def ending_after(feed: FeedUnderTest, pages: int, end: BaseException) -> Iterator[None]:
    """Raise *end* once, in place of the page after *pages* others."""
    whole, left = feed.source.search, pages

    async def search(
        query: Query, window: Window, position: SearchPosition | None = None
    ) -> AsyncGenerator[Page, None]:
        nonlocal left
        async for page in whole(query, window, position):
            left -= 1
            if left == -1:
                raise end
            yield page

    feed.source.search = search  # type: ignore[method-assign]
    try:
        yield
    except Killed:
        feed.collector = feed.build()
    finally:
        feed.source.search = whole  # type: ignore[method-assign]


def _fill(feed: FeedUnderTest, start: datetime, order: Order | None) -> list[str]:
    """Records spread over the hour from *start* on, some with the same second."""
    names = [f"m{number:02}" for number in range(RECORDS)]
    for number, name in enumerate(names):
        at = start + HOUR * ((number * 17 % RECORDS) // 2 * 2) / RECORDS
        feed.source.add(name, at, final_disposition="SPAM")
    feed.source.order = order
    return names


def _starting(feed: FeedUnderTest, ages: tuple[timedelta, ...] = ()) -> None:
    feed.config = replace(feed.config, ages=ages, timing=Timing(start=HOUR))
    feed.collector = feed.build()


async def _interrupted(
    feed: FeedUnderTest, interruptions: list[tuple[int, str]], work: Callable[[], Awaitable[object]]
) -> None:
    """Do *work* to its end after all *interruptions*."""
    for count, kind in interruptions:
        if kind == "failure":
            with ending_after(feed, count, Unavailable("HTTP 503")):
                await work()
        else:
            with killed_in(feed, count, after=kind == "after"):
                await work()
    await work()


async def _once(feed: FeedUnderTest) -> None:
    await feed.collector.once()


INTERRUPTIONS = st.lists(
    st.tuples(st.integers(0, 6), st.sampled_from(["before", "after", "failure"])), max_size=8
)


@settings(max_examples=examples(40), deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.sampled_from(["newest", "oldest"]), INTERRUPTIONS)
def test_a_live_slice_costs_its_pages_and_a_few_for_each_interruption(
    order: Order, interruptions: list[tuple[int, str]]
) -> None:
    async def story(directory: Path) -> None:
        async with feed_under_test(directory) as feed:
            _starting(feed)
            names = _fill(feed, START - HOUR, order)
            await _interrupted(feed, interruptions, lambda: _once(feed))

            found = await feed.delivered()
            assert ids(found) == names
            assert feed.source.pages <= -(-RECORDS // PAGE) + 1 + 4 * len(interruptions)

    with tempfile.TemporaryDirectory() as directory:
        run(story(Path(directory)))


@settings(max_examples=examples(40), deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.sampled_from(["newest", "oldest"]), INTERRUPTIONS, st.sets(st.integers(0, RECORDS - 1), max_size=4))
def test_a_revisit_that_is_interrupted_asks_for_those_that_left_and_for_no_other(
    order: Order, interruptions: list[tuple[int, str]], left: set[int]
) -> None:
    async def story(directory: Path) -> None:
        async with feed_under_test(directory) as feed:
            _starting(feed, AGES[1:])
            feed.now += HOUR  # the records are young when they are read first
            names = _fill(feed, START, order)
            await feed.collector.once()
            assert ids(await feed.delivered()) == names
            for number in left:
                feed.source.change(names[number], final_disposition="NONE")
                feed.source.hide(names[number])
            feed.now += 2 * HOUR
            feed.source.pages = 0
            await _interrupted(feed, interruptions, lambda: _once(feed))

            assert ids(await feed.delivered()) == sorted(names[number] for number in left)
            assert set(feed.source.looked_up) <= {names[number] for number in left}
            asked_for_all = [query for query in feed.source.queries if query.filters == EVERYTHING]
            assert left or not asked_for_all

    with tempfile.TemporaryDirectory() as directory:
        run(story(Path(directory)))


@settings(max_examples=examples(40), deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.sampled_from(["newest", "oldest"]), INTERRUPTIONS, st.booleans())
def test_a_backfill_counts_and_delivers_every_record_once(
    order: Order, interruptions: list[tuple[int, str]], everything: bool
) -> None:
    async def story(directory: Path) -> None:
        async with feed_under_test(directory) as feed:
            feed.config = replace(feed.config, ages=(), timing=Timing(start=MINUTE))
            feed.collector = feed.build()
            await feed.collector.once()
            names = _fill(feed, START - 2 * HOUR, order)
            window = Window(START - 2 * HOUR, START - HOUR)
            job, _ = await feed.collector.jobs.submit(("a", "b"), window, everything=everything)

            async def work() -> None:
                jobs = await feed.collector.jobs.load()
                if jobs.unfinished:
                    await feed.collector.backfill(jobs.unfinished[0])

            await _interrupted(feed, interruptions, work)

            done = (await feed.collector.jobs.load()).find(job.number)
            assert done is not None
            assert done.done is not None
            found = await feed.delivered()
            assert sorted(set(ids(found))) == names
            assert (done.done.new, done.done.read) == (RECORDS, RECORDS)

    with tempfile.TemporaryDirectory() as directory:
        run(story(Path(directory)))


@pytest.mark.parametrize("order", ["newest", "oldest", None])
async def test_a_slice_longer_than_the_time_between_two_interruptions_ends(
    feed: FeedUnderTest, order: Order | None
) -> None:
    """Also where nothing tells what is left: slices become as short as it takes."""
    _starting(feed)
    names = _fill(feed, START - HOUR, order)
    for _ in range(40):
        with ending_after(feed, 5, Killed()):
            await feed.collector.once()
            break
    else:
        pytest.fail("the catch-up never ends")

    assert ids(await feed.delivered()) == names


async def test_what_was_read_with_other_filters_is_read_again(feed: FeedUnderTest) -> None:
    _starting(feed)
    _fill(feed, START - HOUR, "newest")
    with killed_in(feed, 6, after=True):
        await feed.collector.once()
    feed.collector = feed.build(replace(feed.config, query=Query({"domain": "example.com"})))
    feed.source.asked.clear()
    await feed.collector.once()

    assert feed.source.asked[0] == Window(START - HOUR, START)


async def test_what_was_read_before_the_feed_was_forgotten_is_read_again(feed: FeedUnderTest) -> None:
    """Although it begins at the very same time."""
    feed.config = replace(feed.config, ages=(), timing=Timing(start=START - HOUR))
    feed.collector = feed.build()
    names = _fill(feed, START - HOUR, "newest")
    with killed_in(feed, 6, after=True):
        await feed.collector.once()
    await feed.delivered()
    await feed.journal.forget(FEED)
    await feed.collector.once()

    assert ids(await feed.delivered()) == names


async def test_a_search_that_fails_in_its_middle_is_read_anew_and_shorter(feed: FeedUnderTest) -> None:
    _starting(feed)
    names = _fill(feed, START - HOUR, "newest")
    feed.source.faults = [SearchIncomplete("repeated_cursor")]
    await feed.collector.once()

    assert ids(await feed.delivered()) == names
    assert feed.source.asked[:2] == [Window(START - HOUR, START), Window(START - HOUR, START - HOUR / 2)]


async def test_nothing_is_left_of_the_notes_once_a_slice_is_complete(feed: FeedUnderTest) -> None:
    _starting(feed, AGES)
    _fill(feed, START - HOUR, "newest")
    with killed_in(feed, 6, after=True):
        await feed.collector.once()
    await feed.collector.once()
    await feed.poll(2 * HOUR)

    def keys(connection: sqlite3.Connection) -> list[str]:
        return [key for (key,) in connection.execute("SELECT key FROM key_values")]

    assert not any(key.startswith(FEED.notes) for key in await feed.journal._database.read(keys))
