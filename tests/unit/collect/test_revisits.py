"""Revisits: where they begin, what saves one, what they owe to records that left, and to each other."""

from __future__ import annotations

import asyncio
from collections.abc import Container, Sequence
from datetime import timedelta
from pathlib import Path

import pytest

from connector import facts
from connector.collect.feed_config import FeedConfig
from connector.collect.schedule import Interval
from connector.collect.windows import Timing
from connector.errors import BadQuery, Unavailable
from connector.model import Feed, Priority, Query, Record, Seen, Window
from tests.unit.collect.feed_under_test import AGES, FEED, START, FeedUnderTest, feed_under_test, ids

pytestmark = pytest.mark.usefixtures("without_waiting")

MINUTE = timedelta(minutes=1)


async def test_what_a_first_run_read_is_revisited_although_it_ended_before_any_revisit_began(
    feed: FeedUnderTest,
) -> None:
    feed.source.add("m", START - 4 * MINUTE, final_disposition="MALICIOUS")
    await feed.collector._load()
    await feed.collector._sweeper.live()
    feed.source.change("m", final_disposition="SPAM")
    feed.collector = feed.build()
    found = await feed.poll(30 * MINUTE)

    assert [(r.number, r.record.body["final_disposition"]) for r in found] == [
        (1, "MALICIOUS"),
        (2, "SPAM"),
    ]


async def test_look_ups_come_before_the_checkpoint_so_that_a_crash_between_them_loses_no_correction(
    feed: FeedUnderTest,
) -> None:
    feed.source.add("m", START - MINUTE, final_disposition="MALICIOUS")
    await feed.poll()
    feed.source.change("m", final_disposition="NONE")
    feed.source.hide("m")
    asked = asyncio.Event()

    async def hang(record_id: str, priority: Priority) -> Record | None:
        asked.set()
        return await asyncio.Future()

    whole_second, feed.source.get = feed.source.get, hang  # type: ignore[method-assign]
    feed.now += 6 * MINUTE
    collecting = asyncio.create_task(feed.collector.once())
    await asked.wait()
    collecting.cancel()
    await asyncio.gather(collecting, return_exceptions=True)
    feed.source.get = whole_second  # type: ignore[method-assign]
    feed.collector = feed.build()

    assert [r.record.body["final_disposition"] for r in await feed.poll()][-1:] == ["NONE"]


@pytest.mark.parametrize("error", [Unavailable("HTTP 503"), BadQuery("HTTP 400")])
async def test_look_ups_that_can_never_succeed_hold_up_no_revisit(
    feed: FeedUnderTest, error: Exception
) -> None:
    feed.source.add("m", START - MINUTE, final_disposition="MALICIOUS")
    feed.source.add("n", START - MINUTE / 2, final_disposition="MALICIOUS")
    await feed.poll()
    feed.source.hide("m")
    feed.source.change("n", final_disposition="SPAM")

    async def refuse(record_id: str, priority: Priority) -> Record | None:
        raise error

    feed.source.get = refuse  # type: ignore[method-assign]
    found = await feed.poll(6 * MINUTE)

    assert [(r.record.id, r.number) for r in found] == [("n", 2)]
    assert [fact.outcome for fact in feed.observed if isinstance(fact, facts.RecordDisappeared)] == [
        "unknown"
    ]


async def test_what_was_looked_up_is_not_asked_again_when_a_later_look_up_fails(
    feed: FeedUnderTest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("connector.collect.disappeared._FEWEST", 5)
    feed.collector = feed.build()
    for number in range(4):
        feed.source.add(f"m{number}", START - MINUTE, final_disposition="MALICIOUS")
    await feed.poll()
    for number in range(4):
        feed.source.hide(f"m{number}")
    whole_second, left = feed.source.get, [None, None, Unavailable("HTTP 503"), Unavailable("HTTP 503")]

    async def sometimes(record_id: str, priority: Priority) -> Record | None:
        error = left.pop(0) if left else None
        if error is not None:
            raise error
        return await whole_second(record_id, priority)

    feed.source.get = sometimes  # type: ignore[method-assign]
    await feed.poll(6 * MINUTE)

    assert sorted(feed.source.looked_up) == ["m0", "m1", "m2", "m3"]


async def test_a_record_that_comes_back_after_it_was_gone_is_reported(feed: FeedUnderTest) -> None:
    feed.source.add("m", START - MINUTE, final_disposition="MALICIOUS")
    await feed.poll()
    feed.source.remove("m")
    await feed.poll(6 * MINUTE)
    feed.source.add("m", START - MINUTE, final_disposition="MALICIOUS")
    (back,) = await feed.poll(61 * MINUTE)

    assert (back.number, back.gone, back.occurrence) == (3, False, 2)
    feed.source.remove("m")
    assert await feed.poll(MINUTE) == []


async def test_after_an_outage_time_read_late_is_not_read_again_at_ages_it_had_reached(
    feed: FeedUnderTest,
) -> None:
    await feed.poll()
    feed.source.add("m", START + timedelta(hours=3))
    feed.source.asked.clear()
    found = await feed.poll(timedelta(hours=10))

    assert ids(found) == ["m"]
    # Ten slices of live; the revisits' own rest before the outage; the newest hour's part for each age.
    assert len(feed.source.asked) <= 10 + 2 * len(AGES)


async def test_what_a_catch_up_read_late_is_not_read_again_after_a_restart(feed: FeedUnderTest) -> None:
    feed.source.add("m", START - 90 * MINUTE)
    await feed.collector._load()
    await feed.collector._sweeper.live()
    asked = len(feed.source.asked)
    feed.collector = feed.build()
    await feed.collector.once()

    assert feed.source.asked[asked:] == []
    assert feed.collector.checkpoints["revisit_5m"] == START - 5 * MINUTE
    assert feed.collector.checkpoints["revisit_1h"] == START - 60 * MINUTE


async def test_no_revisit_reads_a_slice_whose_late_read_is_not_yet_settled(
    feed: FeedUnderTest, monkeypatch: pytest.MonkeyPatch
) -> None:
    looking, settled = asyncio.Event(), asyncio.Event()
    whole = feed.journal.seen_in

    async def seen_in(asked_feed: Feed, window: Window, *, without: Container[str] = ()) -> Sequence[Seen]:
        looking.set()
        await settled.wait()
        return await whole(asked_feed, window, without=without)

    monkeypatch.setattr(feed.journal, "seen_in", seen_in)
    feed.source.add("m", START - 90 * MINUTE)
    await feed.collector._load()
    running = asyncio.create_task(feed.collector._sweeper.live())
    await asyncio.wait_for(looking.wait(), 20)
    asked = len(feed.source.asked)
    for sweep in feed.collector._sweeper.revisits:
        assert not await asyncio.wait_for(feed.collector._sweeper.revisit(sweep), 20)
    assert len(feed.source.asked) == asked
    settled.set()
    await running
    for sweep in feed.collector._sweeper.revisits:
        assert not await feed.collector._sweeper.revisit(sweep)


async def test_what_was_searchable_too_late_for_a_catch_up_is_found_at_the_next_age(
    feed: FeedUnderTest,
) -> None:
    """Records of half an hour ago: a catch-up saves the revisit at five minutes, not the one at an hour."""
    feed.source.add("m", START - 30 * MINUTE, late=31 * MINUTE)
    feed.source.add("n", START - 30 * MINUTE, final_disposition="MALICIOUS")
    assert ids(await feed.poll()) == ["n"]
    feed.source.change("n", final_disposition="SPAM")
    found = await feed.poll(37 * MINUTE)

    assert [(one.record.id, one.number) for one in found] == [("m", 1), ("n", 2)]


async def test_a_record_that_left_during_an_outage_is_reported_although_the_outage_saved_the_revisit(
    tmp_path: Path,
) -> None:
    async with feed_under_test(tmp_path) as feed:
        config = FeedConfig(FEED, Query(), Timing(start=timedelta(hours=2), overlap=60 * MINUTE), AGES[:1])
        feed.collector = feed.build(config)
        feed.source.add("m", START - 3 * MINUTE, final_disposition="MALICIOUS")
        await feed.poll()
        feed.source.change("m", final_disposition="NONE")
        feed.source.hide("m")
        feed.collector = feed.build(config)
        (update,) = await feed.poll(timedelta(hours=2))

        assert (update.number, update.record.body["final_disposition"]) == (2, "NONE")


async def test_one_revisit_that_the_api_refuses_does_not_hold_back_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with feed_under_test(tmp_path) as feed:
        await feed.poll()
        whole_second, waiting = feed.collector._sweeper.revisit, asyncio.Event()
        seen: list[str] = []

        async def revisit(sweep: object) -> bool:
            name = str(getattr(sweep, "name", ""))
            seen.append(name)
            if name == "revisit_5m":
                raise BadQuery("HTTP 400")
            waiting.set()
            return await whole_second(sweep)  # type: ignore[arg-type]

        monkeypatch.setattr(feed.collector._sweeper, "revisit", revisit)
        monkeypatch.setattr("connector.collect.collector._SHORTEST_PAUSE", 0.01)
        monkeypatch.setattr("connector.collect.collector._LONGEST_PAUSE", 0.02)
        running = asyncio.create_task(feed.collector.run(Interval(MINUTE)))
        await asyncio.wait_for(waiting.wait(), 20)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)

        assert {"revisit_5m", "revisit_1h"} <= set(seen)
