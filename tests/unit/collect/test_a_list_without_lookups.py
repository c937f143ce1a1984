"""A feed whose API has no single records: what left its filters is searched for, and never is gone."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from connector.collect.collector import Collector
from connector.collect.feed_config import FeedConfig
from connector.model import Query, SearchSource
from tests.unit.collect.feed_under_test import START, FeedUnderTest, ids

pytestmark = pytest.mark.usefixtures("without_waiting")

MINUTE = timedelta(minutes=1)


def _of_source(feed: FeedUnderTest, source: SearchSource, **filters: str) -> FeedConfig:
    config = replace(feed.config, source=source, query=Query(filters), watched=("status",))
    feed.source.filtered = True
    feed.collector = Collector(
        config, feed.source, None, feed.journal, observe=feed.observed.append, clock=lambda: feed.now
    )
    return config


async def test_one_row_that_left_its_filters_is_found_by_a_search_without_any(feed: FeedUnderTest) -> None:
    _of_source(feed, SearchSource.SUBMISSIONS, status="unreviewed")
    feed.source.add("s1", START - MINUTE, status="unreviewed")
    assert ids(await feed.poll()) == ["s1"]
    feed.source.change("s1", status="reviewed")
    feed.source.hide("s1")
    feed.source.queries.clear()

    [found] = await feed.poll(8 * MINUTE)

    assert (found.record.id, found.number, found.previous) == ("s1", 2, {"status": "unreviewed"})
    assert feed.source.looked_up == []
    assert [query for query in feed.source.queries if not query.filters]


@pytest.mark.parametrize("filters", [{}, {"status": "unreviewed"}])
async def test_a_row_that_no_search_returns_any_more_is_not_reported(
    feed: FeedUnderTest, filters: dict[str, str]
) -> None:
    _of_source(feed, SearchSource.SUBMISSIONS, **filters)
    feed.source.add("s1", START - MINUTE, status="unreviewed")
    assert ids(await feed.poll()) == ["s1"]
    feed.source.remove("s1")

    assert await feed.poll(8 * MINUTE) == []
    assert feed.source.looked_up == []


async def test_rows_that_never_change_are_not_searched_for(feed: FeedUnderTest) -> None:
    config = replace(_of_source(feed, SearchSource.AUDIT_LOGS, kind="update"), watched=())
    feed.collector = Collector(
        config, feed.source, None, feed.journal, observe=feed.observed.append, clock=lambda: feed.now
    )
    feed.source.add("a1", START - MINUTE, kind="update")
    assert ids(await feed.poll()) == ["a1"]
    feed.source.hide("a1")
    feed.source.queries.clear()

    assert await feed.poll(8 * MINUTE) == []
    assert all(query.filters for query in feed.source.queries)
