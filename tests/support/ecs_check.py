"""A reader of ECS documents: fields, types, lists and allowed values against the published schema.

It reads ``ecs-fields.json``, which is not part of the project; tests skip where it is absent.
"""

import ipaddress
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Any

DATA = Path(__file__).parents[2].parent / "shared" / "data"
_FREE = ("cloudflare",)
_WHOLE = frozenset({"long", "integer", "short", "byte"})
_NUMBERS = frozenset({"float", "double", "scaled_float", "half_float"})
_TEXTS = frozenset({"keyword", "constant_keyword", "wildcard", "text", "match_only_text"})
_OBJECTS = frozenset({"object", "nested", "flattened"})


@dataclass(frozen=True)
class EcsSchema:
    """The published fields and which ``event.type`` goes with which ``event.category``."""

    fields: Mapping[str, Mapping[str, Any]]
    types_of: Mapping[str, list[str]]

    @cached_property
    def groups(self) -> frozenset[str]:
        """Names that hold fields below them."""
        return frozenset(
            name[:index] for name in self.fields for index in range(len(name)) if name[index] == "."
        )


def load() -> EcsSchema | None:
    """The schema, or ``None`` where its file is absent."""
    file = DATA / "ecs-fields.json"
    if not file.is_file():
        return None
    content = json.loads(file.read_text("utf-8"))
    return EcsSchema(content["fields"], content["event_category_expected_event_types"])


def problems(document: Mapping[str, Any], schema: EcsSchema) -> list[str]:
    """Everything that the schema would not have; empty for a good document."""
    found = [f"{name} is missing" for name in ("@timestamp", "ecs") if name not in document]
    found.extend(_walk(document, "", schema))
    event = document.get("event", {})
    expected = {kind for category in event.get("category", []) for kind in schema.types_of.get(category, [])}
    found.extend(
        f"event.type {kind} goes with no category" for kind in event.get("type", []) if kind not in expected
    )
    return found


def _walk(value: Mapping[str, Any], prefix: str, schema: EcsSchema) -> Iterator[str]:
    for key, item in value.items():
        name = f"{prefix}{key}"
        if "." in key:
            yield f"{name}: a dot inside a name, objects must be nested"
        elif item in (None, "", [], {}):
            yield f"{name} is empty"
        elif name in _FREE:
            continue
        elif name in schema.fields:
            yield from _field(name, item, schema)
        elif name in schema.groups and isinstance(item, Mapping):
            yield from _walk(item, f"{name}.", schema)
        else:
            yield f"{name} is no ECS field"


def _field(name: str, value: Any, schema: EcsSchema) -> Iterator[str]:
    rule = schema.fields[name]
    if bool(rule.get("array")) != isinstance(value, list):
        yield f"{name} is {'not ' if rule.get('array') else ''}a list"
    for item in value if isinstance(value, list) else [value]:
        if rule["type"] in _OBJECTS and isinstance(item, Mapping) and rule["type"] == "nested":
            yield from _walk(item, f"{name}.", schema)
        elif not _fits(item, rule["type"]):
            yield f"{name}: {item!r} is no {rule['type']}"
        elif rule.get("allowed_values") and item not in rule["allowed_values"]:
            yield f"{name}: {item!r} is not allowed"


def _fits(value: Any, kind: str) -> bool:
    if kind in _TEXTS:
        return isinstance(value, str)
    if kind in _OBJECTS:
        return isinstance(value, Mapping)
    if kind == "boolean":
        return isinstance(value, bool)
    if kind in _WHOLE:
        return isinstance(value, int) and not isinstance(value, bool) and -(2**63) <= value < 2**63
    if kind in _NUMBERS:
        return isinstance(value, int | float) and not isinstance(value, bool)
    return isinstance(value, str) and _reads_as(value, kind)


def _reads_as(value: str, kind: str) -> bool:
    try:
        if kind == "date":
            return datetime.fromisoformat(value).tzinfo is not None
        if kind == "ip":
            return bool(ipaddress.ip_address(value))
    except ValueError:
        return False
    return False
