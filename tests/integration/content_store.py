"""The corpus of the detection content in a real OpenSearch, sent there by the connector's own output."""

from __future__ import annotations

from dataclasses import replace

from connector.outputs.elasticsearch.output import ElasticsearchSettings
from tests.deploy.test_content import corpus_events
from tests.support.collectors import unobserved
from tests.support.opensearch import OpenSearch

_BATCH = 200


async def store_corpus(server: OpenSearch, stream: str) -> dict[str, int]:
    """Install the template and send the corpus to *stream*; return ``_id`` to place for what was stored.

    The one with an empty field name, which is among the golden records, is refused by every version.
    """
    # Golden revisions are often of one message in one state; here each is an event of its own.
    numbered = [
        replace(event, revision=replace(event.revision, digest=str(place)))
        for place, event in enumerate(corpus_events())
    ]
    output = ElasticsearchSettings.model_validate({"url": server.url, "data_stream": stream}).build(
        "search", unobserved
    )
    stored: dict[str, int] = {}
    refused: list[str] = []
    try:
        await output.install()
        for start in range(0, len(numbered), _BATCH):
            batch = numbered[start : start + _BATCH]
            receipt = await output.send(batch)
            assert not receipt.retry
            assert not receipt.duplicates
            refused += receipt.rejected.values()
            stored |= {
                event.revision.identity: start + index
                for index, event in enumerate(batch)
                if index not in receipt.rejected
            }
    finally:
        await output.close()
    assert ["field name cannot be an empty string" in reason for reason in refused] == [True]
    server.request(f"/{stream}/_refresh", {})
    return stored
