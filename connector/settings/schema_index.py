"""Index of the configuration's JSON Schema by key path: types, secrets, paths, known keys.

Used to resolve environment overrides, to coerce text, to recognise secrets before anything is shown, and to
suggest known keys.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable, Iterator, Sequence
from datetime import timedelta
from typing import Literal

from pydantic import BaseModel, TypeAdapter
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue, models_json_schema
from pydantic_core import core_schema

from connector import outputs
from connector.errors import ConfigurationError
from connector.model import JsonObject
from connector.outputs.common import OutputSettings
from connector.quantities import format_duration
from connector.settings.models import Settings
from connector.values import dataclass

_PATHS = frozenset({"path", "file-path", "directory-path"})


@dataclass(frozen=True, slots=True)
class SchemaNode:
    """The schema at one key path: alternatives with ``$ref`` resolved, and the shared definitions."""

    alternatives: tuple[JsonObject, ...]
    definitions: JsonObject

    @property
    def secret(self) -> bool:
        """Whether the value is a credential."""
        return any(one.get("writeOnly") for one in self.alternatives)

    @property
    def accepts_file(self) -> bool:
        """Whether the value may be read from a file: secrets, and URLs, which may contain one."""
        return self.secret or any(one.get("format") == "uri" for one in self.alternatives)

    @property
    def path(self) -> bool:
        """Whether the value is a file or directory name."""
        return any(one.get("format") in _PATHS for one in self.alternatives)

    @property
    def untyped(self) -> bool:
        """Whether any value is allowed."""
        return any(not one for one in self.alternatives)

    @property
    def literals(self) -> tuple[str, ...]:
        """The constants allowed."""
        words: list[str] = []
        for one in self.alternatives:
            words += [word for word in (one.get("const"), *one.get("enum", ())) if isinstance(word, str)]
        return tuple(words)

    def accepts(self, kind: str) -> bool:
        """Whether a value of JSON type *kind* is allowed."""
        return any(not one or one.get("type") == kind for one in self.alternatives)

    def only_text(self) -> bool:
        """Whether only text (or null) is allowed."""
        kinds = {one.get("type") for one in self.alternatives} - {"null"}
        return kinds == {"string"}

    def only_lists(self) -> bool:
        """Whether only lists (or constants, or null) are allowed."""
        kinds = {one.get("type") for one in self.alternatives if not one.keys() & {"const", "enum"}} - {
            "null"
        }
        return kinds == {"array"}

    def item(self) -> SchemaNode:
        """Schema of the items of a list."""
        lists = [one for one in self.alternatives if one.get("type") == "array"]
        return self._of([one["items"] for one in lists if "items" in one] or [{}])

    @property
    def known(self) -> tuple[str, ...]:
        """The keys defined by name."""
        return tuple(dict.fromkeys(key for one in self.alternatives for key in one.get("properties", ())))

    def open(self) -> bool:
        """Whether keys of the user's choice are allowed."""
        return any(_others(one) for one in self.alternatives)

    def child(self, key: str) -> SchemaNode | None:
        """Schema under *key*; None if the key is not allowed."""
        nodes: list[JsonObject] = []
        for one in self.alternatives:
            other = _others(one)
            if key in one.get("properties", ()):
                nodes.append(one["properties"][key])
            elif other:
                nodes.append(other if isinstance(other, dict) else {})
        return self._of(nodes) if nodes else None

    def of_type(self, name: object) -> SchemaNode:
        """Only the alternatives for the output type *name*, where alternatives differ by ``type``."""
        chosen = tuple(
            one for one in self.alternatives if one.get("properties", {}).get("type", {}).get("const") == name
        )
        return SchemaNode(chosen, self.definitions) if chosen else self

    def _of(self, schemas: Iterable[JsonObject]) -> SchemaNode:
        flat = tuple(one for schema in schemas for one in _flatten(schema, self.definitions))
        return SchemaNode(flat, self.definitions)


def settings_schema(kinds: Iterable[str] = (), *, with_defaults: bool = False) -> SchemaNode:
    """Schema of the configuration with the output types *kinds*.

    With all built-in types, too, where none or an unknown one is named: there it helps to suggest names.
    To write default values takes as long as all the rest, and nothing that reads a configuration needs them.
    """
    return _schema_node(tuple(settings_classes(kinds)), with_defaults=with_defaults)


@functools.cache
def _schema_node(output_classes: tuple[type[OutputSettings], ...], *, with_defaults: bool) -> SchemaNode:
    # Cached: generating the schema takes longer than the rest of loading, and the models do not change.
    schema = whole_schema(output_classes) if with_defaults else _schema_for_reading(output_classes)
    return SchemaNode((schema,), schema["$defs"])


class _WithoutDefaults(GenerateJsonSchema):
    def default_schema(self, schema: core_schema.WithDefaultSchema) -> JsonSchemaValue:
        """Describe the value alone."""
        return self.generate_inner(schema["schema"])


def _schema_for_reading(output_classes: Sequence[type[OutputSettings]]) -> JsonObject:
    """The same as ``whole_schema``, without default values and with long names of definitions.

    Both take twice as long as all the rest, and what reads a configuration needs neither.
    """
    generator = _WithoutDefaults()

    def described(model: type[BaseModel]) -> JsonObject:
        model.model_rebuild()
        return generator.generate_inner(model.__pydantic_core_schema__)

    models: list[type[BaseModel]] = [Settings, *output_classes]
    top, *choices = map(described, models)
    return _merged(top, choices, {str(name): one for name, one in generator.definitions.items()})


def settings_classes(kinds: Iterable[str]) -> list[type[OutputSettings]]:
    """The settings classes of *kinds*, and of the built-in types unless all of *kinds* are known."""
    types: dict[str, type[OutputSettings]] = {}
    unknown = False
    for kind in kinds:
        try:
            types[kind] = outputs.settings_class(kind)
        except ConfigurationError:
            unknown = True  # reported with its position when the output is validated
    if unknown or not types:
        types.update(outputs.BUILT_IN)
    return [types[kind] for kind in sorted(types)]


def whole_schema(output_classes: Sequence[type[OutputSettings]]) -> JsonObject:
    """JSON Schema of the configuration, with one alternative for each output type."""
    models: list[tuple[type[BaseModel], Literal["validation"]]] = [(Settings, "validation")]
    models += [(model, "validation") for model in output_classes]
    references, schema = models_json_schema(models, by_alias=True)
    top, *choices = [references[model] for model in models]
    whole = _merged(top, choices, schema["$defs"])
    _write_durations(whole)
    return whole


def _merged(top: JsonObject, choices: Sequence[JsonObject], definitions: JsonObject) -> JsonObject:
    """One schema of the references to the settings (*top*) and to the output types (*choices*)."""
    for choice in choices:
        body = definitions[choice["$ref"].rpartition("/")[2]]
        body["required"] = sorted({*body.get("required", ()), "type"})
    settings_schema = definitions.pop(top["$ref"].rpartition("/")[2])
    named: JsonObject = settings_schema["properties"]["outputs"]["patternProperties"]
    named.update({pattern: {"oneOf": choices} for pattern in named})
    return {**settings_schema, "$defs": definitions}


def _write_durations(schema: object) -> None:
    """Rewrite default durations from ISO 8601, as pydantic emits them, to the form that files use."""
    if isinstance(schema, dict):
        default = schema.get("default")
        if isinstance(default, str):
            schema["default"] = _duration(default)
        elif isinstance(default, list):
            schema["default"] = [_duration(one) for one in default]
    for inner in schema.values() if isinstance(schema, dict) else schema if isinstance(schema, list) else ():
        _write_durations(inner)


def _duration(text: object) -> object:
    if not isinstance(text, str) or not re.fullmatch(r"P(?=[0-9T])[0-9DTHMS.]+", text):
        return text
    return format_duration(_timedelta().validate_python(text))


@functools.cache
def _timedelta() -> TypeAdapter[timedelta]:
    return TypeAdapter(timedelta)


def _others(schema: JsonObject) -> JsonObject | bool:
    """Schema for keys of the user's choice: anything, nothing, or a schema."""
    by_pattern: JsonObject = schema.get("patternProperties", {})
    other: JsonObject | bool = next(iter(by_pattern.values()), schema.get("additionalProperties", not schema))
    return other


def _flatten(schema: JsonObject, definitions: JsonObject) -> Iterator[JsonObject]:
    if "$ref" in schema:
        yield from _flatten(definitions[schema["$ref"].rpartition("/")[2]], definitions)
        return
    choices = schema.get("anyOf") or schema.get("oneOf") or schema.get("allOf")
    if choices:
        # Pydantic describes an optional key beside its alternatives, not inside them.
        about = {"description": schema["description"]} if "description" in schema else {}
        for choice in choices:
            for one in _flatten(choice, definitions):
                yield {**one, **about} if one else one
        return
    yield schema
