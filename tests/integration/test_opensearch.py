"""A real OpenSearch stores what was sent, field by field, also when it is killed in between."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from connector.errors import Hold
from connector.interfaces import Probe
from connector.outputs.elasticsearch.output import ElasticsearchSettings
from tests.integration.killed_collector import Figures, deliver, figures
from tests.support.collectors import unobserved
from tests.support.opensearch import OpenSearch

pytestmark = pytest.mark.xdist_group("opensearch")  # one server, not one per worker

STREAM = "logs-cloudflare.email_security-default"


def event_id(payload: bytes) -> str:
    return str(json.loads(payload)["event"]["id"])


async def test_a_plain_index_is_not_taken_for_the_data_stream(opensearch: OpenSearch) -> None:
    name = "logs-cloudflare.email_security-plain"
    opensearch.json(f"/{name}/_doc", {"@timestamp": "2026-11-30T10:00:00Z"})
    settings = ElasticsearchSettings.model_validate({"url": opensearch.url, "data_stream": name})
    output = settings.build("search", unobserved)
    assert isinstance(output, Probe)

    try:
        with pytest.raises(Hold, match="is an index or alias, not a data stream"):
            await output.check()
    finally:
        await output.close()


def test_nothing_is_missing_or_doubled_when_it_is_killed(opensearch: OpenSearch, tmp_path: Path) -> None:
    output = {"type": "elasticsearch", "url": opensearch.url, "mapping": "ecs", "timeout": "20s"}

    run = deliver(tmp_path, opensearch, output, event_id, setup=True)
    hits = opensearch.documents(STREAM)
    stored = {hit["_source"]["event"]["id"]: hit for hit in hits}

    count = len(run.sent)
    assert figures(run, [hit["_source"]["event"]["id"] for hit in hits]) == Figures(count, count, 0, 0, 0)
    for identity, payload in run.sent.items():
        assert stored[identity]["_source"] == json.loads(payload)
    ignored = {field for hit in hits for field in hit.get("_ignored", [])}
    assert ignored == set()
