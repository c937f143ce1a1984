"""Saved objects of the dashboards, and the search that each visualization sends."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from tests.deploy.artefacts import DEPLOY

SavedObject = Mapping[str, Any]


def saved_objects() -> list[SavedObject]:
    """Every object of the file that people import."""
    lines = (DEPLOY / "opensearch" / "dashboards.ndjson").read_text("utf-8").splitlines()
    return [json.loads(line) for line in lines]


def visualizations() -> dict[str, SavedObject]:
    """The visualizations by the last part of their ids."""
    return {one["id"].rpartition("-")[2]: one for one in saved_objects() if one["type"] == "visualization"}


def search_of(visualization: SavedObject, interval: str) -> dict[str, Any]:
    """The request that a visualization makes; *interval* is what ``auto`` becomes."""
    attributes = visualization["attributes"]
    source = json.loads(attributes["kibanaSavedObjectMeta"]["searchSourceJSON"])
    assert source["query"]["language"] == "lucene"
    body: dict[str, Any] = {
        "size": 0,
        "track_total_hits": True,
        "query": {"query_string": {"query": source["query"]["query"], "analyze_wildcard": True}},
    }
    into = body
    for one in json.loads(attributes["visState"])["aggs"]:
        if one["type"] != "count":
            into["aggs"] = {one["id"]: _aggregation(one["type"], one["params"], interval)}
            into = into["aggs"][one["id"]]
    return body


def _aggregation(kind: str, params: Mapping[str, Any], interval: str) -> dict[str, Any]:
    if kind == "terms":
        assert (params["orderBy"], params["order"]) == ("1", "desc")
        return {"terms": {"field": params["field"], "size": params["size"], "order": {"_count": "desc"}}}
    if kind == "date_histogram":
        return {
            "date_histogram": {
                "field": params["field"],
                "fixed_interval": interval,
                "min_doc_count": params["min_doc_count"],
            }
        }
    assert kind == "filters", kind
    filters = {
        one["label"]: {"query_string": {"query": one["input"]["query"], "analyze_wildcard": True}}
        for one in params["filters"]
    }
    return {"filters": {"filters": filters}}
