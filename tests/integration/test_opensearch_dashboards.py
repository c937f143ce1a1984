"""Dashboards and lifecycle in a real OpenSearch: saved objects, every visualization's figures, rollover.

The server of the dashboards (OpenSearch Dashboards, Kibana) is not part of the tests.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

import pytest

from connector.model import Receipt
from connector.outputs.elasticsearch.index_template import shipped
from connector.outputs.elasticsearch.output import ElasticsearchSettings
from tests.deploy.dashboards import saved_objects, search_of, visualizations
from tests.deploy.test_content import Document, action, corpus, extensions, is_alert, part, vendor
from tests.integration.content_store import store_corpus
from tests.support.collectors import unobserved
from tests.support.hostile_day import hostile_day
from tests.support.opensearch import OpenSearch

pytestmark = pytest.mark.xdist_group("opensearch")  # one server, not one per worker

STREAM = "logs-cloudflare.email_security-dashboards"
LONGEST = 1024
"""``ignore_above`` of the fields that are counted."""

Values = Callable[[Document], set[str]]


def keywords(value: object) -> Iterator[str]:
    """What an index makes of a value: the elements of lists as texts, without what is too long."""
    if isinstance(value, list):
        for one in value:
            yield from keywords(one)
    elif isinstance(value, bool):
        yield "true" if value else "false"
    elif value is not None and not isinstance(value, dict) and len(str(value)) <= LONGEST:
        yield str(value)


def of_vendor(name: str) -> Values:
    return lambda document: set(keywords(vendor(document).get(name)))


def of(first: str, *rest: str) -> Values:
    def values(document: Document) -> set[str]:
        found: Any = document.get(first)
        for name in rest:
            found = found.get(name) if isinstance(found, dict) else None
        return set(keywords(found))

    return values


def tagged(name: str) -> Callable[[Document], bool]:
    return lambda document: name in document.get("tags", [])


def attached(*names: str) -> Callable[[Document], bool]:
    return lambda document: bool(extensions(document) & set(names))


def groups(**chosen: Callable[[Document], bool]) -> Values:
    return lambda document: {name for name, holds in chosen.items() if holds(document)}


def everything(_: Document) -> bool:
    return True


def nothing(_: Document) -> set[str]:
    return set()


# Of each visualization: which messages it is about, and what it counts. Written without looking at its query.
EXPECTED: Mapping[str, tuple[Callable[[Document], bool], Values]] = {
    "messages": (everything, nothing),
    "alerts": (is_alert, nothing),
    "quarantined": (lambda d: action(d) == "quarantined", nothing),
    "released": (lambda d: action(d) == "released", nothing),
    "corrected": (
        lambda d: tagged("update")(d) and "final_disposition" in part(d, "change").get("fields", []),
        nothing,
    ),
    "reported": (lambda d: vendor(d).get("is_phish_submission") is True, nothing),
    "verdicts": (everything, of_vendor("final_disposition")),
    "delivery": (everything, of_vendor("delivery_status")),
    "actions": (is_alert, of("event", "action")),
    "categories": (is_alert, of_vendor("threat_categories")),
    "domains": (is_alert, of_vendor("sender_domain")),
    "recipients": (is_alert, of("email", "to", "address")),
    "findings": (is_alert, of("rule", "name")),
    "attachments": (
        everything,
        groups(
            **{
                "programs and scripts": attached(
                    "exe", "scr", "js", "vbs", "hta", "lnk", "msi", "jar", "ps1", "bat"
                ),
                "archives and disk images": attached("zip", "rar", "7z", "iso", "img", "vhd", "gz"),
                "web pages": attached("html", "htm", "shtml", "svg"),
                "documents": attached(
                    "pdf", "doc", "docx", "docm", "xls", "xlsx", "xlsm", "ppt", "pptx", "one"
                ),
            }
        ),
    ),
    "updates": (tagged("update"), lambda d: set(part(d, "change").get("fields", []))),
    "quality": (
        everything,
        groups(
            **{
                "updates of earlier events": tagged("update"),
                "left their search": lambda d: part(d, "change").get("gone") is True,
                "without a usable time": tagged("time-unknown"),
                "enrichment incomplete": tagged("enrichment-incomplete"),
            }
        ),
    ),
}


def hour(document: Document) -> int:
    """The start of its hour, in milliseconds."""
    time = datetime.fromisoformat(document["@timestamp"]).astimezone(UTC)
    return int(time.replace(minute=0, second=0, microsecond=0).timestamp() * 1000)


def figures(buckets: Any) -> dict[str, int]:
    """What a visualization shows of a list of buckets, or of named ones."""
    named = buckets.items() if isinstance(buckets, dict) else ((one["key"], one) for one in buckets)
    return {str(name): bucket["doc_count"] for name, bucket in named}


async def test_every_visualization_shows_the_figures_of_the_events(opensearch: OpenSearch) -> None:
    stored = await store_corpus(opensearch, STREAM)
    documents = [corpus()[place] for place in stored.values()]
    shown = visualizations()

    assert shown.keys() == EXPECTED.keys()
    for name, visualization in shown.items():
        holds, values = EXPECTED[name]
        chosen = [document for document in documents if holds(document)]
        answer = opensearch.json(f"/{STREAM}/_search", search_of(visualization, "1h"))
        assert 0 < len(chosen) == answer["hits"]["total"]["value"], name
        found = answer.get("aggregations", {})
        if "2" in found:
            hours = {one["key"]: one for one in found["2"]["buckets"]}
            assert {key: one["doc_count"] for key, one in hours.items()} == Counter(map(hour, chosen)), name
            for key, one in hours.items():
                agree(figures(one["3"]["buckets"]), values, [d for d in chosen if hour(d) == key], name)
        elif "3" in found:
            shares = figures(found["3"]["buckets"])
            assert any(shares.values()), name
            agree(shares, values, chosen, name)


def agree(shown: Mapping[str, int], values: Values, documents: list[Document], name: str) -> None:
    """Each figure is right, and none that is missing would be among the largest."""
    counted = Counter(value for document in documents for value in values(document))
    assert {value: counted[value] for value in shown} == shown, name
    missing = [count for value, count in counted.items() if value not in shown]
    assert not missing or (len(shown) == 10 and max(missing) <= min(shown.values())), name


def test_the_saved_objects_are_stored_and_found_again(opensearch: OpenSearch) -> None:
    """As the servers of the dashboards store them: one document each, its attributes below its type."""
    index = "/.kibana_content"
    kinds = {one["type"] for one in saved_objects()}
    reference = {"type": "nested", "properties": {key: {"type": "keyword"} for key in ("id", "name", "type")}}
    opensearch.json(
        index,
        {
            "mappings": {
                "dynamic": "strict",
                "properties": {
                    "type": {"type": "keyword"},
                    "references": reference,
                    "migrationVersion": {"type": "object", "dynamic": "true"},
                    "updated_at": {"type": "date"},
                    **{kind: {"dynamic": False, "properties": {"title": {"type": "text"}}} for kind in kinds},
                },
            }
        },
        method="PUT",
    )
    for one in saved_objects():
        document = {
            "type": one["type"],
            one["type"]: one["attributes"],
            "references": one["references"],
            "migrationVersion": one["migrationVersion"],
            "updated_at": "2026-11-30T00:00:00Z",
        }
        opensearch.json(f"{index}/_doc/{one['type']}:{one['id']}?refresh=true", document, method="PUT")

    find = {"size": 100, "query": {"term": {"type": "dashboard"}}}
    [hit] = opensearch.json(f"{index}/_search", find)["hits"]["hits"]
    for each in hit["_source"]["references"]:
        panel = opensearch.json(f"{index}/_doc/{each['type']}:{each['id']}")
        assert panel["found"]
        [pattern] = panel["_source"]["references"]
        assert opensearch.json(f"{index}/_doc/index-pattern:{pattern['id']}")["found"]
    opensearch.json(index, method="DELETE")


async def test_events_go_on_after_a_rollover_into_an_index_of_the_template(opensearch: OpenSearch) -> None:
    stream = "logs-cloudflare.email_security-rollover"
    settings = ElasticsearchSettings.model_validate({"url": opensearch.url, "data_stream": stream})
    output = settings.build("search", unobserved)
    first, second, third = ([one] for one in hostile_day("ecs", 400)[:3])

    await output.install()
    receipts = [await output.send(first)]
    opensearch.json(f"/{stream}/_rollover", {})
    receipts.append(await output.send(second))
    request = {"conditions": {"max_age": "30d", "max_size": "50gb"}}
    assert opensearch.json(f"/{stream}/_rollover", request)["rolled_over"] is False
    receipts.append(await output.send(third))
    await output.close()
    assert receipts == [Receipt()] * 3

    [about] = opensearch.json(f"/_data_stream/{stream}")["data_streams"]
    assert len(about["indices"]) == 2
    assert len(opensearch.documents(stream)) == 3
    newest = about["indices"][-1]["index_name"]
    properties = opensearch.json(f"/{newest}/_mapping")[newest]["mappings"]["properties"]
    expected = shipped()["template"]["mappings"]["properties"]
    assert properties["event"]["properties"] == expected["event"]["properties"]


async def test_a_cluster_without_the_plugin_says_so_before_anything_is_installed(
    opensearch: OpenSearch,
) -> None:
    settings = {"url": opensearch.url, "data_stream": "mail-lifecycle", "lifecycle": {}}
    output = ElasticsearchSettings.model_validate(settings).build("search", unobserved)

    with pytest.raises(Exception, match="no Index State Management here"):
        await output.install()
    await output.close()
    assert "mail-lifecycle" not in json.dumps(opensearch.json("/_index_template"))
