"""Revisits: where they begin, what saves one, what they owe to records that left, and to each other."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from pathlib import Path

import pytest

from connector import facts
from connector.collect.feed_config import FeedConfig
from connector.collect.schedule import Interval
from connector.collect.windows import Timing
from connector.errors import BadQuery, Unavailable
from connector.model import Priority, Query, Record
from tests.unit.collect.feed_under_test import AGES, FEED, START, Desk, desk_in, ids

pytestmark = pytest.mark.usefixtures("without_waiting")

MINUTE = timedelta(minutes=1)


async def test_what_a_first_run_read_is_revisited_although_it_ended_before_any_revisit_began(
    desk: Desk,
) -> None:
    desk.source.add("m", START - 4 * MINUTE, final_disposition="MALICIOUS")
    await desk.collector._load()
    await desk.collector._sweeper.live()
    desk.source.change("m", final_disposition="SPAM")
    desk.collector = desk.build()
    found = await desk.poll(30 * MINUTE)

    assert [(r.number, r.record.body["final_disposition"]) for r in found] == [
        (1, "MALICIOUS"),
        (2, "SPAM"),
    ]


async def test_look_ups_come_before_the_checkpoint_so_that_a_crash_between_them_loses_no_correction(
    desk: Desk,
) -> None:
    desk.source.add("m", START - MINUTE, final_disposition="MALICIOUS")
    await desk.poll()
    desk.source.change("m", final_disposition="NONE")
    desk.source.hide("m")
    asked = asyncio.Event()

    async def hang(record_id: str, priority: Priority) -> Record | None:
        asked.set()
        return await asyncio.Future()

    whole_second, desk.source.get = desk.source.get, hang  # type: ignore[method-assign]
    desk.now += 6 * MINUTE
    collecting = asyncio.create_task(desk.collector.once())
    await asked.wait()
    collecting.cancel()
    await asyncio.gather(collecting, return_exceptions=True)
    desk.source.get = whole_second  # type: ignore[method-assign]
    desk.collector = desk.build()

    assert [r.record.body["final_disposition"] for r in await desk.poll()][-1:] == ["NONE"]


@pytest.mark.parametrize("error", [Unavailable("HTTP 503"), BadQuery("HTTP 400")])
async def test_look_ups_that_can_never_succeed_hold_up_no_revisit(desk: Desk, error: Exception) -> None:
    desk.source.add("m", START - MINUTE, final_disposition="MALICIOUS")
    desk.source.add("n", START - MINUTE / 2, final_disposition="MALICIOUS")
    await desk.poll()
    desk.source.hide("m")
    desk.source.change("n", final_disposition="SPAM")

    async def refuse(record_id: str, priority: Priority) -> Record | None:
        raise error

    desk.source.get = refuse  # type: ignore[method-assign]
    found = await desk.poll(6 * MINUTE)

    assert [(r.record.id, r.number) for r in found] == [("n", 2)]
    assert [fact.outcome for fact in desk.observed if isinstance(fact, facts.RecordDisappeared)] == [
        "unknown"
    ]


async def test_what_was_looked_up_is_not_asked_again_when_a_later_look_up_fails(desk: Desk) -> None:
    for number in range(4):
        desk.source.add(f"m{number}", START - MINUTE, final_disposition="MALICIOUS")
    await desk.poll()
    for number in range(4):
        desk.source.hide(f"m{number}")
    whole_second, left = desk.source.get, [None, None, Unavailable("HTTP 503"), Unavailable("HTTP 503")]

    async def sometimes(record_id: str, priority: Priority) -> Record | None:
        error = left.pop(0) if left else None
        if error is not None:
            raise error
        return await whole_second(record_id, priority)

    desk.source.get = sometimes  # type: ignore[method-assign]
    await desk.poll(6 * MINUTE)

    assert sorted(desk.source.looked_up) == ["m0", "m1", "m2", "m3"]


async def test_a_record_that_comes_back_after_it_was_gone_is_told(desk: Desk) -> None:
    desk.source.add("m", START - MINUTE, final_disposition="MALICIOUS")
    await desk.poll()
    desk.source.remove("m")
    await desk.poll(6 * MINUTE)
    desk.source.add("m", START - MINUTE, final_disposition="MALICIOUS")
    (back,) = await desk.poll(61 * MINUTE)

    assert (back.number, back.gone, back.occurrence) == (3, False, 2)
    desk.source.remove("m")
    assert await desk.poll(MINUTE) == []


async def test_after_an_outage_time_read_late_is_not_read_again_at_ages_it_had_reached(desk: Desk) -> None:
    await desk.poll()
    desk.source.add("m", START + timedelta(hours=3))
    desk.source.asked.clear()
    found = await desk.poll(timedelta(hours=10))

    assert ids(found) == ["m"]
    # Ten slices of live; the revisits' own rest before the outage; the newest hour's part for each age.
    assert len(desk.source.asked) <= 10 + 2 * len(AGES)


async def test_a_record_that_left_during_an_outage_is_told_although_the_outage_saved_the_revisit(
    tmp_path: Path,
) -> None:
    async with desk_in(tmp_path) as desk:
        config = FeedConfig(FEED, Query(), Timing(start=timedelta(hours=2), overlap=60 * MINUTE), AGES[:1])
        desk.collector = desk.build(config)
        desk.source.add("m", START - 3 * MINUTE, final_disposition="MALICIOUS")
        await desk.poll()
        desk.source.change("m", final_disposition="NONE")
        desk.source.hide("m")
        desk.collector = desk.build(config)
        (update,) = await desk.poll(timedelta(hours=2))

        assert (update.number, update.record.body["final_disposition"]) == (2, "NONE")


async def test_one_revisit_that_the_api_refuses_does_not_hold_back_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with desk_in(tmp_path) as desk:
        await desk.poll()
        whole_second, waiting = desk.collector._sweeper.revisit, asyncio.Event()
        seen: list[str] = []

        async def revisit(sweep: object) -> bool:
            name = str(getattr(sweep, "name", ""))
            seen.append(name)
            if name == "revisit_5m":
                raise BadQuery("HTTP 400")
            waiting.set()
            return await whole_second(sweep)  # type: ignore[arg-type]

        monkeypatch.setattr(desk.collector._sweeper, "revisit", revisit)
        monkeypatch.setattr("connector.collect.collector._LOOK", (0.01, 0.02))
        running = asyncio.create_task(desk.collector.run(Interval(MINUTE)))
        await asyncio.wait_for(waiting.wait(), 20)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)

        assert {"revisit_5m", "revisit_1h"} <= set(seen)
