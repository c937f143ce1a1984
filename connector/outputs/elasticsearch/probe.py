"""What can be told of a cluster before the first event: who it is, where events would go, who may write."""

from __future__ import annotations

from fnmatch import fnmatchcase

from connector.errors import Hold
from connector.model import JsonObject
from connector.net.transport import Response
from connector.outputs.elasticsearch.node import Node, document

_NOT_FOUND = 404
_FORBIDDEN = 403
_TEMPLATES = "index_templates.index_template"
_LIST = (
    "/_index_template?filter_path=index_templates.name,"
    f"{_TEMPLATES}.index_patterns,{_TEMPLATES}.priority,{_TEMPLATES}.data_stream"
)
_SETUP = "install deploy/elastic/index-template.json before the first event"


async def inspect(node: Node, target: str, *, stream: bool) -> str:
    """Say in one line what *node* tells of itself and of *target*; raises like ``Output.open``."""
    product = await _product(node)
    place = await _place(node, target, stream=stream)
    rights = await _rights(node, target, creates="will be made" in place)
    return f"{node.origin} is {product}; {place}{rights}"


async def _product(node: Node) -> str:
    answer = await node.request("GET", "/")
    if answer.status == _FORBIDDEN:
        return "a cluster that keeps its version to itself"
    _accept(node, answer)
    about = document(answer)
    version = about.get("version")
    if not isinstance(version, dict) or "number" not in version:
        raise Hold(f"{node.describe(answer, 'no word of a cluster')}; url does not lead to one")
    name = {"opensearch": "OpenSearch"}.get(str(version.get("distribution")), "Elasticsearch")
    return f"{name} {_plain(version['number'])}"


async def _place(node: Node, target: str, *, stream: bool) -> str:
    """Where events would go; a place that would be made up by guessing is an error."""
    kind = "data stream" if stream else "index"
    if stream:
        answer = await node.request("GET", f"/_data_stream/{target}?filter_path=data_streams.name")
        if answer.ok:
            return f"the data stream {target} exists"
        if answer.status == _FORBIDDEN:
            return f"whether the data stream {target} exists is not told to these credentials"
        if answer.status != _NOT_FOUND:
            _accept(node, answer)
    answer = await node.request("HEAD", f"/{target}")
    if answer.ok and stream:
        raise Hold(
            f"{node.origin}: {target} is an index or alias and no data stream; write it as index, or "
            "delete it so that the data stream can be made"
        )
    if answer.ok:
        return f"the index {target} exists"
    if answer.status == _FORBIDDEN:
        return f"whether the {kind} {target} exists is not told to these credentials"
    if answer.status != _NOT_FOUND:
        _accept(node, answer)
    return await _template(node, target, stream=stream)


async def _template(node: Node, target: str, *, stream: bool) -> str:
    answer = await node.request("GET", _LIST)
    kind = "data stream" if stream else "index"
    if answer.status == _FORBIDDEN:
        return f"the {kind} {target} does not exist yet, and templates are not told to these credentials"
    _accept(node, answer)
    best = _best(document(answer), target)
    if best is None:
        raise Hold(
            f"{node.origin}: there is neither the {kind} {target} nor an index template for it, so types "
            f"would be guessed; {_SETUP}"
        )
    name, makes_stream = best
    if makes_stream != stream:
        made = "a data stream" if makes_stream else "an index"
        raise Hold(f"{node.origin}: the index template {name} would make {made} of {target}; {_SETUP}")
    return f"the {kind} {target} will be made by the index template {name}"


def _best(listed: JsonObject, target: str) -> tuple[str, bool] | None:
    """The template that the cluster would take for *target*, and whether it makes data streams."""
    found: list[tuple[int, str, bool]] = []
    templates = listed.get("index_templates")
    for one in templates if isinstance(templates, list) else []:
        inner = one.get("index_template", {}) if isinstance(one, dict) else {}
        patterns = inner.get("index_patterns", [])
        if any(fnmatchcase(target, str(pattern)) for pattern in patterns):
            priority = inner.get("priority")
            rank = priority if isinstance(priority, int) else 0
            found.append((rank, _plain(one.get("name")), "data_stream" in inner))
    return max(found)[1:] if found else None


async def _rights(node: Node, target: str, *, creates: bool) -> str:
    """What the credentials lack; nothing where the cluster has no such question."""
    wanted = ["create_doc", *(["auto_configure"] if creates else [])]
    asked = {"index": [{"names": [target], "privileges": wanted}]}
    answer = await node.request("POST", "/_security/user/_has_privileges", asked)
    index = document(answer).get("index") if answer.ok else None
    held = index.get(target) if isinstance(index, dict) else None
    if not isinstance(held, dict):
        return ""
    missing = [privilege for privilege in wanted if held.get(privilege) is False]
    if missing:
        raise Hold(f"{node.origin}: the credentials lack {' and '.join(missing)} on {target}; grant it")
    return "; the credentials may write to it"


def _accept(node: Node, answer: Response) -> None:
    error = node.classify(answer)
    if error is not None:
        raise error


def _plain(value: object) -> str:
    return "".join(letter for letter in str(value) if letter.isprintable())[:100]
