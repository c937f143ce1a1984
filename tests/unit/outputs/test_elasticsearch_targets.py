"""Ingest pipelines, stores that imitate _bulk, collections without IDs, failure stores, busy clusters."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from connector.errors import Hold, Retryable
from connector.facts import EventsDiverted, Fact, OutputWarning
from connector.model import Receipt
from connector.outputs.elasticsearch.output import ElasticsearchOutput, ElasticsearchSettings
from connector.testing.outputs import events
from tests.support.bulk_collector import STREAM, BulkCollector, bulk_collector, failed, trouble
from tests.support.scripted_http import Asked, Reply, json_reply, scripted

FULL = (
    "rejected execution of org.elasticsearch.action.bulk.TransportShardBulkAction$2@1 on EsThreadPoolExecutor"
    "[name = n/write, queue capacity = 10000, ...]"
)
FLOOD = (
    "index [.ds-logs-x] blocked by: [TOO_MANY_REQUESTS/12/disk usage exceeded flood-stage watermark, index "
    "has read-only-allow-delete block];"
)
READ_ONLY = "index [mail] blocked by: [FORBIDDEN/12/index read-only / allow delete (api)];"


def output(url: str, facts: list[Fact] | None = None, **options: Any) -> ElasticsearchOutput:
    settings = ElasticsearchSettings.model_validate({"url": url, **options})
    return settings.build("siem", (facts if facts is not None else []).append)


async def test_query_parameters_of_the_url_travel_with_every_bulk_request() -> None:
    async with bulk_collector() as collector:
        elastic = output(collector.url + "/?pipeline=geo%20ip&timeout=5m")
        assert await elastic.send(events(2)) == Receipt()
        await elastic.close()
        [params] = collector.params
        assert params["pipeline"] == "geo ip"
        assert params["timeout"] == "5m"
        assert "filter_path" in params


async def test_query_parameters_are_not_sent_with_checks() -> None:
    async with bulk_collector() as collector:
        elastic = output(collector.url + "?pipeline=x")
        await elastic.check()
        await elastic.close()
        assert not [params for params in collector.params if "pipeline" in params]


async def test_query_parameters_are_not_shown() -> None:
    async with scripted(lambda _: Reply(403, b"pipeline canary-pipeline is not yours")) as server:
        elastic = output(server.url + "/?pipeline=canary-pipeline")
        with pytest.raises(Hold) as caught:
            await elastic.send(events(1))
        await elastic.close()
        assert "canary" not in caught.value.reason


def test_parameters_that_the_output_needs_itself_are_refused() -> None:
    with pytest.raises(ValidationError, match="filter_path"):
        output("http://localhost:9200/?filter_path=took")


async def test_a_url_that_ends_with_bulk_is_used_as_it_is_and_each_action_names_the_index() -> None:
    asked: list[Asked] = []

    def answer(request: Asked) -> Reply:
        asked.append(request)
        return json_reply({"errors": False, "items": [{"create": {"status": 201}}]})

    async with scripted(answer) as server:
        store = output(server.url + "/insert/elasticsearch/_bulk?_time_field=@timestamp", gzip=False)
        assert await store.send(events(1)) == Receipt()
        await store.close()
    [request] = asked
    assert request.path == "/insert/elasticsearch/_bulk"
    assert request.params["_time_field"] == "@timestamp"
    assert f'"_index":"{STREAM}"'.encode() in request.body


async def test_a_collection_without_document_ids_says_which_setting_helps() -> None:
    async with bulk_collector(takes_ids=False) as collector:
        elastic = output(collector.url)
        with pytest.raises(Hold, match="document_id: false"):
            await elastic.send(events(2))
        await elastic.close()
        assert collector.stored == {}
        serverless = output(collector.url, document_id=False)
        assert await serverless.send(events(2)) == Receipt()
        await serverless.close()
        assert len(collector.stored) == 2


async def test_events_in_the_failure_store_are_counted_and_reported() -> None:
    facts: list[Fact] = []
    async with bulk_collector(diverted=lambda document: document["id"].split("-")[1] in "13") as collector:
        elastic = output(collector.url, facts)
        assert await elastic.send(events(5)) == Receipt()
        await elastic.close()
    [diverted] = [fact for fact in facts if isinstance(fact, EventsDiverted)]
    assert (diverted.output, diverted.count) == ("siem", 2)
    assert "failure store" in diverted.reason


@pytest.mark.parametrize(
    ("kind", "reason", "status", "text"),
    [
        ("es_rejected_execution_exception", FULL, 429, "write queue is full"),
        ("circuit_breaking_exception", "[parent] Data too large", 429, "memory circuit breaker"),
        ("cluster_block_exception", FLOOD, 429, "disk flood-stage watermark"),
    ],
)
async def test_a_busy_cluster_says_why(kind: str, reason: str, status: int, text: str) -> None:
    async with bulk_collector(verdict=lambda _: trouble(status, kind, reason)) as collector:
        elastic = output(collector.url)
        receipt = await elastic.send(events(3))
        assert receipt.retry == {0, 1, 2}
        assert text in receipt.retry_reason
        await elastic.close()
    async with bulk_collector(faults=[failed(status, kind, reason)]) as collector:
        elastic = output(collector.url)
        with pytest.raises(Retryable, match=text) as raised:
            await elastic.send(events(3))
        assert raised.value.busy
        await elastic.close()


@pytest.mark.parametrize(
    ("reason", "text"),
    [(FLOOD.replace("TOO_MANY_REQUESTS", "FORBIDDEN"), "free disk space"), (READ_ONLY, "read-only")],
)
async def test_a_block_that_forbids_writing_says_what_to_do(reason: str, text: str) -> None:
    async with bulk_collector(verdict=lambda _: trouble(403, "cluster_block_exception", reason)) as collector:
        elastic = output(collector.url)
        with pytest.raises(Hold, match=text):
            await elastic.send(events(3))
        await elastic.close()


async def test_progress_is_not_an_error_even_if_the_rest_is_refused_for_now() -> None:
    def verdict(document: Any) -> dict[str, Any] | None:
        busy = trouble(429, "es_rejected_execution_exception", FULL)
        return busy if document["id"].split("-")[1] in "12" else None

    async with bulk_collector(verdict=verdict) as collector:
        elastic = output(collector.url)
        receipt = await elastic.send(events(4))
        assert receipt.retry == {1, 2}
        assert receipt.rejected == {}
        await elastic.close()


@pytest.mark.parametrize(
    ("options", "given", "warned"),
    [
        ({}, {}, False),
        ({"indexes": {"mail"}}, {"index": "mail"}, False),
        ({"streams": set()}, {}, True),
        ({"streams": set()}, {"index": "mail"}, True),
        ({"streams": set(), "answers": {"/_index_template": Reply(403)}}, {}, False),
        ({"answers": {f"/_data_stream/{STREAM}": Reply(503)}}, {}, False),
    ],
)
async def test_a_target_that_would_be_guessed_is_reported_when_the_output_opens(
    options: dict[str, Any], given: dict[str, Any], *, warned: bool
) -> None:
    facts: list[Fact] = []
    async with bulk_collector(creates=True, **options) as collector:
        elastic = output(collector.url, facts, **given)
        await elastic.open()
        await elastic.open()
        assert await elastic.send(events(1)) == Receipt()
        await elastic.close()
    warnings = [fact for fact in facts if isinstance(fact, OutputWarning)]
    assert len(warnings) == warned
    assert all("guess field types" in warning.reason for warning in warnings)


async def test_a_cluster_that_is_away_does_not_delay_the_opening() -> None:
    unreachable: BulkCollector
    async with bulk_collector() as unreachable:
        url = unreachable.url
    elastic = output(url)
    await elastic.open()
    await elastic.close()
