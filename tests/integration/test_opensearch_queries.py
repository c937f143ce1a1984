"""The queries of ``deploy/content`` find in a real OpenSearch exactly what the rules mean."""

from __future__ import annotations

import itertools
import json
from datetime import UTC, datetime

import pytest

from tests.deploy.test_content import BURSTS, EXPECTED, corpus
from tests.deploy.test_cookbook import recipes
from tests.integration.content_store import store_corpus
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


async def test_every_correlation_counts_what_its_rule_means(opensearch: OpenSearch) -> None:
    stream = f"{STREAM}-correlations"
    stored = await store_corpus(opensearch, stream)
    documents = [corpus()[place] for place in stored.values()]

    for title, request in json.loads(
        (CONTENT / "opensearch" / "correlations.json").read_text("utf-8")
    ).items():
        spans = opensearch.json(f"/{stream}/_search", request)["aggregations"]["in"]["buckets"]
        found = {
            (datetime.fromtimestamp(span["key"] / 1000, UTC), one["key"])
            for span in spans
            for one in span["by"]["buckets"]
        }
        assert found == BURSTS[title](documents), title


async def test_every_search_of_the_cookbook_finds_some_messages(opensearch: OpenSearch) -> None:
    stream = f"{STREAM}-cookbook"
    stored = await store_corpus(opensearch, stream)

    for title, query in recipes("lucene").items():
        body = {"query": {"query_string": {"query": query}}}
        found = opensearch.json(f"/{stream}/_count", body)["count"]
        assert 0 < found < len(stored), title


async def test_every_query_finds_what_its_rule_means(opensearch: OpenSearch) -> None:
    stored = await store_corpus(opensearch, STREAM)

    assert queries().keys() == EXPECTED.keys()
    for title, query in queries().items():
        body = {"size": 1000, "_source": False, "query": {"query_string": {"query": query}}}
        hits = opensearch.json(f"/{STREAM}/_search", body)["hits"]["hits"]
        found = {stored[hit["_id"]] for hit in hits}
        assert found == {place for place in stored.values() if EXPECTED[title](corpus()[place])}, title
