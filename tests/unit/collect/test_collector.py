"""A feed over simulated hours: nothing missed, nothing doubled, changes told, faults survived."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from connector import facts
from connector.collect.feed_config import FeedConfig
from connector.collect.windows import Timing
from connector.errors import BadQuery, Denied, SearchIncomplete, Unavailable
from connector.model import Query, Revision
from tests.unit.collect.feed_under_test import AGES, FEED, START, FeedUnderTest, ids

pytestmark = pytest.mark.usefixtures("without_waiting")


DAY = timedelta(days=1)


async def test_a_new_feed_delivers_its_past_once(feed: FeedUnderTest) -> None:
    for minute in range(10):
        feed.source.add(f"m{minute}", START - timedelta(minutes=10 * minute + 1))

    assert ids(await feed.poll()) == [f"m{minute}" for minute in range(10)]
    assert await feed.poll(timedelta(minutes=1)) == []


async def test_records_that_are_indexed_late_are_found_by_a_revisit_and_their_lateness_reported(
    feed: FeedUnderTest,
) -> None:
    await feed.poll()
    feed.source.add("late", START + timedelta(seconds=30), late=timedelta(minutes=4))
    found: list[Revision] = []
    for _ in range(12):
        found += await feed.poll(timedelta(minutes=1))

    assert ids(found) == ["late"]
    assert feed.of(facts.RecordLate)


async def test_a_changed_state_is_delivered_as_an_update(feed: FeedUnderTest) -> None:
    feed.source.add("m", START - timedelta(seconds=30), final_disposition="MALICIOUS", is_quarantined=True)
    await feed.poll()
    feed.source.change("m", is_quarantined=False)
    found = await feed.poll(timedelta(minutes=1)) + await feed.poll(timedelta(minutes=5))

    assert [(revision.number, revision.previous) for revision in found] == [(2, {"is_quarantined": True})]


async def test_a_corrected_verdict_that_leaves_the_search_is_reported(feed: FeedUnderTest) -> None:
    feed.source.add("m", START - timedelta(seconds=30), final_disposition="MALICIOUS")
    feed.source.add("stays", START - timedelta(seconds=20), final_disposition="SPAM")
    await feed.poll()
    feed.source.change("m", final_disposition="NONE")
    feed.source.hide("m")
    found = await feed.poll(timedelta(minutes=6))

    assert [(r.record.id, r.record.body["final_disposition"]) for r in found] == [("m", "NONE")]
    assert feed.source.looked_up == ["m"]


async def test_a_deleted_record_is_reported_once(feed: FeedUnderTest) -> None:
    feed.source.add("m", START - timedelta(seconds=30), final_disposition="MALICIOUS")
    await feed.poll()
    feed.source.remove("m")
    found = await feed.poll(timedelta(minutes=6)) + await feed.poll(timedelta(minutes=70))

    assert [(revision.record.id, revision.gone) for revision in found] == [("m", True)]


async def test_a_failure_in_the_middle_of_a_walk_neither_loses_nor_doubles(feed: FeedUnderTest) -> None:
    for minute in range(10):
        feed.source.add(f"m{minute}", START - timedelta(minutes=minute + 1))
    feed.source.faults = [
        Unavailable("HTTP 502"),
        None,
        Denied("no"),
        BadQuery("bad"),
        Unavailable("HTTP 429"),
    ]

    assert ids(await feed.poll()) == sorted(f"m{minute}" for minute in range(10))
    kinds = [fact.kind for fact in feed.observed if isinstance(fact, facts.CollectionFailed)]
    assert kinds == ["unavailable", "denied", "bad_query", "unavailable"]
    assert feed.of(facts.CollectionRecovered)


async def test_a_walk_that_cannot_end_is_halved_until_it_can(feed: FeedUnderTest) -> None:
    for minute in range(10):
        feed.source.add(f"m{minute}", START - timedelta(minutes=minute + 1))
    feed.source.faults = [SearchIncomplete("repeated_cursor")] * 4

    assert ids(await feed.poll()) == sorted(f"m{minute}" for minute in range(10))
    assert [f.seconds for f in feed.observed if isinstance(f, facts.WindowSplit)] == [1800, 900, 450, 225]


async def test_a_restart_goes_on_where_it_was(feed: FeedUnderTest) -> None:
    feed.source.add("before", START - timedelta(minutes=1))
    await feed.poll()
    feed.collector = feed.build()
    feed.source.add("after", START + timedelta(minutes=1))
    feed.source.asked.clear()

    assert ids(await feed.poll(timedelta(minutes=3))) == ["after"]
    assert min(window.start for window in feed.source.asked) >= START - timedelta(minutes=6)


async def test_a_checkpoint_in_the_future_is_pulled_back_and_reported(feed: FeedUnderTest) -> None:
    await feed.poll()
    feed.now = START - timedelta(hours=1)
    feed.collector = feed.build()
    await feed.poll()
    feed.source.add("m", START - timedelta(minutes=59))

    assert ids(await feed.poll(timedelta(minutes=5))) == ["m"]
    assert feed.of(facts.CheckpointPulledBack)


async def test_changed_filters_keep_the_checkpoint_and_look_nothing_up(feed: FeedUnderTest) -> None:
    feed.source.add("old", START - timedelta(minutes=1))
    await feed.poll()
    feed.source.hide("old")
    feed.collector = feed.build(FeedConfig(FEED, Query({"domain": "example.com"}), feed.config.timing, AGES))
    found = await feed.poll(timedelta(minutes=10))

    assert found == []
    assert feed.source.looked_up == []
    assert feed.of(facts.SearchChanged)


async def test_catching_up_after_days_walks_slices_without_waiting(feed: FeedUnderTest) -> None:
    await feed.poll()
    for hour in range(72):
        feed.source.add(f"h{hour:02}", START + timedelta(hours=hour, minutes=30))

    assert len(await feed.poll(timedelta(hours=72))) == 72
    longest = max(window.length for window in feed.source.asked)
    assert longest <= timedelta(hours=1)


async def test_a_month_of_nearly_nothing_costs_tens_of_requests(feed: FeedUnderTest) -> None:
    config = replace(feed.config, ages=(), timing=Timing(start=timedelta(days=30)), longest_slice=DAY)
    feed.collector = feed.build(config)
    for days in (1, 7, 29):
        feed.source.add(f"d{days}", START - days * DAY + timedelta(minutes=1))

    assert len(await feed.poll()) == 3
    assert len(feed.source.asked) < 45


async def test_another_message_under_a_known_id_is_delivered_once(feed: FeedUnderTest) -> None:
    scanned = START - timedelta(minutes=1)
    invoice: dict[str, Any] = {"subject": "Invoice", "from": "a@example.com", "final_disposition": "SPAM"}
    payroll: dict[str, Any] = {**invoice, "subject": "Payroll"}
    feed.source.add("m", scanned, **invoice)
    assert len(await feed.poll()) == 1
    feed.source.add("m", scanned, **payroll)
    (other,) = await feed.poll(timedelta(minutes=1))

    assert (other.number, other.record.body["subject"]) == (1, "Payroll")
    assert await feed.poll(timedelta(minutes=1)) == []
    feed.source.change("m", final_disposition="MALICIOUS")
    (changed,) = await feed.poll(timedelta(minutes=10))
    assert (changed.number, changed.record.id) == (2, other.record.id)
    feed.source.add("m", scanned, **invoice)
    assert await feed.poll(timedelta(hours=1)) == []
    assert [fact.record for fact in feed.observed if isinstance(fact, facts.RecordIdReused)] == ["m"]


async def test_a_field_that_comes_later_makes_no_other_message(feed: FeedUnderTest) -> None:
    scanned = START - timedelta(minutes=1)
    feed.source.add("m", scanned)
    assert len(await feed.poll()) == 1
    feed.source.change("m", subject="Invoice", scanned_at=scanned.isoformat().replace("+00:00", ".000Z"))
    assert await feed.poll(timedelta(minutes=1)) == []


async def test_seen_rows_are_forgotten_behind_the_slowest_sweep_only(feed: FeedUnderTest) -> None:
    feed.source.add("m", START - timedelta(minutes=1), is_quarantined=True)
    await feed.poll()
    assert (await feed.journal.outline()).feeds[0].seen == 1
    for _ in range(5):
        feed.collector = feed.build()
        await feed.poll(timedelta(hours=1))

    assert (await feed.journal.outline()).feeds[0].seen == 0


async def test_revisits_cost_one_more_read_each(feed: FeedUnderTest) -> None:
    await feed.poll()
    feed.source.asked.clear()
    for _ in range(240):
        await feed.poll(timedelta(minutes=1))
    live = 240
    revisit_5m = 240 / 1
    revisit_1h = 240 / 6

    assert len(feed.source.asked) <= (live + revisit_5m + revisit_1h) * 1.1


@pytest.mark.parametrize("scanned", ["0001-01-01T00:00:00Z", "1970-01-01T00:00:00Z", "9999-12-31T23:59:59Z"])
async def test_a_time_that_means_no_time_counts_as_none(feed: FeedUnderTest, scanned: str) -> None:
    await feed.poll()
    feed.source.add("m", START + timedelta(seconds=30), scanned_at=scanned)
    (found,) = await feed.poll(timedelta(minutes=1))

    assert found.collected == START + timedelta(minutes=1)
    (row,) = (await feed.journal.seen(FEED, ["m"])).values()
    assert START - timedelta(hours=2) <= row.time <= START + timedelta(minutes=1)
    assert feed.of(facts.RecordLate) == []
    assert sum(fact.outside for fact in feed.observed if isinstance(fact, facts.PageCollected)) == 0
    assert await feed.poll(timedelta(minutes=1)) == []
