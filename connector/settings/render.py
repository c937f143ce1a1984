"""Render the effective configuration as YAML: every value with its origin, secrets masked."""

from __future__ import annotations

import re
from collections.abc import Iterator

import yaml

from connector.errors import Position
from connector.model import JsonObject
from connector.secret import MASK, Reference
from connector.settings.loading import Loaded
from connector.settings.problems import Path
from connector.yaml_nodes import Node

_COLUMN = 50
"""Column at which the origin of a value is written: behind most values."""

_CREDENTIALS = re.compile(r"(://)[^/@\s]+@")


def render(loaded: Loaded) -> str:
    """Write the configuration as YAML, defaults included, with the origin of each value as a comment.

    Credentials are masked. Values from references are shown as the reference.
    """
    values = loaded.settings.model_dump(mode="json", by_alias=True)
    head = f"# {loaded.file or 'no file'}\n"
    return head + "\n".join(_lines(values, loaded.node, (), "")) + "\n"


def _lines(value: JsonObject, node: Node, path: Path, indent: str) -> Iterator[str]:
    for key, one in sorted(value.items(), key=lambda item: item[0] != "type"):
        name = _flow(key)
        here: Path = (*path, key)
        if isinstance(one, dict) and one:
            yield f"{indent}{name}:"
            yield from _lines(one, node, here, f"{indent}  ")
        else:
            text = f"{indent}{name}: {_flow(_shown(one, _at(node, here)))}"
            yield f"{text:<{_COLUMN}}  # {_origin(node, here)}"


def _flow(value: object) -> str:
    text = yaml.safe_dump(value, default_flow_style=True, allow_unicode=True, width=10**6, sort_keys=False)
    return text.removesuffix("\n").removesuffix("\n...")


def _shown(value: object, node: Node | None) -> object:
    """*value*, with values from references shown as the reference."""
    hidden = isinstance(value, str) and MASK in value
    if node is not None and isinstance(node.value, Reference) and node.value.written and not hidden:
        return node.value.written
    if isinstance(value, list):
        return [_shown(one, _at(node, (index,))) for index, one in enumerate(value)]
    if isinstance(value, dict):
        return {key: _shown(one, _at(node, (key,))) for key, one in value.items()}
    return _CREDENTIALS.sub(rf"\1{MASK}@", value) if isinstance(value, str) else value


def _at(node: Node | None, path: Path) -> Node | None:
    for step in path:
        inner = node.value if node is not None else None
        if isinstance(inner, dict) and isinstance(step, str):
            node = inner.get(step)
        elif isinstance(inner, list) and isinstance(step, int) and step < len(inner):
            node = inner[step]
        else:
            return None
    return node


def _origin(node: Node, path: Path) -> Position | str:
    there = _at(node, path)
    return there.position if there is not None else "default"
