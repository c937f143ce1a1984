"""JSON Schema of the configuration file, for completion and validation in editors."""

from __future__ import annotations

from connector import outputs
from connector.model import JsonObject
from connector.settings.schema_index import settings_classes, whole_schema

_REFERENCE: JsonObject = {"type": "string", "pattern": r"\$\{(env|file):"}
_TYPED = frozenset({"integer", "number", "boolean"})
_NARROWING = frozenset({"pattern", "enum"})


def json_schema() -> JsonObject:
    """Schema of a configuration file; a ``${...}`` reference is allowed wherever plain text is not."""
    schema = whole_schema(settings_classes(outputs.names()))
    schema.pop("required", None)  # accounts, searches and outputs have defaults outside the file
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "email-connector configuration",
        **_admit_references({key: value for key, value in schema.items() if key != "title"}),
    }


def _admit_references(schema: JsonObject) -> JsonObject:
    changed: JsonObject = {key: _inner(value) for key, value in schema.items()}
    kind = schema.get("type")  # under "properties" it is a property of that name
    narrow = kind == "string" and schema.keys() & _NARROWING
    if not isinstance(kind, str) or not (kind in _TYPED or narrow):
        return changed
    outside: JsonObject = {
        key: changed.pop(key) for key in ("default", "description", "title") if key in changed
    }
    return {**outside, "anyOf": [changed, _REFERENCE]}


def _inner(value: object) -> object:
    if isinstance(value, dict):
        return _admit_references(value)
    if isinstance(value, list):
        return [_inner(one) for one in value]
    return value
