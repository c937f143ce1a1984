"""Environment overrides: ``CONNECTOR_OUTPUTS__SIEM__TOKEN`` sets one value; ``..._FILE`` names a file."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path as FilePath

from connector.errors import Position
from connector.secret import Reference
from connector.settings.interpolation import UnresolvedReference, read_secret_file, read_variable
from connector.settings.models import Settings
from connector.settings.places import CONFIG, PREFIX
from connector.settings.problems import Path, PathProblem
from connector.settings.schema_index import SchemaNode
from connector.values import dataclass
from connector.yaml_nodes import Node, nearest

BETWEEN = str(Settings.model_config["env_nested_delimiter"])
_FILE = "_FILE"
# Kubernetes and Docker inject such variables for a service called "connector".
_SERVICE_LINK = re.compile(r"(?:_HOST|_PORT(?:_[A-Z0-9_]+)?)$")
_SERVICE_VALUE = re.compile(r"(?:tcp|udp|sctp)://\S+|[0-9a-f.:]+|tcp|udp|sctp", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class _Target:
    path: Path
    from_file: bool = False


def apply(node: Node, environ: Mapping[str, str], schema: SchemaNode) -> tuple[Node, list[PathProblem]]:
    """Apply every ``CONNECTOR_...`` variable to *node*; report those that match no setting."""
    problems: list[PathProblem] = []
    taken: dict[Path, str] = {}
    for name in sorted(environ, key=_types_first):
        if not name.upper().startswith(PREFIX) or name.upper() == CONFIG:
            continue
        target = _locate(name.upper()[len(PREFIX) :], node, schema, ())
        at = Position(name, 0, 0)
        if target is None:
            if not _is_service_link(name, environ[name]):
                problems.append(
                    PathProblem((), "this variable matches no setting", _hint(name, node, schema), at)
                )
            continue
        if target.path in taken:
            other = taken[target.path]
            problems.append(PathProblem((), f"{other} already sets this value", "keep one of the two", at))
            continue
        taken[target.path] = name
        try:
            leaf = Reference(value_reader(name, environ, from_file=target.from_file))
        except UnresolvedReference as error:
            problems.append(PathProblem(target.path, str(error), position=at))
            leaf = None
        node = set_node(node, target.path, Node(leaf, at))
    return node, problems


def suggest_names(problems: list[PathProblem], node: Node) -> list[PathProblem]:
    """Suggest the section name in the file where a variable uses a similar one: SEIM, siem."""
    return [_suggested(problem, node) for problem in problems]


def _suggested(problem: PathProblem, node: Node) -> PathProblem:
    named = node.value.get(str(problem.path[0])) if isinstance(node.value, dict) and problem.path else None
    if (
        named is None
        or len(problem.path) < len(("outputs", "siem"))
        or named.keys.get(str(problem.path[1])) is None
    ):
        return problem
    name = str(problem.path[1])
    written = [key for key, place in named.keys.items() if place.line]
    close = nearest(name, written) if not named.keys[name].line else None
    return replace(problem, hint=f"did you mean {close}?") if close else problem


def set_node(node: Node, path: Path, leaf: Node) -> Node:
    """Return *node* with *leaf* at *path*; mappings created on the way get the position of *leaf*."""
    if not path:
        return leaf
    key = str(path[0])
    values = node.value if isinstance(node.value, dict) else {}
    child = values.get(key, Node({}, leaf.position))
    changed = set_node(child, path[1:], leaf)
    place = node.keys.get(key, leaf.position) if len(path) > 1 and key in values else leaf.position
    return replace(node, value={**values, key: changed}, keys={**node.keys, key: place}, empty=False)


def _types_first(name: str) -> tuple[bool, str]:
    return not name.upper().endswith(f"{BETWEEN}TYPE"), name


def value_reader(name: str, environ: Mapping[str, str], *, from_file: bool) -> Callable[[], str]:
    """A reader for variable *name*, or for the file it names; it raises ``UnresolvedReference``."""
    if from_file:
        return lambda: read_secret_file(FilePath(read_variable(name, environ)))
    return lambda: read_variable(name, environ)


def _locate(rest: str, node: Node | None, schema: SchemaNode, path: Path) -> _Target | None:
    for key, child, child_schema in _children(node, schema):
        word = key.upper()
        if rest == word and _settable(child_schema):
            return _Target((*path, key))
        if rest == word + _FILE and child_schema.accepts_file:
            return _Target((*path, key), from_file=True)
        if rest.startswith(word + BETWEEN):
            location = _locate(rest[len(word + BETWEEN) :], child, child_schema, (*path, key))
            if location:
                return location
    return _locate_new(rest, schema, path) if schema.open() else None


def _locate_new(rest: str, schema: SchemaNode, path: Path) -> _Target | None:
    head, between, tail = rest.partition(BETWEEN)
    key = head.lower()
    inner = schema.child(key)
    if not key or inner is None:
        return None
    if between:
        return _locate(tail, None, inner, (*path, key))
    if inner.accepts_file and head.endswith(_FILE):
        return _Target((*path, key[: -len(_FILE)]), from_file=True)
    return _Target((*path, key)) if _settable(inner) else None


def _children(node: Node | None, schema: SchemaNode) -> list[tuple[str, Node | None, SchemaNode]]:
    """Children of a node: keys present and keys the schema allows, longest first."""
    there = node.value if node is not None and isinstance(node.value, dict) else {}
    chosen = schema.of_type(there["type"].value) if "type" in there else schema
    keys = sorted({*there, *chosen.known}, key=lambda key: (-len(key), key))
    candidates = ((key, there.get(key), chosen.child(key)) for key in keys)
    return [(key, child, inner) for key, child, inner in candidates if inner is not None]


def _settable(schema: SchemaNode) -> bool:
    return any(one.get("type") != "object" for one in schema.alternatives)


def _is_service_link(name: str, value: str) -> bool:
    return bool(_SERVICE_LINK.search(name) and BETWEEN not in name and _SERVICE_VALUE.fullmatch(value))


def _hint(name: str, node: Node, schema: SchemaNode) -> str:
    known = list(_names(node, schema, PREFIX))
    if any(one.startswith(name.upper() + BETWEEN) for one in known):
        return f"name a single value, with {BETWEEN} between keys"
    close = nearest(name.upper(), known)
    return f"did you mean {close}?" if close else "variable names follow the configuration keys"


def _names(node: Node | None, schema: SchemaNode, prefix: str) -> Iterator[str]:
    if prefix == PREFIX:
        yield CONFIG
    for key, child, inner in _children(node, schema):
        word = prefix + key.upper()
        if _settable(inner):
            yield word
        if inner.accepts_file:
            yield word + _FILE
        yield from _names(child, inner, word + BETWEEN)
