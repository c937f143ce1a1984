"""The first event of an index decides nothing about those that follow, in a real OpenSearch."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import pytest

from connector.mapping import Library, build_mapper
from connector.model import Event, Feed, JsonObject, Receipt, Record, Revision
from connector.outputs.elasticsearch.output import ElasticsearchSettings
from tests.support.collectors import unobserved
from tests.support.hostile_day import NOW, hostile_day
from tests.support.opensearch import OpenSearch
from tests.support.process import ROOT

pytestmark = pytest.mark.xdist_group("opensearch")  # one server, not one per worker

CASES = ROOT.parent / "shared" / "cases"
STREAM = "logs-cloudflare.email_security-{}"


def cases(name: str) -> list[JsonObject]:
    """Return the records of a file of cases; without the file the test is skipped."""
    file = CASES / name
    if not file.exists():
        pytest.skip("../shared/cases is not there")
    text = file.read_text("utf-8")
    records: list[JsonObject] = (
        json.loads(text)
        if file.suffix == ".json"
        else [json.loads(line) for line in text.splitlines() if line]
    )
    return records


def mapped(records: Sequence[JsonObject]) -> list[Event]:
    """Return the events that the mapping ``ecs`` makes."""
    mapper = build_mapper(Library().load("ecs"))
    feed = Feed("a" * 32, "all")
    events = [mapper(Revision(feed, Record(str(body["id"]), body), "d", 1, NOW)) for body in records]
    return [event for event in events if event is not None]


async def store(server: OpenSearch, stream: str, batches: Sequence[Sequence[Event]]) -> list[Receipt]:
    """Send *batches* to a data stream that the shipped template makes."""
    settings = ElasticsearchSettings.model_validate({"url": server.url, "data_stream": stream})
    output = settings.build("search", unobserved)
    try:
        await output.open()
        await output.install()
        return [await output.send(batch) for batch in batches]
    finally:
        await output.close()


@pytest.mark.parametrize("index", range(8))
async def test_after_an_odd_first_event_ordinary_ones_are_stored(opensearch: OpenSearch, index: int) -> None:
    base: dict[str, Any] = {"id": "odd", "scanned_at": "2026-11-22T11:00:00Z", "final_disposition": "SPAM"}
    odd = mapped([{**base, **cases("first-events.json")[index]}])
    ordinary = hostile_day("ecs", 200)
    stream = STREAM.format(f"first{index}")

    first, rest = await store(opensearch, stream, [odd, ordinary])

    assert rest.rejected == {}
    assert rest.retry == frozenset()
    assert len(opensearch.documents(stream)) == len(ordinary) + 1 - len(first.rejected)


async def test_a_fraction_is_found_after_a_whole_number(opensearch: OpenSearch) -> None:
    events = mapped(cases("typed-score.ndjson"))
    stream = STREAM.format("score")

    [receipt] = await store(opensearch, stream, [events])

    assert receipt.rejected == {}
    assert len(opensearch.documents(stream)) == len(events)
    field = "cloudflare.email_security.findings.score"
    for score, expected in ((0.99, 1), (0.5, 2), (0, 0)):
        query = {"query": {"term": {field: score}}}
        assert opensearch.json(f"/{stream}/_count", query)["count"] == expected, score
