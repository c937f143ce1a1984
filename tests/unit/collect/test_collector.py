"""A feed over simulated hours: nothing missed, nothing doubled, changes told, faults survived."""

from __future__ import annotations

from datetime import timedelta

import pytest

from connector import facts
from connector.collect.feed_config import FeedConfig
from connector.errors import BadQuery, Denied, SearchIncomplete, Unavailable
from connector.model import Query, Revision
from tests.unit.collect.desk import AGES, FEED, START, Desk, ids

pytestmark = pytest.mark.usefixtures("without_waiting")


async def test_a_new_feed_delivers_its_past_once(desk: Desk) -> None:
    for minute in range(10):
        desk.source.add(f"m{minute}", START - timedelta(minutes=10 * minute + 1))

    assert ids(await desk.poll()) == [f"m{minute}" for minute in range(10)]
    assert await desk.poll(timedelta(minutes=1)) == []


async def test_records_that_are_indexed_late_are_found_by_a_revisit_and_their_lateness_told(
    desk: Desk,
) -> None:
    await desk.poll()
    desk.source.add("late", START + timedelta(seconds=30), late=timedelta(minutes=4))
    found: list[Revision] = []
    for _ in range(12):
        found += await desk.poll(timedelta(minutes=1))

    assert ids(found) == ["late"]
    assert desk.of(facts.RecordLate)


async def test_a_changed_state_is_delivered_as_an_update(desk: Desk) -> None:
    desk.source.add("m", START - timedelta(seconds=30), final_disposition="MALICIOUS", is_quarantined=True)
    await desk.poll()
    desk.source.change("m", is_quarantined=False)
    found = await desk.poll(timedelta(minutes=1)) + await desk.poll(timedelta(minutes=5))

    assert [(revision.number, revision.previous) for revision in found] == [(2, {"is_quarantined": True})]


async def test_a_corrected_verdict_that_leaves_the_search_is_told(desk: Desk) -> None:
    desk.source.add("m", START - timedelta(seconds=30), final_disposition="MALICIOUS")
    desk.source.add("stays", START - timedelta(seconds=20), final_disposition="SPAM")
    await desk.poll()
    desk.source.change("m", final_disposition="NONE")
    desk.source.hide("m")
    found = await desk.poll(timedelta(minutes=6))

    assert [(r.record.id, r.record.body["final_disposition"]) for r in found] == [("m", "NONE")]
    assert desk.source.looked_up == ["m"]


async def test_a_deleted_record_is_told_once(desk: Desk) -> None:
    desk.source.add("m", START - timedelta(seconds=30), final_disposition="MALICIOUS")
    await desk.poll()
    desk.source.remove("m")
    found = await desk.poll(timedelta(minutes=6)) + await desk.poll(timedelta(minutes=70))

    assert [(revision.record.id, revision.gone) for revision in found] == [("m", True)]


async def test_a_failure_in_the_middle_of_a_walk_neither_loses_nor_doubles(desk: Desk) -> None:
    for minute in range(10):
        desk.source.add(f"m{minute}", START - timedelta(minutes=minute + 1))
    desk.source.faults = [
        Unavailable("HTTP 502"),
        None,
        Denied("no"),
        BadQuery("bad"),
        Unavailable("HTTP 429"),
    ]

    assert ids(await desk.poll()) == sorted(f"m{minute}" for minute in range(10))
    kinds = [fact.kind for fact in desk.observed if isinstance(fact, facts.CollectionFailed)]
    assert kinds == ["Unavailable", "Denied", "BadQuery", "Unavailable"]
    assert desk.of(facts.CollectionRecovered)


async def test_a_walk_that_cannot_end_is_halved_until_it_can(desk: Desk) -> None:
    for minute in range(10):
        desk.source.add(f"m{minute}", START - timedelta(minutes=minute + 1))
    desk.source.faults = [SearchIncomplete("repeated_cursor")] * 4

    assert ids(await desk.poll()) == sorted(f"m{minute}" for minute in range(10))
    assert [f.seconds for f in desk.observed if isinstance(f, facts.WindowSplit)] == [1800, 900, 450, 225]


async def test_a_restart_goes_on_where_it_was(desk: Desk) -> None:
    desk.source.add("before", START - timedelta(minutes=1))
    await desk.poll()
    desk.collector = desk.build()
    desk.source.add("after", START + timedelta(minutes=1))
    desk.source.asked.clear()

    assert ids(await desk.poll(timedelta(minutes=3))) == ["after"]
    assert min(window.start for window in desk.source.asked) >= START - timedelta(minutes=6)


async def test_a_checkpoint_in_the_future_is_pulled_back_and_told(desk: Desk) -> None:
    await desk.poll()
    desk.now = START - timedelta(hours=1)
    desk.collector = desk.build()
    await desk.poll()
    desk.source.add("m", START - timedelta(minutes=59))

    assert ids(await desk.poll(timedelta(minutes=5))) == ["m"]
    assert desk.of(facts.CheckpointPulledBack)


async def test_changed_filters_keep_the_checkpoint_and_look_nothing_up(desk: Desk) -> None:
    desk.source.add("old", START - timedelta(minutes=1))
    await desk.poll()
    desk.source.hide("old")
    desk.collector = desk.build(FeedConfig(FEED, Query({"domain": "example.com"}), desk.config.timing, AGES))
    found = await desk.poll(timedelta(minutes=10))

    assert found == []
    assert desk.source.looked_up == []
    assert desk.of(facts.SearchChanged)


async def test_catching_up_after_days_walks_slices_without_waiting(desk: Desk) -> None:
    await desk.poll()
    for hour in range(72):
        desk.source.add(f"h{hour:02}", START + timedelta(hours=hour, minutes=30))

    assert len(await desk.poll(timedelta(hours=72))) == 72
    longest = max(window.length for window in desk.source.asked)
    assert longest <= timedelta(hours=1)


async def test_seen_rows_are_forgotten_behind_the_slowest_sweep_only(desk: Desk) -> None:
    desk.source.add("m", START - timedelta(minutes=1), is_quarantined=True)
    await desk.poll()
    assert (await desk.journal.outline()).feeds[0].seen == 1
    for _ in range(5):
        desk.collector = desk.build()
        await desk.poll(timedelta(hours=1))

    assert (await desk.journal.outline()).feeds[0].seen == 0


async def test_revisits_cost_one_more_read_each(desk: Desk) -> None:
    await desk.poll()
    desk.source.asked.clear()
    for _ in range(240):
        await desk.poll(timedelta(minutes=1))
    live = 240
    revisit_5m = 240 / 1
    revisit_1h = 240 / 6

    assert len(desk.source.asked) <= (live + revisit_5m + revisit_1h) * 1.1
