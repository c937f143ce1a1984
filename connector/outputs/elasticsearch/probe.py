"""Checks of a cluster before the first event: version, target, index template, privileges."""

from __future__ import annotations

from fnmatch import fnmatchcase

from connector.errors import Hold
from connector.model import JsonObject
from connector.net.transport import Response
from connector.outputs.elasticsearch.node import ClusterNode, document

_NOT_FOUND = 404
_FORBIDDEN = 403
_TEMPLATES = "index_templates.index_template"
_LIST = (
    "/_index_template?filter_path=index_templates.name,"
    f"{_TEMPLATES}.index_patterns,{_TEMPLATES}.priority,{_TEMPLATES}.data_stream"
)
_SETUP = "run `email-connector check --setup`, or install deploy/elastic/index-template.json, first"


class UnsuitableTarget(Hold):
    """Events would go to a place of the wrong kind, or to one with guessed field types."""


async def inspect(node: ClusterNode, target: str, *, stream: bool) -> str:
    """Describe *node* and *target* in one line; raises like ``Output.open``."""
    product = await _product(node)
    place = await check_target(node, target, stream=stream)
    privileges = await _privileges(node, target, creates="will be created" in place)
    return f"{node.origin} is {product}; {place}{privileges}"


async def _product(node: ClusterNode) -> str:
    answer = await node.request("GET", "/")
    if answer.status == _FORBIDDEN:
        return "a cluster of unknown version (no permission to read it)"
    _accept(node, answer)
    about = document(answer)
    version = about.get("version")
    if not isinstance(version, dict) or "number" not in version:
        raise Hold(f"{node.describe(answer, 'not a response of a cluster')}; correct url")
    name = {"opensearch": "OpenSearch"}.get(str(version.get("distribution")), "Elasticsearch")
    return f"{name} {_plain(version['number'])}"


async def is_opensearch(node: ClusterNode) -> bool:
    """Whether the cluster is OpenSearch; raises like ``Output.open``."""
    return (await _product(node)).startswith("OpenSearch")


async def check_target(node: ClusterNode, target: str, *, stream: bool) -> str:
    """Describe the target; raises ``UnsuitableTarget``, and otherwise like ``Output.open``."""
    kind = "data stream" if stream else "index"
    if stream:
        answer = await node.request("GET", f"/_data_stream/{target}?filter_path=data_streams.name")
        # OpenSearch answers with an empty list where an index has the name.
        if answer.ok and document(answer).get("data_streams"):
            return f"the data stream {target} exists"
        if answer.status == _FORBIDDEN:
            return f"no permission to see whether the data stream {target} exists"
        if answer.status != _NOT_FOUND:
            _accept(node, answer)
    answer = await node.request("HEAD", f"/{target}")
    if answer.ok and stream:
        raise UnsuitableTarget(
            f"{node.origin}: {target} is an index or alias, not a data stream; set it as index, or delete it "
            "so that the data stream can be created"
        )
    if answer.ok:
        return f"the index {target} exists"
    if answer.status == _FORBIDDEN:
        return f"no permission to see whether the {kind} {target} exists"
    if answer.status != _NOT_FOUND:
        _accept(node, answer)
    return await _template(node, target, stream=stream)


async def _template(node: ClusterNode, target: str, *, stream: bool) -> str:
    answer = await node.request("GET", _LIST)
    kind = "data stream" if stream else "index"
    if answer.status == _FORBIDDEN:
        return f"the {kind} {target} does not exist yet, and there is no permission to read index templates"
    _accept(node, answer)
    best = _best(document(answer), target)
    if best is None:
        raise UnsuitableTarget(
            f"{node.origin}: neither the {kind} {target} nor an index template for it exists, so the cluster "
            f"would guess field types; {_SETUP}"
        )
    name, makes_stream = best
    if makes_stream != stream:
        wrong = "a data stream" if makes_stream else "an index"
        raise UnsuitableTarget(
            f"{node.origin}: the index template {name} would create {target} as {wrong}; {_SETUP}"
        )
    return f"the {kind} {target} will be created from the index template {name}"


def _best(listed: JsonObject, target: str) -> tuple[str, bool] | None:
    """The template that the cluster would use for *target*, and whether it is for data streams."""
    matches: list[tuple[int, str, bool]] = []
    templates = listed.get("index_templates")
    for entry in templates if isinstance(templates, list) else []:
        inner = entry.get("index_template", {}) if isinstance(entry, dict) else {}
        patterns = inner.get("index_patterns", [])
        if any(fnmatchcase(target, str(pattern)) for pattern in patterns):
            priority = inner.get("priority")
            rank = priority if isinstance(priority, int) else 0
            matches.append((rank, _plain(entry.get("name")), "data_stream" in inner))
    return max(matches)[1:] if matches else None


async def _privileges(node: ClusterNode, target: str, *, creates: bool) -> str:
    """Whether the credentials may write; empty if the cluster does not have this API."""
    required = ["create_doc", *(["auto_configure"] if creates else [])]
    query = {"index": [{"names": [target], "privileges": required}]}
    answer = await node.request("POST", "/_security/user/_has_privileges", query)
    index = document(answer).get("index") if answer.ok else None
    granted = index.get(target) if isinstance(index, dict) else None
    if not isinstance(granted, dict):
        return ""
    missing = [privilege for privilege in required if granted.get(privilege) is False]
    if missing:
        raise Hold(f"{node.origin}: the credentials lack {' and '.join(missing)} on {target}; grant it")
    return "; the credentials may write to it"


def _accept(node: ClusterNode, answer: Response) -> None:
    error = node.classify(answer)
    if error is not None:
        raise error


def _plain(value: object) -> str:
    return "".join(letter for letter in str(value) if letter.isprintable())[:100]
