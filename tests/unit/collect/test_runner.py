"""A backfill reads a range of time again: what is missing or changed comes once, and the account is exact."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncGenerator
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from connector import facts
from connector.collect.backfill.job import Job, Tally
from connector.collect.schedule import Interval
from connector.errors import BadQuery, Denied, SearchIncomplete, SourceError, Unavailable
from connector.model import Commit, Page, Query, Revision, SearchPosition, Window
from tests.support.examples import examples
from tests.unit.collect.feed_under_test import FEED, START, FeedUnderTest, feed_under_test, ids

pytestmark = pytest.mark.usefixtures("without_waiting")

HOUR, MINUTE = timedelta(hours=1), timedelta(minutes=1)
DAY = Window(START - 24 * HOUR, START)
WORDS = ("24h", "now")


async def ask(here: FeedUnderTest, window: Window = DAY, *, everything: bool = False) -> Job:
    job, _ = await here.collector.jobs.submit(WORDS, window, everything=everything)
    return job


async def backfill(
    here: FeedUnderTest, window: Window = DAY, *, everything: bool = False
) -> tuple[Tally, list[Revision]]:
    job = await ask(here, window, everything=everything)
    await here.collector.backfill(job)
    found = await here.collector.jobs.find(job.number)
    assert found is not None
    return found[1], await here.delivered()


def counts(tally: Tally) -> tuple[int, int, int, int, int]:
    return tally.read, tally.new, tally.changed, tally.known, tally.again


async def test_what_the_feed_never_read_is_delivered_and_what_it_did_is_not(feed: FeedUnderTest) -> None:
    for minute in range(5):
        feed.source.add(f"recent{minute}", START - timedelta(minutes=minute + 1))
    for hour in range(3, 20):
        feed.source.add(f"old{hour:02}", START - hour * HOUR)
    await feed.poll()

    tally, found = await backfill(feed)

    assert ids(found) == sorted(f"old{hour:02}" for hour in range(3, 20))
    assert counts(tally) == (22, 17, 0, 5, 0)
    assert tally.before_floor == 17
    assert tally.slices == 24
    assert await feed.poll(MINUTE) == []


async def test_a_change_that_nobody_noticed_is_delivered_as_an_update(feed: FeedUnderTest) -> None:
    feed.source.add("m", START - MINUTE, final_disposition="MALICIOUS")
    feed.source.add("same", START - MINUTE, final_disposition="SPAM")
    await feed.poll()
    feed.source.change("m", final_disposition="NONE")

    tally, found = await backfill(feed)

    assert [(one.record.id, one.number, one.previous) for one in found] == [
        ("m", 2, {"final_disposition": "MALICIOUS"})
    ]
    assert counts(tally) == (2, 0, 1, 1, 0)


async def test_everything_tells_the_known_again_under_its_identity_and_number(feed: FeedUnderTest) -> None:
    feed.source.add("edge", START - HOUR, is_quarantined=True)
    feed.source.add("m", START - MINUTE, is_quarantined=True)
    first = await feed.poll()
    feed.source.change("m", is_quarantined=False)
    second = await feed.poll(6 * MINUTE)
    feed.source.add("missing", START - 5 * HOUR)

    tally, found = await backfill(feed, everything=True)

    latest = {one.record.id: one for one in (*first, *second)}
    again = {one.record.id: one for one in found if one.record.id != "missing"}
    assert ids(found) == ["edge", "m", "missing"]
    assert {name: (one.identity, one.number) for name, one in again.items()} == {
        name: (one.identity, one.number) for name, one in latest.items()
    }
    assert counts(tally) == (3, 1, 0, 0, 2)
    assert await feed.poll(6 * MINUTE) == []


async def test_failures_and_halving_change_nothing_in_the_account(feed: FeedUnderTest) -> None:
    for minute in range(0, 24 * 60, 10):
        feed.source.add(f"m{minute:04}", START - timedelta(minutes=minute + 1))
    known = len(await feed.poll())
    faults: list[SourceError | None] = [SearchIncomplete("repeated_cursor"), None, Unavailable("HTTP 502")]
    feed.source.faults = [*faults, Denied("no"), None, SearchIncomplete("repeated_cursor")]

    tally, found = await backfill(feed, everything=True)

    assert len(ids(found)) == len(set(ids(found))) == 144
    assert counts(tally) == (144, 144 - known, 0, 0, known)


async def test_a_backfill_that_was_stopped_goes_on_where_it_was(feed: FeedUnderTest) -> None:
    for minute in range(0, 24 * 60, 10):
        feed.source.add(f"m{minute:04}", START - timedelta(minutes=minute + 1))
    known = len(await feed.poll())
    job = await ask(feed)
    commits = 0

    async def stopped(commit: Commit) -> None:
        nonlocal commits
        await type(feed.journal).commit(feed.journal, commit)
        commits += 1
        if commits == 10:
            raise asyncio.CancelledError

    feed.journal.commit = stopped  # type: ignore[method-assign]
    with pytest.raises(asyncio.CancelledError):
        await asyncio.create_task(feed.collector.backfill(job))
    del feed.journal.commit
    feed.collector = feed.build()
    feed.source.asked.clear()
    again, resumed = await feed.collector.jobs.submit(
        WORDS, Window(DAY.start + HOUR, DAY.end), everything=False
    )

    assert (again, resumed) == (job, True)
    await feed.collector.backfill(again)
    found = await feed.collector.jobs.find(job.number)
    assert found is not None
    assert counts(found[1]) == (144, 144 - known, 0, known, 0)
    assert min(window.start for window in feed.source.asked) > DAY.start + HOUR
    revisions = await feed.delivered()
    assert len(ids(revisions)) == len(set(ids(revisions))) == 144 - known


async def test_what_the_api_has_no_more_is_reported_and_is_no_gap_of_the_feed(feed: FeedUnderTest) -> None:
    for hour in range(1, 200):
        feed.source.add(f"h{hour:03}", START - hour * HOUR)
    await feed.poll()
    real = feed.source.search

    async def limited(
        query: Query, window: Window, position: SearchPosition | None = None
    ) -> AsyncGenerator[Page, None]:
        if window.start < START - 100 * HOUR:
            raise BadQuery("too old")
        async for page in real(query, window, position):
            yield page

    feed.source.search = limited  # type: ignore[method-assign]
    tally, found = await backfill(feed, Window(START - 200 * HOUR, START))

    assert tally.beyond is not None
    assert START - 100 * HOUR <= tally.beyond <= START - 100 * HOUR + 3 * MINUTE
    assert {"h099", "h050", "h003"} <= set(ids(found))
    assert "h101" not in ids(found)
    assert (await feed.journal.outline()).feeds[0].gaps == ()


async def test_live_checkpoint_floor_and_revisits_are_left_alone(feed: FeedUnderTest) -> None:
    for hour in range(1, 20):
        feed.source.add(f"h{hour:02}", START - hour * HOUR)
    await feed.poll()
    before = await feed.journal.progress(FEED)
    await backfill(feed)
    after = await feed.journal.progress(FEED)

    assert after.floor == before.floor
    assert {name: at for name, at in after.checkpoints.items() if name != "backfill"} == before.checkpoints
    assert feed.source.looked_up == []


async def test_a_backfill_before_the_first_poll_sets_no_floor(feed: FeedUnderTest) -> None:
    feed.source.add("old", START - 20 * HOUR)
    feed.source.add("recent", START - MINUTE)
    _, found = await backfill(feed)
    polled = await feed.poll()

    assert ids(found) == ["old", "recent"]
    assert polled == []
    assert (await feed.journal.progress(FEED)).floor == START - 2 * HOUR


async def test_what_a_waiting_backfill_will_read_is_not_forgotten(feed: FeedUnderTest) -> None:
    feed.source.add("m", START - MINUTE)
    await feed.poll()
    await ask(feed, Window(START - HOUR, START))
    for _ in range(5):
        feed.collector = feed.build()
        await feed.poll(HOUR)
    (job,) = (await feed.collector.jobs.load()).unfinished
    await feed.collector.backfill(job)

    assert await feed.delivered() == []


@pytest.mark.parametrize(("after", "told_again"), [(23 * HOUR, False), (27 * HOUR, True)])
async def test_the_same_backfill_within_a_day_after_its_end_tells_nothing_again(
    feed: FeedUnderTest, after: timedelta, told_again: bool
) -> None:
    """It may have ended while nobody looked. What lies before the floor is remembered for that long."""
    feed.source.add("old", START - 10 * HOUR)
    await feed.poll()
    _, found = await backfill(feed)
    assert ids(found) == ["old"]
    for _ in range(2):
        feed.collector = feed.build()
        await feed.poll(after / 2)
        feed.collector._sweeper._expiry._last = float("-inf")
        await feed.collector._sweeper._expiry.expire_when_due()
    _, again = await backfill(feed, Window(DAY.start, START - HOUR))

    assert ids(again) == (["old"] if told_again else [])


async def test_one_after_the_other_beside_the_live_sweep_and_one_is_dropped(feed: FeedUnderTest) -> None:
    for hour in range(3, 40):
        feed.source.add(f"h{hour:02}", START - hour * HOUR)
    running = asyncio.create_task(feed.collector.run(Interval(MINUTE)))
    jobs = feed.collector.jobs
    first, _ = await jobs.submit(("a", "b"), Window(START - 10 * HOUR, START), everything=False)
    dropped, _ = await jobs.submit(("c", "d"), Window(START - 30 * HOUR, START), everything=False)
    last, _ = await jobs.submit(("e", "f"), Window(START - 12 * HOUR, START), everything=False)

    assert await feed.collector.drop(dropped.number)
    while len(feed.of(facts.BackfillEnded)) < 3:  # noqa: ASYNC110, facts call nobody
        await asyncio.sleep(0.01)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)

    ended = [(f.number, f.complete) for f in feed.observed if isinstance(f, facts.BackfillEnded)]
    assert sorted(ended) == [(first.number, True), (dropped.number, False), (last.number, True)]
    assert not await feed.collector.drop(first.number)
    assert await jobs.find(dropped.number) is None
    assert ids(await feed.delivered()) == [f"h{hour:02}" for hour in range(3, 13)]


@settings(max_examples=examples(25), deadline=None)
@given(
    seed=st.integers(0, 10_000),
    start=st.integers(1, 48),
    length=st.integers(1, 48),
    everything=st.booleans(),
)
async def test_any_window_beside_live_collection_doubles_nothing_and_misses_nothing(
    tmp_path_factory: pytest.TempPathFactory, seed: int, start: int, length: int, everything: bool
) -> None:
    chance = random.Random(seed)
    window = Window(START - start * HOUR, min(START, START - start * HOUR + length * HOUR))
    async with feed_under_test(Path(tmp_path_factory.mktemp("state"))) as here:
        for number in range(60):
            here.source.add(f"m{number:02}", START - timedelta(seconds=chance.randrange(50 * 3600)))
        found = await here.poll() if chance.random() < 0.5 else []
        here.source.faults = [
            chance.choice([None, Unavailable("x"), SearchIncomplete("y")]) for _ in range(8)
        ]
        job = await ask(here, window, everything=everything)
        await asyncio.gather(here.collector.backfill(job), here.collector.once())
        found += await here.delivered()
        done = await here.collector.jobs.find(job.number)
        assert done is not None

    names = ids(found)
    of_window = {name for name, (scanned, _, _) in here.source._records.items() if scanned in window}
    of_live = {name for name, (at, _, _) in here.source._records.items() if START - 2 * HOUR <= at < START}
    assert set(names) == of_window | of_live
    assert done[1].read == len(of_window)
    identities = [one.identity for one in found]
    assert len(set(identities)) == len(set(names))
    assert len(names) == len(set(names)) + done[1].again
    assert done[1].again == 0 or everything
