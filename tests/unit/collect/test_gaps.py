"""Gaps: what the API refuses for its age is asked for again for a day, and read once where it is there."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from connector import facts
from connector.collect.gaps import backfill_command
from connector.collect.windows import Timing
from connector.errors import BadQuery, JournalFull, Unavailable
from connector.model import Feed, Gap, GapCause, Page, Priority, Progress, Query, SearchPosition, Window
from tests.unit.collect.feed_under_test import AGES, FEED, START, FeedUnderTest, feed_under_test, ids

pytestmark = pytest.mark.usefixtures("without_waiting")

MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)


class Memory:
    """An API that answers from *edge* before now on, for as long as *edge* is set."""

    def __init__(self, feed: FeedUnderTest) -> None:
        self.edge: timedelta | None = 2 * DAY
        self.refused: list[Window] = []
        self._feed = feed
        self._whole = feed.source.search
        feed.source.search = self.search  # type: ignore[method-assign]

    async def search(
        self, query: Query, window: Window, position: SearchPosition | None = None
    ) -> AsyncGenerator[Page, None]:
        """Refuse what is too old."""
        if self.edge is not None and window.start < self._feed.now - self.edge:
            self.refused.append(window)
            raise BadQuery("start is older than the retention period")
        async for page in self._whole(query, window, position):
            yield page


@pytest.fixture
async def feed(tmp_path: Path) -> AsyncIterator[FeedUnderTest]:
    """A feed without revisits."""
    async with feed_under_test(tmp_path) as made:
        made.config = replace(made.config, ages=())
        made.collector = made.build()
        yield made


async def _skipped(feed: FeedUnderTest) -> Memory:
    """Five days away from an API that says it forgets after two; a record lies in what that skips."""
    await feed.poll()
    memory = Memory(feed)
    for hour in range(12):
        feed.source.add(f"old{hour:02}", START + (18 + hour) * HOUR, final_disposition="SPAM")
    feed.source.add("new", START + 4 * DAY)
    assert ids(await feed.poll(5 * DAY)) == ["new"]
    assert [gap.reason for gap in await _gaps(feed)] == ["retention (live)"]
    return memory


async def _gaps(feed: FeedUnderTest) -> list[Gap]:
    return list((await feed.journal.outline()).feeds[0].gaps)


async def test_what_is_there_after_all_is_read_once_and_is_a_gap_no_more(feed: FeedUnderTest) -> None:
    memory = await _skipped(feed)
    (gap,) = await _gaps(feed)
    memory.edge = None

    assert await feed.poll(10 * MINUTE) == [], "asked again before it is due"
    assert ids(await feed.poll(25 * MINUTE)) == [f"old{hour:02}" for hour in range(12)]
    assert await _gaps(feed) == []
    repaired = [fact.gap.window for fact in feed.observed if isinstance(fact, facts.GapRepaired)]
    assert (repaired[0].end, repaired[-1].start) == (gap.window.end, gap.window.start)
    assert sum((window.length for window in repaired), timedelta(0)) == gap.window.length
    assert await feed.poll(HOUR) == []


async def test_what_is_refused_again_costs_one_request_and_is_left_alone_after_a_day(
    feed: FeedUnderTest,
) -> None:
    memory = await _skipped(feed)
    for _ in range(3):
        memory.refused.clear()
        assert await feed.poll(31 * MINUTE) == []
        assert len(memory.refused) == 1
    memory.edge = None
    (gap,) = await _gaps(feed)

    assert await feed.poll(DAY) == []
    assert await _gaps(feed) == [gap]


async def test_a_gap_that_comes_back_in_two_attempts_across_a_restart_is_reported_once(
    feed: FeedUnderTest, monkeypatch: pytest.MonkeyPatch
) -> None:
    memory = await _skipped(feed)
    feed.now += 31 * MINUTE
    memory.edge = feed.now - (START + 24 * HOUR + 30 * MINUTE)
    await feed.collector.once()
    first = await feed.delivered()
    assert {f"old{hour:02}" for hour in (8, 9, 10, 11)} <= set(ids(first)) < {f"old{h:02}" for h in range(12)}
    (left,) = await _gaps(feed)
    assert left.window.start == START

    # Killed after the pages were durable, and before the gap was: it is as long as it was.
    memory.edge = None

    async def killed(*_: object) -> None:
        raise Unavailable("the process ends here")

    with monkeypatch.context() as patch:
        patch.setattr(feed.journal, "repaired", killed)
        with pytest.raises(Unavailable):
            await feed.collector._repair.run_due()
    feed.collector = feed.build()
    await feed.collector._load()
    feed.collector._sweeper._expiry._last = float("-inf")
    await feed.collector._sweeper._expiry.expire_when_due()
    second = await feed.poll(MINUTE)

    assert sorted(ids(first) + ids(second)) == [f"old{hour:02}" for hour in range(12)]
    assert await _gaps(feed) == []


async def test_what_was_seen_in_a_gap_is_not_forgotten_while_the_gap_is_recorded(
    feed: FeedUnderTest, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The live sweep forgets at the very moment at which a revisit has skipped what it was refused."""
    config = replace(feed.config, ages=(12 * HOUR,), timing=Timing(start=6 * HOUR))
    feed.collector = feed.build(config)
    feed.source.add("known", START - 5 * HOUR)
    assert ids(await feed.poll()) == ["known"]
    memory = Memory(feed)
    read = feed.journal.progress

    async def progress(of: Feed) -> Progress:
        feed.collector._sweeper._expiry._last = float("-inf")
        await feed.collector._sweeper._expiry.expire_when_due()
        return await read(of)

    with monkeypatch.context() as patch:
        patch.setattr(feed.journal, "progress", progress)
        await feed.poll(5 * DAY)
    assert "retention (revisit_12h)" in [gap.reason for gap in await _gaps(feed)]
    memory.edge = None

    assert ids(await feed.poll(31 * MINUTE)) == []
    assert await _gaps(feed) == []


async def test_what_two_sweeps_skipped_is_read_once_and_who_left_it_is_looked_up_once(
    feed: FeedUnderTest,
) -> None:
    feed.collector = feed.build(replace(feed.config, ages=(12 * HOUR, DAY)))
    for name in ("left", "stays"):
        feed.source.add(name, START - 90 * MINUTE, final_disposition="SPAM")
    await feed.poll()
    memory = Memory(feed)
    await feed.poll(5 * DAY)
    causes = [gap.reason for gap in await _gaps(feed)]
    assert sorted(causes) == ["retention (live)", "retention (revisit_12h)", "retention (revisit_1d)"]
    feed.source.hide("left")
    feed.source.change("left", final_disposition="NONE")
    memory.edge = None
    feed.source.asked.clear()

    assert ids(await feed.poll(31 * MINUTE)) == ["left"]
    assert await _gaps(feed) == []
    assert feed.source.looked_up == ["left"]
    assert len([window for window in feed.source.asked if window.end <= START]) == 2


async def test_a_repair_waits_for_room_on_a_full_disk(
    feed: FeedUnderTest, monkeypatch: pytest.MonkeyPatch
) -> None:
    memory = await _skipped(feed)
    memory.edge = None
    original, room = feed.journal.repaired, iter([False, False])

    async def repaired(feed: Feed, gap: Gap, part: Window) -> None:
        if not next(room, True):
            raise JournalFull("the disk is full")
        await original(feed, gap, part)

    monkeypatch.setattr(feed.journal, "repaired", repaired)
    assert len(await feed.poll(31 * MINUTE)) == 12
    assert await _gaps(feed) == []
    assert len(feed.of(facts.CollectionPaused)) == 2


async def test_revisits_leave_a_hole_of_the_live_sweep_alone(feed: FeedUnderTest) -> None:
    feed.collector = feed.build(replace(feed.config, ages=AGES))
    await feed.poll()
    memory = Memory(feed)
    feed.source.add("old", START + HOUR)
    assert await feed.poll(5 * DAY) == []
    gaps = {gap.reason: gap.window for gap in await _gaps(feed)}

    assert set(gaps) == {"retention (live)", "retention (revisit_5m)", "retention (revisit_1h)"}
    assert gaps["retention (revisit_5m)"].end == gaps["retention (revisit_1h)"].end == START
    assert gaps["retention (live)"].start == START
    assert all(window.start < START + MINUTE for window in memory.refused if window.length > MINUTE)


async def test_a_backfill_over_a_gap_closes_it(feed: FeedUnderTest) -> None:
    await _skipped(feed)
    (gap,) = await _gaps(feed)
    feed.source.search = feed.source.__class__.search.__get__(feed.source)  # type: ignore[method-assign]
    middle = Window(gap.window.start + 20 * HOUR, gap.window.start + 22 * HOUR)
    for window, left in ((middle, 2), (gap.window, 0)):
        job, _ = await feed.collector.jobs.submit(("then", "now"), window, everything=False)
        await feed.collector.backfill(job)
        assert len(await _gaps(feed)) == left

    assert sorted(ids(await feed.delivered())) == [f"old{hour:02}" for hour in range(12)]


async def test_a_backfill_that_is_killed_before_its_gap_is_closed_closes_it_when_it_goes_on(
    feed: FeedUnderTest, monkeypatch: pytest.MonkeyPatch
) -> None:
    memory = await _skipped(feed)
    memory.edge = None
    (gap,) = await _gaps(feed)
    window = Window(gap.window.start, gap.window.start + HOUR)
    job, _ = await feed.collector.jobs.submit(("then", "now"), window, everything=False)

    async def killed(*_: object) -> None:
        raise RuntimeError("the process ends here")

    with monkeypatch.context() as patch:
        patch.setattr(feed.journal, "repaired", killed)
        with pytest.raises(RuntimeError):
            await feed.collector.backfill(job)
    feed.collector = feed.build()
    await feed.collector.backfill(job)

    assert [one.window for one in await _gaps(feed)] == [Window(window.end, gap.window.end)]


async def test_a_gap_that_is_backfilled_while_it_is_asked_for_again_is_counted_once(
    feed: FeedUnderTest,
) -> None:
    await _skipped(feed)
    (gap,) = await _gaps(feed)
    job, _ = await feed.collector.jobs.submit(("then", "now"), gap.window, everything=False)
    original = feed.source.__class__.search.__get__(feed.source)
    jobs = [job]

    async def search(
        query: Query, window: Window, position: SearchPosition | None = None
    ) -> AsyncGenerator[Page, None]:
        async for page in original(query, window, position):
            yield page
        if query.priority is Priority.BACKFILL and jobs:
            await feed.collector._backfill(jobs.pop())

    feed.source.search = search  # type: ignore[method-assign]
    found = await feed.poll(31 * MINUTE)

    assert ids(found) == [f"old{hour:02}" for hour in range(12)]
    assert await _gaps(feed) == []
    repaired = [fact.gap.window.length for fact in feed.observed if isinstance(fact, facts.GapRepaired)]
    assert sum(repaired, timedelta(0)) == gap.window.length


async def test_gaps_that_nobody_asks_for_any_more_become_one_where_they_touch(feed: FeedUnderTest) -> None:
    await feed.poll()
    checkpoints = feed.collector._checkpoints
    at = checkpoints.at("live")
    for _ in range(4):
        gap = Gap(Window(at, at + HOUR), GapCause.RETENTION, "revisit_7d")
        at = await checkpoints.step("live", gap.window.end, gap=gap)
        feed.now += 25 * HOUR

    windows = [gap.window for gap in await _gaps(feed)]
    assert windows == [Window(START, START + 3 * HOUR), Window(START + 3 * HOUR, START + 4 * HOUR)]


def test_a_gap_names_the_command_that_reads_it_all_the_same() -> None:
    assert backfill_command(FEED, START, START + HOUR) == (
        "email-connector backfill detections --from 2026-11-18T12:00:00Z --to 2026-11-18T13:00:00Z"
    )
