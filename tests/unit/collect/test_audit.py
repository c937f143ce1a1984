"""An audit reads everything within reach again: what every revisit missed is found, nothing is doubled."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from connector import facts
from connector.collect.feed_config import AuditConfig
from connector.collect.windows import audit_window
from connector.errors import Unavailable
from connector.model import Window
from tests.unit.collect.feed_under_test import FEED, START, FeedUnderTest, feed_under_test, ids

pytestmark = pytest.mark.usefixtures("without_waiting")

HOUR, MINUTE = timedelta(hours=1), timedelta(minutes=1)
AUDIT = AuditConfig(every=2 * HOUR, reach=8 * HOUR)


@pytest.fixture
async def feed(tmp_path: Path) -> AsyncIterator[FeedUnderTest]:
    async with feed_under_test(tmp_path) as made:
        made.config = replace(made.config, audit=AUDIT)
        made.collector = made.build()
        yield made


async def pass_by(here: FeedUnderTest, hours: int) -> list[str]:
    """Let hours pass with a poll every ten minutes; the ids of what was told."""
    reported: list[str] = []
    for _ in range(6 * hours):
        reported += ids(await here.poll(10 * MINUTE))
    return reported


async def test_a_record_later_than_every_revisit_is_found_and_its_lateness_reported(
    feed: FeedUnderTest,
) -> None:
    await feed.poll()
    feed.source.add("late", START + MINUTE, late=3 * HOUR)

    assert await pass_by(feed, 6) == ["late"]
    late = [fact for fact in feed.observed if isinstance(fact, facts.RecordLate)]
    assert [(fact.sweep, fact.least) for fact in late] == [("audit", 3600.0)]
    assert late[0].most > 3 * 3600


async def test_a_late_change_and_a_record_that_left_are_reported_once(feed: FeedUnderTest) -> None:
    feed.source.add("changes", START - MINUTE, final_disposition="MALICIOUS")
    feed.source.add("leaves", START - MINUTE, final_disposition="MALICIOUS")
    feed.source.add("stays", START - MINUTE, final_disposition="SPAM")
    await feed.poll()
    assert await pass_by(feed, 2) == []
    feed.source.change("changes", final_disposition="NONE")
    feed.source.change("leaves", final_disposition="NONE")
    feed.source.hide("leaves")

    assert sorted(await pass_by(feed, 5)) == ["changes", "leaves"]


async def test_rows_stay_for_as_long_as_an_audit_reaches_and_go_afterwards(feed: FeedUnderTest) -> None:
    feed.source.add("m", START - MINUTE, is_quarantined=True)
    await feed.poll()
    for _ in range(6):
        feed.collector = feed.build()
        assert await feed.poll(HOUR) == []
    assert (await feed.journal.outline()).feeds[0].seen == 1
    for _ in range(8):
        feed.collector = feed.build()
        assert await feed.poll(HOUR) == []

    assert (await feed.journal.outline()).feeds[0].seen == 0


async def test_a_round_that_was_cut_short_goes_on_and_the_next_comes_when_it_is_due(
    feed: FeedUnderTest,
) -> None:
    await feed.poll()
    await pass_by(feed, 6)
    feed.now += 3 * HOUR
    feed.source.asked.clear()
    collector = feed.collector
    await collector._until_done("live", collector._sweeper.live)
    assert collector._auditor is not None
    feed.source.asked.clear()
    feed.source.faults = [None, None, Unavailable("HTTP 502")]
    with pytest.raises(Unavailable):
        await collector._auditor.run_due()
    reached = (await feed.journal.progress(FEED)).checkpoints["audit"]
    feed.source.asked.clear()
    again = feed.build()
    await again._load()
    assert again._auditor is not None
    assert await again._auditor.run_due()

    assert min(window.start for window in feed.source.asked) == reached
    assert not await again._auditor.run_due()
    feed.now += AUDIT.every
    assert await again._auditor.run_due()


async def test_an_audit_never_reads_below_the_floor(feed: FeedUnderTest) -> None:
    for hour in range(3, 8):
        feed.source.add(f"before{hour}", START - hour * HOUR)

    assert await feed.poll() == []
    assert await pass_by(feed, 4) == []


def test_a_window_lies_between_reach_and_the_oldest_revisit() -> None:
    def window(known: timedelta | None, live: timedelta = timedelta(0)) -> Window | None:
        since = START - known if known is not None else None
        return audit_window(START, 8 * HOUR, HOUR, since, START - live)

    assert window(None) == Window(START - 8 * HOUR, START - HOUR)
    assert window(3 * HOUR) == Window(START - 3 * HOUR + timedelta(seconds=1), START - HOUR)
    assert window(30 * MINUTE) is None
    assert window(None, 2 * HOUR) == Window(START - 8 * HOUR, START - 2 * HOUR)
