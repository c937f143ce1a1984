"""Gaps: what the API refuses for its age is asked for again for a day, and read once where it is there."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from connector import facts
from connector.collect.gaps import advice
from connector.collect.windows import Timing
from connector.errors import BadQuery, JournalFull, Unavailable
from connector.model import Feed, Gap, Page, Priority, Progress, Query, Window
from tests.unit.collect.feed_under_test import AGES, FEED, START, Desk, desk_in, ids

pytestmark = pytest.mark.usefixtures("without_waiting")

MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)


class Memory:
    """An API that answers from *edge* before now on, for as long as *edge* is set."""

    def __init__(self, desk: Desk) -> None:
        self.edge: timedelta | None = 2 * DAY
        self.refused: list[Window] = []
        self._desk = desk
        self._whole = desk.source.search
        desk.source.search = self.search  # type: ignore[method-assign]

    async def search(self, query: Query, window: Window) -> AsyncGenerator[Page, None]:
        """Refuse what is too old."""
        if self.edge is not None and window.start < self._desk.now - self.edge:
            self.refused.append(window)
            raise BadQuery("start is older than the retention period")
        async for page in self._whole(query, window):
            yield page


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Desk]:
    """A feed without revisits."""
    async with desk_in(tmp_path) as made:
        made.config = replace(made.config, ages=())
        made.collector = made.build()
        yield made


async def _skipped(desk: Desk) -> Memory:
    """Five days away from an API that says it forgets after two; a record lies in what that skips."""
    await desk.poll()
    memory = Memory(desk)
    for hour in range(12):
        desk.source.add(f"old{hour:02}", START + (18 + hour) * HOUR, final_disposition="SPAM")
    desk.source.add("new", START + 4 * DAY)
    assert ids(await desk.poll(5 * DAY)) == ["new"]
    assert [gap.cause for gap in await _gaps(desk)] == ["retention (live)"]
    return memory


async def _gaps(desk: Desk) -> list[Gap]:
    return list((await desk.journal.outline()).feeds[0].gaps)


async def test_what_is_there_after_all_is_read_once_and_is_a_gap_no_more(desk: Desk) -> None:
    memory = await _skipped(desk)
    (gap,) = await _gaps(desk)
    memory.edge = None

    assert await desk.poll(10 * MINUTE) == [], "asked again before it is due"
    assert ids(await desk.poll(25 * MINUTE)) == [f"old{hour:02}" for hour in range(12)]
    assert await _gaps(desk) == []
    repaired = [fact.gap.window for fact in desk.observed if isinstance(fact, facts.GapRepaired)]
    assert (repaired[0].end, repaired[-1].start) == (gap.window.end, gap.window.start)
    assert sum((window.length for window in repaired), timedelta(0)) == gap.window.length
    assert await desk.poll(HOUR) == []


async def test_what_is_refused_again_costs_one_request_and_is_left_alone_after_a_day(desk: Desk) -> None:
    memory = await _skipped(desk)
    for _ in range(3):
        memory.refused.clear()
        assert await desk.poll(31 * MINUTE) == []
        assert len(memory.refused) == 1
    memory.edge = None
    (gap,) = await _gaps(desk)

    assert await desk.poll(DAY) == []
    assert await _gaps(desk) == [gap]


async def test_a_gap_that_comes_back_in_two_attempts_across_a_restart_is_told_once(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    memory = await _skipped(desk)
    desk.now += 31 * MINUTE
    memory.edge = desk.now - (START + 24 * HOUR + 30 * MINUTE)
    await desk.collector.once()
    first = await desk.delivered()
    assert {f"old{hour:02}" for hour in (8, 9, 10, 11)} <= set(ids(first)) < {f"old{h:02}" for h in range(12)}
    (left,) = await _gaps(desk)
    assert left.window.start == START

    # Killed after the pages were durable, and before the gap was: it is as long as it was.
    memory.edge = None

    async def killed(*_: object) -> None:
        raise Unavailable("the process ends here")

    with monkeypatch.context() as patch:
        patch.setattr(desk.journal, "repaired", killed)
        with pytest.raises(Unavailable):
            await desk.collector._repairs.walk()
    desk.collector = desk.build()
    await desk.collector._load()
    desk.collector._sweeper._expired = float("-inf")
    await desk.collector._sweeper._forget()
    second = await desk.poll(MINUTE)

    assert sorted(ids(first) + ids(second)) == [f"old{hour:02}" for hour in range(12)]
    assert await _gaps(desk) == []


async def test_what_was_seen_in_a_gap_is_not_forgotten_while_the_gap_is_recorded(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The live sweep forgets at the very moment at which a revisit has skipped what it was refused."""
    config = replace(desk.config, ages=(12 * HOUR,), timing=Timing(start=6 * HOUR))
    desk.collector = desk.build(config)
    desk.source.add("known", START - 5 * HOUR)
    assert ids(await desk.poll()) == ["known"]
    memory = Memory(desk)
    whole_second = desk.journal.progress

    async def progress(feed: Feed) -> Progress:
        desk.collector._sweeper._expired = float("-inf")
        await desk.collector._sweeper._forget()
        return await whole_second(feed)

    with monkeypatch.context() as patch:
        patch.setattr(desk.journal, "progress", progress)
        await desk.poll(5 * DAY)
    assert "retention (revisit_12h)" in [gap.cause for gap in await _gaps(desk)]
    memory.edge = None

    assert ids(await desk.poll(31 * MINUTE)) == []
    assert await _gaps(desk) == []


async def test_what_two_sweeps_skipped_is_read_once_and_who_left_it_is_looked_up_once(desk: Desk) -> None:
    desk.collector = desk.build(replace(desk.config, ages=(12 * HOUR, DAY)))
    for name in ("left", "stays"):
        desk.source.add(name, START - 90 * MINUTE, final_disposition="SPAM")
    await desk.poll()
    memory = Memory(desk)
    await desk.poll(5 * DAY)
    causes = [gap.cause for gap in await _gaps(desk)]
    assert sorted(causes) == ["retention (live)", "retention (revisit_12h)", "retention (revisit_1d)"]
    desk.source.hide("left")
    desk.source.change("left", final_disposition="NONE")
    memory.edge = None
    desk.source.asked.clear()

    assert ids(await desk.poll(31 * MINUTE)) == ["left"]
    assert await _gaps(desk) == []
    assert desk.source.looked_up == ["left"]
    assert len([window for window in desk.source.asked if window.end <= START]) == 2


async def test_a_repair_waits_for_room_on_a_full_disk(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    memory = await _skipped(desk)
    memory.edge = None
    whole_second, room = desk.journal.repaired, iter([False, False])

    async def repaired(feed: Feed, gap: Gap, part: Window) -> None:
        if not next(room, True):
            raise JournalFull("the disk is full")
        await whole_second(feed, gap, part)

    monkeypatch.setattr(desk.journal, "repaired", repaired)
    assert len(await desk.poll(31 * MINUTE)) == 12
    assert await _gaps(desk) == []
    assert len(desk.of(facts.CollectionPaused)) == 2


async def test_revisits_leave_a_hole_of_the_live_sweep_alone(desk: Desk) -> None:
    desk.collector = desk.build(replace(desk.config, ages=AGES))
    await desk.poll()
    memory = Memory(desk)
    desk.source.add("old", START + HOUR)
    assert await desk.poll(5 * DAY) == []
    gaps = {gap.cause: gap.window for gap in await _gaps(desk)}

    assert set(gaps) == {"retention (live)", "retention (revisit_5m)", "retention (revisit_1h)"}
    assert gaps["retention (revisit_5m)"].end == gaps["retention (revisit_1h)"].end == START
    assert gaps["retention (live)"].start == START
    assert all(window.start < START + MINUTE for window in memory.refused if window.length > MINUTE)


async def test_a_backfill_over_a_gap_closes_it(desk: Desk) -> None:
    await _skipped(desk)
    (gap,) = await _gaps(desk)
    desk.source.search = desk.source.__class__.search.__get__(desk.source)  # type: ignore[method-assign]
    middle = Window(gap.window.start + 20 * HOUR, gap.window.start + 22 * HOUR)
    for window, left in ((middle, 2), (gap.window, 0)):
        job, _ = await desk.collector.jobs.submit(("then", "now"), window, everything=False)
        await desk.collector.backfill(job)
        assert len(await _gaps(desk)) == left

    assert sorted(ids(await desk.delivered())) == [f"old{hour:02}" for hour in range(12)]


async def test_a_backfill_that_is_killed_before_its_gap_is_closed_closes_it_when_it_goes_on(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    memory = await _skipped(desk)
    memory.edge = None
    (gap,) = await _gaps(desk)
    window = Window(gap.window.start, gap.window.start + HOUR)
    job, _ = await desk.collector.jobs.submit(("then", "now"), window, everything=False)

    async def killed(*_: object) -> None:
        raise RuntimeError("the process ends here")

    with monkeypatch.context() as patch:
        patch.setattr(desk.journal, "repaired", killed)
        with pytest.raises(RuntimeError):
            await desk.collector.backfill(job)
    desk.collector = desk.build()
    await desk.collector.backfill(job)

    assert [one.window for one in await _gaps(desk)] == [Window(window.end, gap.window.end)]


async def test_a_gap_that_is_backfilled_while_it_is_asked_for_again_is_counted_once(desk: Desk) -> None:
    await _skipped(desk)
    (gap,) = await _gaps(desk)
    job, _ = await desk.collector.jobs.submit(("then", "now"), gap.window, everything=False)
    whole_second = desk.source.__class__.search.__get__(desk.source)
    jobs = [job]

    async def search(query: Query, window: Window) -> AsyncGenerator[Page, None]:
        async for page in whole_second(query, window):
            yield page
        if query.priority is Priority.BACKFILL and jobs:
            await desk.collector._do(jobs.pop())

    desk.source.search = search  # type: ignore[method-assign]
    found = await desk.poll(31 * MINUTE)

    assert ids(found) == [f"old{hour:02}" for hour in range(12)]
    assert await _gaps(desk) == []
    repaired = [fact.gap.window.length for fact in desk.observed if isinstance(fact, facts.GapRepaired)]
    assert sum(repaired, timedelta(0)) == gap.window.length


async def test_gaps_that_nobody_asks_for_any_more_become_one_where_they_touch(desk: Desk) -> None:
    await desk.poll()
    checkpoints = desk.collector._checkpoints
    at = checkpoints.at("live")
    for _ in range(4):
        gap = Gap(Window(at, at + HOUR), "retention (revisit_7d)")
        at = await checkpoints.step("live", gap.window.end, gap=gap)
        desk.now += 25 * HOUR

    windows = [gap.window for gap in await _gaps(desk)]
    assert windows == [Window(START, START + 3 * HOUR), Window(START + 3 * HOUR, START + 4 * HOUR)]


def test_a_gap_names_the_command_that_reads_it_all_the_same() -> None:
    assert advice(FEED, START, START + HOUR) == (
        "email-connector backfill detections --from 2026-11-18T12:00:00Z --to 2026-11-18T13:00:00Z"
    )
