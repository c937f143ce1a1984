"""The queries of ``deploy/content`` find in a real OpenSearch exactly what the rules mean."""

from __future__ import annotations

import itertools
import json
import urllib.request

import pytest

from connector.outputs.elasticsearch.output import ElasticsearchSettings
from tests.deploy.test_content import EXPECTED, corpus
from tests.support.collectors import unobserved
from tests.support.opensearch import OpenSearch
from tools.content import CONTENT

pytestmark = pytest.mark.xdist_group("opensearch")  # one server, not one per worker

STREAM = "logs-cloudflare.email_security-queries"


def queries() -> dict[str, str]:
    """Return the query of each rule by its title: below a comment ``# TITLE (LEVEL)``."""
    lines = (CONTENT / "opensearch" / "queries.txt").read_text("utf-8").splitlines()
    return {
        above.removeprefix("# ").rpartition(" (")[0]: query
        for above, query in itertools.pairwise(lines)
        if above.startswith("# ") and query and not query.startswith("#")
    }


async def install_template(server: OpenSearch) -> None:
    settings = ElasticsearchSettings.model_validate({"url": server.url, "data_stream": STREAM})
    output = settings.build("search", unobserved)
    try:
        await output.install()
    finally:
        await output.close()


def index_corpus(server: OpenSearch) -> set[str]:
    """Store each document under its place in the corpus; return the places of those that were stored.

    The one with an empty field name, which is among the golden records, is refused by every version.
    """
    lines = b"".join(
        json.dumps(line).encode() + b"\n"
        for place, document in enumerate(corpus())
        for line in ({"create": {"_id": str(place)}}, document)
    )
    headers = {"content-type": "application/x-ndjson"}
    request = urllib.request.Request(f"{server.url}/{STREAM}/_bulk?refresh=true", lines, headers)
    with urllib.request.urlopen(request, timeout=60) as answer:
        items = [item["create"] for item in json.load(answer)["items"]]
    refused = [item["error"]["caused_by"]["reason"] for item in items if "error" in item]
    assert refused == ["field name cannot be an empty string"]
    return {item["_id"] for item in items if "error" not in item}


async def test_every_query_finds_what_its_rule_means(opensearch: OpenSearch) -> None:
    await install_template(opensearch)
    stored = index_corpus(opensearch)

    assert queries().keys() == EXPECTED.keys()
    for title, query in queries().items():
        body = {"size": 1000, "_source": False, "query": {"query_string": {"query": query}}}
        hits = opensearch.json(f"/{STREAM}/_search", body)["hits"]["hits"]
        expected = {str(place) for place, document in enumerate(corpus()) if EXPECTED[title](document)}
        assert {hit["_id"] for hit in hits} == expected & stored, title
