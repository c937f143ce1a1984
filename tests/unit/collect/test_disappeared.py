"""Records that left their search: asked for together where that is cheaper, and once."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from dataclasses import replace
from datetime import timedelta

import pytest

from connector.errors import SearchIncomplete
from connector.facts import RecordDisappeared
from connector.model import Page, Priority, Query, Record, SearchPosition, Window
from tests.unit.collect.feed_under_test import AGES, START, FeedUnderTest, ids

pytestmark = pytest.mark.usefixtures("without_waiting")

MINUTE = timedelta(minutes=1)
EVERYTHING = {"detections_only": False}


def _leave(feed: FeedUnderTest, *names: str, verdict: str = "NONE") -> None:
    for name in names:
        feed.source.change(name, final_disposition=verdict)
        feed.source.hide(name)


async def _seen(feed: FeedUnderTest, count: int, apart: timedelta = timedelta(seconds=2)) -> list[str]:
    names = [f"m{number:03}" for number in range(count)]
    for number, name in enumerate(names):
        feed.source.add(name, START - MINUTE - number * apart, final_disposition="MALICIOUS")
    assert len(await feed.poll()) == count
    return names


async def test_records_that_lie_together_are_read_by_one_search_without_filters(feed: FeedUnderTest) -> None:
    names = await _seen(feed, 40)
    _leave(feed, *names[::2])
    feed.source.queries.clear()
    found = await feed.poll(8 * MINUTE)

    assert ids(found) == names[::2]
    assert all(revision.previous == {"final_disposition": "MALICIOUS"} for revision in found)
    assert feed.source.looked_up == []
    (search,) = [query for query in feed.source.queries if query.filters == EVERYTHING]
    assert search.priority is Priority.REVISIT


async def test_what_a_search_without_filters_does_not_return_is_looked_up(feed: FeedUnderTest) -> None:
    names = await _seen(feed, 6)
    _leave(feed, *names[:3])
    feed.source.remove(names[4])
    found = await feed.poll(8 * MINUTE)

    assert feed.source.looked_up == [names[4]]
    assert {revision.record.id for revision in found if revision.gone} == {names[4]}
    assert len(found) == 4


async def test_a_record_that_lies_alone_is_looked_up(feed: FeedUnderTest) -> None:
    names = await _seen(feed, 3)
    _leave(feed, names[1])
    await feed.poll(8 * MINUTE)

    assert feed.source.looked_up == [names[1]]


async def test_a_feed_without_filters_looks_up_what_it_did_not_return(feed: FeedUnderTest) -> None:
    feed.config = replace(feed.config, query=Query(EVERYTHING))
    feed.collector = feed.build()
    names = await _seen(feed, 3)
    for name in names:
        feed.source.remove(name)
    await feed.poll(8 * MINUTE)

    assert sorted(feed.source.looked_up) == names


@pytest.mark.parametrize("error", [SearchIncomplete("repeated_cursor"), None])
async def test_a_search_without_filters_that_fails_or_helps_nobody_costs_no_record(
    feed: FeedUnderTest, error: SearchIncomplete | None
) -> None:
    names = await _seen(feed, 4)
    whole = feed.source.search

    async def search(
        query: Query, window: Window, position: SearchPosition | None = None
    ) -> AsyncGenerator[Page, None]:
        if query.filters != EVERYTHING:
            async for page in whole(query, window, position):
                yield page
        elif error is not None:
            raise error
        else:
            yield Page((Record("another", {"id": "another"}),))

    feed.source.search = search  # type: ignore[method-assign]
    _leave(feed, *names)

    assert ids(await feed.poll(8 * MINUTE)) == names
    assert sorted(feed.source.looked_up) == names


async def test_who_left_is_asked_for_once_more_at_the_last_age_only(feed: FeedUnderTest) -> None:
    """Also after a restart: the row remembers it."""
    feed.config = replace(feed.config, ages=(5 * MINUTE, 20 * MINUTE, *AGES[1:]))
    feed.collector = feed.build()
    (name, _) = await _seen(feed, 2)
    _leave(feed, name)
    assert ids(await feed.poll(8 * MINUTE)) == [name]
    feed.collector = feed.build()
    await feed.poll(20 * MINUTE)
    assert feed.source.looked_up == [name]
    feed.source.change(name, final_disposition="UNKNOWN")
    found = await feed.poll(60 * MINUTE)

    assert feed.source.looked_up == [name, name]
    assert [(one.record.id, one.record.body["final_disposition"]) for one in found] == [(name, "UNKNOWN")]
    assert len(feed.of(RecordDisappeared)) == 2


async def test_who_came_back_and_left_again_is_asked_for_again(feed: FeedUnderTest) -> None:
    feed.config = replace(feed.config, ages=(5 * MINUTE, 20 * MINUTE, 40 * MINUTE, *AGES[1:]))
    feed.collector = feed.build()
    (name, _) = await _seen(feed, 2)
    _leave(feed, name)
    await feed.poll(8 * MINUTE)
    feed.source.show(name)
    feed.source.change(name, final_disposition="NONE")
    await feed.poll(20 * MINUTE)
    _leave(feed, name, verdict="SPAM")
    found = await feed.poll(20 * MINUTE)

    assert feed.source.looked_up == [name, name]
    assert [(one.number, one.record.body["final_disposition"]) for one in found] == [(3, "SPAM")]


async def test_a_mark_is_no_part_of_what_is_delivered(feed: FeedUnderTest) -> None:
    (name, _) = await _seen(feed, 2)
    _leave(feed, name)
    await feed.poll(8 * MINUTE)
    feed.source.remove(name)
    (gone,) = await feed.poll(70 * MINUTE)

    assert gone.gone
    assert not any(field.startswith("$") for field in [*gone.record.body, *(gone.previous or {})])
