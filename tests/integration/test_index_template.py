"""The shipped index template in a real OpenSearch: types do not depend on which event comes first."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from connector.mapping.language.library import Library
from connector.mapping.mapper import build_mapper
from connector.model import Feed, Receipt, Record, Revision
from connector.net.clock import utc_now
from connector.outputs.elasticsearch.index_template import template_for
from connector.outputs.elasticsearch.output import ElasticsearchSettings
from tests.support.opensearch import OpenSearch

pytestmark = pytest.mark.xdist_group("opensearch")  # one server, not one per worker

INDEX = "first-events"
FEED = Feed("0" * 32, "all")
GOOD = {
    "id": "good",
    "scanned_at": "2026-11-29T15:00:00Z",
    "final_disposition": "MALICIOUS",
    "subject": "ordinary",
    "is_quarantined": True,
    "from_name": "Alice",
    "findings": [{"name": "b", "score": 0.99, "detection": "MALICIOUS", "attachment": "invoice.exe"}],
    "properties": {"blocklisted_message": True},
    "validation": {"spf": "pass"},
    "detection_reasons": ["a"],
    "threat_categories": ["Dropper"],
    "action_log": [{"operation": "MOVE", "completed_at": "2026-11-29T15:00:00Z"}],
}
ODD: list[dict[str, Any]] = [
    {"findings": "x"},
    {"findings": [{"score": 1}]},
    {"findings": [{"score": "high"}]},
    {"properties": "x"},
    {"validation": "pass"},
    {"action_log": "x"},
    {"is_quarantined": "yes"},
    {"detection_reasons": {"a": 1}},
    {"threat_categories": {"a": 1}},
    {"from_name": {"a": 1}},
    {"never_documented": "x"},
    {"never_documented": {"a": 1}},
]


@pytest.fixture
def index(opensearch: OpenSearch) -> Iterator[OpenSearch]:
    """A fresh index with the shipped template."""
    template = template_for(INDEX, stream=False)
    opensearch.json(f"/_index_template/{template.name}", template.body, method="PUT")
    opensearch.json(f"/{INDEX}", {}, method="PUT")
    yield opensearch
    opensearch.json(f"/{INDEX}", method="DELETE")


def document(**fields: Any) -> dict[str, Any]:
    """An event of the ecs pack."""
    record = Record("x", {**GOOD, "never_documented": [1], **fields})
    event = build_mapper(Library().load("ecs"))(
        Revision(Feed("0" * 32, "all"), record, "0" * 64, 1, utc_now())
    )
    assert event is not None
    decoded: dict[str, Any] = json.loads(event.payload)
    return decoded


def stored(server: OpenSearch, *documents: dict[str, Any]) -> list[int]:
    """Index *documents* in their order; return the status of each."""
    body = "".join(f'{{"create":{{}}}}\n{json.dumps(each)}\n' for each in documents)
    headers = {"content-type": "application/x-ndjson"}
    request = urllib.request.Request(f"{server.url}/{INDEX}/_bulk", body.encode(), headers, method="POST")
    with urllib.request.urlopen(request, timeout=60) as response:
        answer = json.load(response)
    return [item["create"]["status"] for item in answer["items"]]


def found(server: OpenSearch, query: dict[str, Any]) -> int:
    server.json(f"/{INDEX}/_refresh", {}, method="POST")
    count: int = server.json(f"/{INDEX}/_count", {"query": query}, method="POST")["count"]
    return count


@pytest.mark.parametrize("odd", ODD, ids=json.dumps)
def test_no_first_event_makes_ordinary_ones_fail(index: OpenSearch, odd: dict[str, Any]) -> None:
    stored(index, document(**odd))
    assert stored(index, document(), document()) == [201, 201]


def test_a_score_keeps_its_fraction_whichever_came_first(index: OpenSearch) -> None:
    name = "cloudflare.email_security.findings"
    assert stored(index, document(findings=[{"name": "a", "score": 1}]), document()) == [201, 201]
    assert found(index, {"range": {f"{name}.score": {"gt": 0.9, "lt": 1}}}) == 1
    assert found(index, {"term": {"event.risk_score": 0.99}}) == 1


def test_a_flat_rule_finds_an_attachment(index: OpenSearch) -> None:
    stored(index, document())
    assert found(index, {"term": {"email.attachments.file.name": "invoice.exe"}}) == 1
    nested = {"path": "email.attachments", "query": {"term": {"email.attachments.file.extension": "exe"}}}
    assert found(index, {"nested": nested}) == 1


async def test_a_message_that_is_back_in_an_earlier_state_after_a_lost_journal(index: OpenSearch) -> None:
    output = ElasticsearchSettings.model_validate({"url": index.url, "index": INDEX}).build(
        "x", lambda _: None
    )

    async def send(verdict: str, minute: int, number: int) -> Receipt:
        collected = datetime(2026, 11, 29, 16, minute, tzinfo=UTC)
        record = Record("x", {**GOOD, "final_disposition": verdict})
        event = build_mapper(Library().load("ecs"))(Revision(FEED, record, verdict, number, collected))
        assert event is not None
        receipt = await output.send([event])
        index.json(f"/{INDEX}/_refresh", {}, method="POST")
        return receipt

    assert [await send("SPAM", 1, 1), await send("MALICIOUS", 2, 2)] == [Receipt(), Receipt()]
    assert await send("MALICIOUS", 2, 2) == Receipt(duplicates=1)
    assert await send("SPAM", 3, 1) == Receipt()  # a new journal counts from 1
    assert await send("SPAM", 3, 1) == Receipt(duplicates=1)
    await output.close()
    shown = max(index.documents(INDEX), key=lambda hit: str(hit["_source"]["event"]["created"]))
    assert shown["_source"]["cloudflare"]["email_security"]["final_disposition"] == "SPAM"


def test_what_is_not_documented_is_kept_but_not_indexed(index: OpenSearch) -> None:
    stored(index, document(never_documented={"deep": "x"}))
    mapping = index.json(f"/{INDEX}/_mapping")[INDEX]["mappings"]["properties"]
    assert "never_documented" not in mapping["cloudflare"]["properties"]["email_security"]["properties"]
    [hit] = index.documents(INDEX)
    assert hit["_source"]["cloudflare"]["email_security"]["never_documented"] == {"deep": "x"}
