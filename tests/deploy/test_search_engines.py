"""Index templates for Elasticsearch and OpenSearch."""

from __future__ import annotations

import json

from tests.deploy.artefacts import DEPLOY


def test_opensearch_and_elasticsearch_get_the_same_template() -> None:
    elastic = json.loads((DEPLOY / "elastic" / "index-template.json").read_text())
    opensearch = json.loads((DEPLOY / "opensearch" / "index-template.json").read_text())

    assert opensearch == elastic, "copy it"


def test_the_template_uses_only_what_both_engines_know() -> None:
    text = (DEPLOY / "opensearch" / "index-template.json").read_text()

    for elastic_only in ("constant_keyword", "wildcard", "flattened", "match_only_text", "lifecycle", "mode"):
        assert f'"{elastic_only}"' not in text
