"""The index template that ships with the connector, adapted to an output's data stream or index."""

from __future__ import annotations

from dataclasses import dataclass
from fnmatch import fnmatchcase
from importlib.resources import files

import orjson

from connector.model import JsonObject

_FILE = "index-template.json"
_NAME = "logs-cloudflare.email_security"


@dataclass(frozen=True, slots=True)
class IndexTemplate:
    """A template and its name in the cluster."""

    name: str
    body: JsonObject


def shipped() -> JsonObject:
    """The template as it ships, for Elasticsearch and OpenSearch alike."""
    template: JsonObject = orjson.loads(files(__package__ or "").joinpath(_FILE).read_bytes())
    return template


def template_for(target: str, *, stream: bool) -> IndexTemplate:
    """Return the template for *target*, a data stream or an index.

    A target that the shipped pattern covers shares the shipped template; others get one of their own.
    """
    body = shipped()
    if stream and any(fnmatchcase(target, pattern) for pattern in body["index_patterns"]):
        return IndexTemplate(_NAME, body)
    body["index_patterns"] = [target]
    if not stream:
        del body["data_stream"]
    return IndexTemplate(f"email-connector-{target}", body)
