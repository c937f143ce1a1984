"""Walks that read the same record at the same time: what is older never takes back what is newer."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from datetime import datetime, timedelta

from connector.collect.feed_writer import FeedWriter
from connector.collect.ingest import ReadOrder, Slice, SliceIngester
from connector.collect.partial_slices import PartialSlices
from connector.collect.revisions import WATCHED
from connector.model import Page, Query, Record, SearchPosition, Window
from tests.unit.collect.feed_under_test import FEED, START, FeedUnderTest

SLICE = Slice("live", Window(START - timedelta(hours=1), START), None, Query())


class Frozen:
    """A source whose walks show everything as it was when they began, page after page, when they are let."""

    def __init__(self) -> None:
        self.state = "MALICIOUS"
        self.gates: list[asyncio.Event] = []
        self.begun = asyncio.Event()

    def now(self) -> datetime:
        return START

    async def search(
        self, query: Query, window: Window, position: SearchPosition | None = None
    ) -> AsyncGenerator[Page, None]:
        state, gate = self.state, asyncio.Event()
        self.gates.append(gate)
        self.begun.set()
        await gate.wait()
        body = {"id": "m", "scanned_at": window.start.isoformat(), "final_disposition": state}
        yield Page((Record("m", body),))


async def _begin(source: Frozen, ingester: SliceIngester) -> asyncio.Task[object]:
    source.begun.clear()
    walking: asyncio.Task[object] = asyncio.create_task(ingester.ingest(SLICE))
    await source.begun.wait()
    return walking


async def test_a_long_walk_does_not_change_back_what_a_later_one_has_seen(feed: FeedUnderTest) -> None:
    source = Frozen()
    writer = FeedWriter(FEED, "print", feed.journal, observe=lambda _: None)
    ingester = SliceIngester(
        source,
        feed.journal,
        writer,
        PartialSlices(feed.journal, writer, "print"),
        watched=WATCHED,
        observe=lambda _: None,
        clock=lambda: START,
    )
    first = await _begin(source, ingester)
    source.gates[0].set()
    await first
    long = await _begin(source, ingester)
    source.state = "SPAM"
    short = await _begin(source, ingester)
    source.gates[2].set()
    await short
    source.gates[1].set()
    await long

    assert [r.record.body["final_disposition"] for r in await feed.delivered()] == ["MALICIOUS", "SPAM"]
    later = await _begin(source, ingester)
    source.gates[3].set()
    await later
    assert await feed.delivered() == []


def test_only_what_a_walk_under_way_could_take_back_is_remembered() -> None:
    order = ReadOrder()
    with order.reading() as alone:
        order.note_changed(["a"], alone)
        assert not order.is_overtaken("a", alone)
        with order.reading() as later:
            order.note_changed(["a", "b"], later)
        order.note_changed(["c"])
        assert [order.is_overtaken(name, alone) for name in "abcd"] == [True, True, True, False]
        with order.reading() as last:
            assert not any(order.is_overtaken(name, last) for name in "abcd")
    assert order._changed == {}
