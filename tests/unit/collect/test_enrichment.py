"""What further endpoints say: in the first revision if they answer, in one more when they do later."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path

import pytest

from connector import facts
from connector.collect.collector import Collector
from connector.collect.feed_config import FeedConfig
from connector.collect.feed_writer import FeedWriter
from connector.collect.ingest import Slice, SliceIngester
from connector.collect.partial_slices import PartialSlices
from connector.collect.revisions import WATCHED
from connector.collect.windows import LIVE, Timing
from connector.errors import Unavailable
from connector.journal import Journal
from connector.model import Backlog, Query, Revision, Step, Window
from tests.support.fake_enricher import FakeEnricher
from tests.unit.collect.feed_under_test import AGES, FEED, START, FeedUnderTest

MINUTE = timedelta(minutes=1)
EARLY = Window(START - timedelta(hours=1), START)
LATER = Window(START, START + timedelta(hours=1))


class EnrichingDesk(FeedUnderTest):
    """A feed whose records are enriched."""

    def __init__(self, journal: Journal, observed: list[facts.Fact]) -> None:
        self.enricher: FakeEnricher | None = FakeEnricher()
        super().__init__(journal, observed)

    def build(self, config: FeedConfig | None = None) -> Collector:
        return Collector(
            config or self.config,
            self.source,
            self.source,
            self.journal,
            observe=self.observed.append,
            clock=lambda: self.now,
            enricher=self.enricher,
        )

    def ingester(self) -> SliceIngester:
        """Walks slices of the feed, several at once."""
        writer = FeedWriter(FEED, self.config.fingerprint, self.journal, observe=self.observed.append)
        return SliceIngester(
            self.source,
            self.journal,
            writer,
            PartialSlices(self.journal, writer, self.config.fingerprint),
            watched=WATCHED,
            observe=self.observed.append,
            clock=lambda: self.now,
            enricher=self.enricher,
            ages=AGES,
        )

    @property
    def fake(self) -> FakeEnricher:
        assert self.enricher is not None
        return self.enricher

    def resume(self, before: EnrichingDesk) -> None:
        """Go on where *before* was: the same mail, the same time."""
        self.now, self.source, self._position = before.now, before.source, before._position
        self.source._now = lambda: self.now
        self.collector = self.build()

    async def polls(self, minutes: int) -> list[Revision]:
        """Poll once a minute."""
        return [revision for _ in range(minutes) for revision in await self.poll(MINUTE)]


@asynccontextmanager
async def feed_under_test(directory: Path) -> AsyncIterator[EnrichingDesk]:
    observed: list[facts.Fact] = []
    async with Journal.open(directory, observe=observed.append, clock=lambda: START) as journal:
        await journal.attach("out", "beginning", Backlog())
        yield EnrichingDesk(journal, observed)


@pytest.fixture
async def feed(tmp_path: Path) -> AsyncIterator[EnrichingDesk]:
    async with feed_under_test(tmp_path) as made:
        yield made


def missing(revisions: list[Revision]) -> list[object]:
    return [revision.enrichment.get("incomplete") for revision in revisions]


async def test_a_new_record_and_a_changed_one_carry_what_endpoints_say(feed: EnrichingDesk) -> None:
    feed.source.add("m", START - MINUTE, is_quarantined=True)
    first = await feed.poll()
    feed.source.change("m", is_quarantined=False)
    second = await feed.poll(MINUTE)

    assert [r.enrichment for r in first + second] == [
        {"detections": {"of": "m"}, "action_log": {"of": "m"}}
    ] * 2
    assert feed.fake.asked == ["m", "m"]


async def test_what_nobody_wants_enriched_is_delivered_as_it_is(feed: EnrichingDesk) -> None:
    feed.fake.wanted = lambda record: record.body["final_disposition"] != "SPAM"
    feed.source.add("spam", START - MINUTE, final_disposition="SPAM")
    feed.source.add("bad", START - MINUTE, final_disposition="MALICIOUS")

    found = await feed.poll()

    assert {r.record.id: sorted(r.enrichment) for r in found} == {
        "spam": [],
        "bad": ["action_log", "detections"],
    }


async def test_what_was_missing_comes_at_the_next_revisit_once(feed: EnrichingDesk) -> None:
    feed.source.add("m", START - MINUTE, final_disposition="MALICIOUS")
    feed.fake.broken = {"detections"}
    first = await feed.poll()
    feed.fake.broken = set()
    later = await feed.polls(90)

    assert missing(first + later) == [["detections"], None]
    (update,) = later
    assert (update.number, update.previous, update.gone) == (2, {}, False)
    assert update.enrichment == {"detections": {"of": "m"}, "action_log": {"of": "m"}}
    assert update.identity != first[0].identity
    assert feed.fake.asked == ["m", "m"]
    pages = [fact for fact in feed.observed if isinstance(fact, facts.PageCollected)]
    assert sum(page.completed for page in pages) == 1
    assert sum(page.changed for page in pages) == 0
    assert all(p.records == p.new + p.changed + p.completed + p.repeated for p in pages)


async def test_an_endpoint_that_never_answers_is_asked_once_per_revisit(feed: EnrichingDesk) -> None:
    feed.source.add("m", START - MINUTE)
    feed.fake.broken = {"detections"}
    found = await feed.poll() + await feed.polls(120)

    assert missing(found) == [["detections"]]
    assert feed.fake.asked == ["m"] * (1 + len(AGES))


async def test_neither_a_repeated_walk_nor_a_long_overlap_asks_again(feed: EnrichingDesk) -> None:
    overlap = Timing(start=timedelta(hours=2), overlap=timedelta(hours=2))
    feed.collector = feed.build(FeedConfig(FEED, Query(), overlap, AGES))
    for minute in range(1, 5):
        feed.source.add(f"m{minute}", START - minute * MINUTE)
    feed.fake.broken = {"detections"}
    await feed.poll()
    feed.source.faults = [None, Unavailable("HTTP 502"), Unavailable("HTTP 502")]
    await feed.poll(timedelta(minutes=10))
    await feed.polls(100)

    assert Counter(feed.fake.asked) == {f"m{minute}": 1 + len(AGES) for minute in range(1, 5)}


async def test_when_the_api_knows_nothing_after_all_nothing_more_is_reported_or_asked(
    feed: EnrichingDesk,
) -> None:
    feed.source.add("m", START - MINUTE)
    feed.fake.broken, feed.fake.empty = {"detections"}, {"detections"}
    await feed.poll()
    feed.fake.broken = set()

    assert await feed.polls(90) == []
    assert feed.fake.asked == ["m", "m"]


async def test_what_is_missing_can_come_piece_by_piece(feed: EnrichingDesk) -> None:
    feed.source.add("m", START - MINUTE)
    feed.fake.broken = {"detections", "action_log"}
    found = await feed.poll()
    feed.fake.broken = {"action_log"}
    found += await feed.polls(20)
    feed.fake.broken = set()
    found += await feed.polls(60)

    assert missing(found) == [["action_log", "detections"], ["action_log"], None]
    assert [revision.number for revision in found] == [1, 2, 3]
    assert len({revision.identity for revision in found}) == 3


async def test_an_answer_that_is_lost_again_is_no_progress(feed: EnrichingDesk) -> None:
    feed.source.add("m", START - MINUTE)
    feed.fake.broken = {"detections"}
    found = await feed.poll()
    feed.fake.broken = {"action_log"}
    found += await feed.polls(20)
    feed.fake.broken = set()
    found += await feed.polls(60)

    assert missing(found) == [["detections"], None]


async def test_a_change_takes_the_missing_part_along(feed: EnrichingDesk) -> None:
    feed.source.add("m", START - MINUTE, is_quarantined=True)
    feed.fake.broken = {"detections"}
    found = await feed.poll()
    feed.fake.broken = set()
    feed.source.change("m", is_quarantined=False)
    found += await feed.poll(MINUTE)
    found += await feed.polls(90)

    assert missing(found) == [["detections"], None]
    assert found[1].previous == {"is_quarantined": True}


async def test_a_state_that_came_back_is_completed_under_an_identity_of_its_own(feed: EnrichingDesk) -> None:
    feed.source.add("m", START - MINUTE, is_quarantined=True)
    found: list[Revision] = []
    for quarantined in (True, False, True):
        feed.source.change("m", is_quarantined=quarantined)
        feed.fake.broken = {"detections"}
        found += await feed.poll(timedelta(seconds=10))
    feed.fake.broken = set()
    found += await feed.polls(90)

    assert [revision.number for revision in found] == [1, 2, 3, 4]
    assert [revision.occurrence for revision in found] == [1, 1, 2, 2]
    assert len({revision.identity for revision in found}) == 4


async def test_a_restart_remembers_what_is_missing(tmp_path: Path) -> None:
    async with feed_under_test(tmp_path) as before:
        before.source.add("m", START - MINUTE)
        before.fake.broken = {"detections"}
        first = await before.poll()
    async with feed_under_test(tmp_path) as after:
        after.resume(before)
        later = await after.polls(90)

    assert missing(first + later) == [["detections"], None]


async def test_enrichment_that_was_switched_off_changes_no_state(feed: EnrichingDesk) -> None:
    feed.source.add("m", START - MINUTE, final_disposition="SPAM")
    feed.fake.broken = {"detections"}
    await feed.poll()
    feed.enricher = None
    feed.collector = feed.build()
    feed.source.change("m", delivery_status=["delivered"])

    assert await feed.polls(90) == []
    feed.source.change("m", final_disposition="MALICIOUS")
    feed.collector = feed.build(FeedConfig(FEED, Query(), Timing(overlap=timedelta(hours=4)), AGES))
    (update,) = await feed.poll(MINUTE)
    assert (update.number, update.previous) == (2, {"final_disposition": "SPAM"})


async def test_a_record_that_left_the_search_is_completed_by_its_look_up(feed: EnrichingDesk) -> None:
    feed.source.add("m", START - MINUTE, final_disposition="SPAM")
    feed.source.add("gone", START - MINUTE)
    feed.fake.broken = {"detections"}
    await feed.poll()
    feed.fake.broken = set()
    feed.source.hide("m")
    feed.source.remove("gone")
    found = {revision.record.id: revision for revision in await feed.polls(90)}

    assert found["m"].enrichment == {"detections": {"of": "m"}, "action_log": {"of": "m"}}
    assert (found["gone"].gone, found["gone"].enrichment) == (True, {})
    assert not any(name.startswith("$") for name in found["gone"].record.body)


async def test_a_corrected_verdict_that_left_the_search_is_enriched(feed: EnrichingDesk) -> None:
    feed.source.add("m", START - MINUTE, final_disposition="MALICIOUS")
    await feed.poll()
    feed.source.change("m", final_disposition="NONE")
    feed.source.hide("m")
    (update,) = await feed.polls(20)

    assert update.previous == {"final_disposition": "MALICIOUS"}
    assert sorted(update.enrichment) == ["action_log", "detections"]


async def test_the_live_sweep_does_not_wait_for_what_a_revisit_asks(feed: EnrichingDesk) -> None:
    feed.source.add("m", START - MINUTE)
    feed.fake.broken = {"detections"}
    ingester = feed.ingester()
    await ingester.ingest(Slice(LIVE, EARLY, Step(LIVE, None, EARLY.end), Query()))
    feed.fake.broken, feed.fake.slow = set(), {"m"}
    feed.now += 5 * MINUTE
    revisiting = asyncio.create_task(ingester.ingest(Slice("revisit_5m", EARLY, None, Query())))
    await feed.fake.waiting.wait()
    feed.source.add("new", START + MINUTE)
    feed.now = LATER.end
    await ingester.ingest(Slice(LIVE, LATER, Step(LIVE, EARLY.end, LATER.end), Query()))

    assert [revision.record.id for revision in await feed.delivered()] == ["m", "new"]
    feed.fake.gate.set()
    await revisiting
    assert [(r.record.id, r.number) for r in await feed.delivered()] == [("m", 2)]


async def test_two_sweeps_that_find_the_same_new_record_deliver_it_once_and_the_newer_state_last(
    feed: EnrichingDesk,
) -> None:
    feed.source.add("m", START - MINUTE, is_quarantined=True)
    feed.fake.slow = {"m"}
    ingester = feed.ingester()
    first = asyncio.create_task(ingester.ingest(Slice(LIVE, EARLY, None, Query())))
    await feed.fake.waiting.wait()
    feed.source.change("m", is_quarantined=False)
    second = asyncio.create_task(ingester.ingest(Slice("revisit_5m", EARLY, None, Query())))
    await asyncio.wait({first, second}, timeout=0.2)
    feed.fake.gate.set()
    await asyncio.gather(first, second)

    found = await feed.delivered()
    assert [r.record.body["is_quarantined"] for r in found] == [True, False]
    assert [r.number for r in found] == [1, 2]


async def test_a_walk_cut_off_while_it_asks_neither_loses_nor_doubles(feed: EnrichingDesk) -> None:
    for minute in range(1, 6):
        feed.source.add(f"m{minute}", START - minute * MINUTE)
    feed.fake.slow = {"m2"}
    walking = asyncio.create_task(feed.collector.once())
    await feed.fake.waiting.wait()
    walking.cancel()
    await asyncio.gather(walking, return_exceptions=True)
    feed.fake.gate.set()
    feed.collector = feed.build()

    assert sorted(revision.record.id for revision in await feed.poll()) == [f"m{n}" for n in range(1, 6)]
    assert await feed.polls(10) == []
