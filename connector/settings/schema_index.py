"""What may stand where in a configuration, read from the JSON Schema of its models.

One description serves four readers: variables find the value that they name, texts become the type
wanted, secrets are known before anything is shown, and unknown keys get a suggestion.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Literal

from pydantic import BaseModel, TypeAdapter
from pydantic.json_schema import models_json_schema

from connector import outputs
from connector.errors import ConfigurationError
from connector.model import JsonObject
from connector.outputs.common import OutputSettings
from connector.quantities import format_duration
from connector.settings.models import Settings

_PATHS = frozenset({"path", "file-path", "directory-path"})


@dataclass(frozen=True, slots=True)
class SchemaNode:
    """What may stand at one place: alternatives without references, and the definitions they use."""

    alternatives: tuple[JsonObject, ...]
    definitions: JsonObject

    @property
    def secret(self) -> bool:
        """Whether a credential belongs here."""
        return any(one.get("writeOnly") for one in self.alternatives)

    @property
    def accepts_file(self) -> bool:
        """Whether the value may come from a file of its own: secrets, and URLs, which may hold one."""
        return self.secret or any(one.get("format") == "uri" for one in self.alternatives)

    @property
    def path(self) -> bool:
        """Whether the name of a file or directory belongs here."""
        return any(one.get("format") in _PATHS for one in self.alternatives)

    @property
    def untyped(self) -> bool:
        """Whether anything may stand here."""
        return any(not one for one in self.alternatives)

    @property
    def literals(self) -> tuple[str, ...]:
        """The fixed texts that may stand here."""
        found: list[str] = []
        for one in self.alternatives:
            found += [word for word in (one.get("const"), *one.get("enum", ())) if isinstance(word, str)]
        return tuple(found)

    def accepts(self, kind: str) -> bool:
        """Whether a value of JSON's type *kind* may stand here."""
        return any(not one or one.get("type") == kind for one in self.alternatives)

    def only_text(self) -> bool:
        """Whether nothing but text (or null) may stand here."""
        kinds = {one.get("type") for one in self.alternatives} - {"null"}
        return kinds == {"string"}

    def only_lists(self) -> bool:
        """Whether nothing but lists (or fixed texts, or null) may stand here."""
        kinds = {one.get("type") for one in self.alternatives if not one.keys() & {"const", "enum"}} - {
            "null"
        }
        return kinds == {"array"}

    def item(self) -> SchemaNode:
        """What may stand in a list here."""
        lists = [one for one in self.alternatives if one.get("type") == "array"]
        return self._of([one["items"] for one in lists if "items" in one] or [{}])

    @property
    def known(self) -> tuple[str, ...]:
        """The keys with a name of their own that may stand here."""
        return tuple(dict.fromkeys(key for one in self.alternatives for key in one.get("properties", ())))

    def open(self) -> bool:
        """Whether keys of the user's choice may stand here."""
        return any(_others(one) for one in self.alternatives)

    def child(self, key: str) -> SchemaNode | None:
        """What may stand under *key*; None when nothing may."""
        found: list[JsonObject] = []
        for one in self.alternatives:
            other = _others(one)
            if key in one.get("properties", ()):
                found.append(one["properties"][key])
            elif other:
                found.append(other if isinstance(other, dict) else {})
        return self._of(found) if found else None

    def of_type(self, name: object) -> SchemaNode:
        """Only the alternatives for the output type *name*, where alternatives differ by ``type``."""
        chosen = tuple(
            one for one in self.alternatives if one.get("properties", {}).get("type", {}).get("const") == name
        )
        return SchemaNode(chosen, self.definitions) if chosen else self

    def _of(self, schemas: Iterable[JsonObject]) -> SchemaNode:
        flat = tuple(one for schema in schemas for one in _flatten(schema, self.definitions))
        return SchemaNode(flat, self.definitions)


def settings_schema(kinds: Iterable[str] = ()) -> SchemaNode:
    """The shape of a whole configuration with the built-in output types, and those among *kinds*."""
    return _schema_node(tuple(settings_classes(kinds)))


@functools.cache
def _schema_node(output_classes: tuple[type[OutputSettings], ...]) -> SchemaNode:
    # Describing the models takes longer than everything else in loading, and they never change.
    schema = whole_schema(output_classes)
    return SchemaNode((schema,), schema["$defs"])


def settings_classes(kinds: Iterable[str]) -> list[type[OutputSettings]]:
    """The settings classes of the built-in output types, and of the plugins among *kinds* that load."""
    found = dict(outputs.BUILT_IN)
    for kind in kinds:
        try:
            found.setdefault(kind, outputs.settings_class(kind))
        except ConfigurationError:
            continue  # told where the output is validated, with its place
    return [found[kind] for kind in sorted(found)]


def whole_schema(output_classes: Sequence[type[OutputSettings]]) -> JsonObject:
    """JSON Schema of the configuration, with one alternative for each output type."""
    models: list[tuple[type[BaseModel], Literal["validation"]]] = [(Settings, "validation")]
    models += [(model, "validation") for model in output_classes]
    references, schema = models_json_schema(models, by_alias=True)
    definitions: JsonObject = schema["$defs"]
    top = references[Settings, "validation"]["$ref"].rpartition("/")[2]
    choices = [references[model, "validation"] for model in output_classes]
    for choice in choices:
        body = definitions[choice["$ref"].rpartition("/")[2]]
        body["required"] = sorted({*body.get("required", ()), "type"})
    settings_schema = definitions.pop(top)
    named: JsonObject = settings_schema["properties"]["outputs"]["patternProperties"]
    named.update({pattern: {"oneOf": choices} for pattern in named})
    schema = {**settings_schema, "$defs": definitions}
    _write_durations(schema)
    return schema


def _write_durations(schema: object) -> None:
    """Write defaults as people do: the library writes durations as ISO 8601, which no file takes."""
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
    return format_duration(TypeAdapter(timedelta).validate_python(text))


def _others(schema: JsonObject) -> JsonObject | bool:
    """What may stand under keys of the user's choice: anything, nothing, or what a schema says."""
    by_pattern: JsonObject = schema.get("patternProperties", {})
    other: JsonObject | bool = next(iter(by_pattern.values()), schema.get("additionalProperties", not schema))
    return other


def _flatten(schema: JsonObject, definitions: JsonObject) -> Iterator[JsonObject]:
    if "$ref" in schema:
        yield from _flatten(definitions[schema["$ref"].rpartition("/")[2]], definitions)
        return
    choices = schema.get("anyOf") or schema.get("oneOf") or schema.get("allOf")
    if choices:
        for choice in choices:
            yield from _flatten(choice, definitions)
        return
    yield schema
