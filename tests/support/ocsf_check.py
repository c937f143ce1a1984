"""A reader of OCSF events of the class Email Activity, as strict as the published schema.

It reads ``ocsf-email.json``, which is not part of the project; tests skip where it is absent.
"""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

DATA = Path(__file__).parents[2].parent / "shared" / "data"
CLASS = "email_activity"
_OBSERVABLE_TYPES = frozenset((*range(51), 99))
"""Their numbers stand in the dictionary of the whole schema, of which the file holds a part."""

_OTHER = 99
_OPEN = frozenset(("object", "json_t"))
_INTEGERS = frozenset(("integer_t", "long_t", "timestamp_t", "port_t"))
_MILLISECONDS = range(10**11, 10**14)
"""What a time in milliseconds looks like; in seconds or microseconds it would be something else."""

Attributes = Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True)
class OcsfSchema:
    """Types, the attributes of the class and of objects, and what each object needs one of."""

    types: Mapping[str, Mapping[str, Any]]
    event: Attributes
    objects: Mapping[str, Mapping[str, Any]]


def load() -> OcsfSchema | None:
    """The schema, or ``None`` where its file is absent."""
    file = DATA / "ocsf-email.json"
    if not file.is_file():
        return None
    content = json.loads(file.read_text("utf-8"))
    return OcsfSchema(content["types"], content["classes"][CLASS]["attributes"], content["objects"])


def problems(event: Mapping[str, Any], schema: OcsfSchema) -> list[str]:
    """Everything that the schema would not have; empty for a good event."""
    profiles = event.get("metadata", {}).get("profiles", [])
    found = [
        f"{name} belongs to the profile {rule['profile']}, which is not named"
        for name, rule in schema.event.items()
        if name in event and "profile" in rule and rule["profile"] not in profiles
    ]
    found.extend(_object(event, "", schema.event, None, schema))
    if event.get("type_uid") != event.get("class_uid", 0) * 100 + event.get("activity_id", 0):
        found.append("type_uid is not made of class_uid and activity_id")
    if event.get("time") not in _MILLISECONDS:
        found.append(f"time: {event.get('time')!r} is no time in milliseconds")
    return found


def _object(
    value: Any,
    path: str,
    attributes: Attributes,
    constraints: Mapping[str, list[str]] | None,
    schema: OcsfSchema,
) -> Iterator[str]:
    if not isinstance(value, Mapping):
        yield f"{path} is no object"
        return
    prefix = f"{path}." if path else ""
    for name, rule in attributes.items():
        if rule["req"] == "required" and name not in value:
            yield f"{prefix}{name} is missing"
    for name in (constraints or {}).get("at_least_one", [])[:1]:
        if not set((constraints or {})["at_least_one"]) & set(value):
            yield f"{path} has neither {name} nor anything else of which it needs one"
    for name, item in value.items():
        where = f"{prefix}{name}"
        if item in (None, "", [], {}):
            yield f"{where} is empty"
        elif name not in attributes:
            yield f"{where} is no attribute"
        else:
            yield from _attribute(item, where, attributes[name], schema)
            yield from _named(value, name, item, where, attributes)


def _named(
    owner: Mapping[str, Any], name: str, item: Any, where: str, attributes: Attributes
) -> Iterator[str]:
    """A number that says *other* needs the word beside it; one that says something, the right word."""
    word = name.removesuffix("_id")
    if name == word or word not in attributes:
        return
    if item == _OTHER and word not in owner:
        yield f"{where} is {_OTHER} without {word}"
    caption = attributes[name].get("enum", {}).get(str(item))
    if caption is not None and item != _OTHER and owner.get(word, caption) != caption:
        yield f"{where} is {caption}, and {word} says {owner[word]}"


def _attribute(item: Any, where: str, rule: Mapping[str, Any], schema: OcsfSchema) -> Iterator[str]:
    if bool(rule.get("array")) != isinstance(item, list):
        yield f"{where} is {'no' if rule.get('array') else 'a'} list"
        return
    for single in item if isinstance(item, list) else [item]:
        yield from _single(single, where, rule, schema)


def _single(item: Any, where: str, rule: Mapping[str, Any], schema: OcsfSchema) -> Iterator[str]:
    kind = rule["type"]
    if "const" in rule and item != rule["const"]:
        yield f"{where} is {item!r}, not {rule['const']}"
    if kind in _OPEN:
        if kind == "object" and not isinstance(item, Mapping):
            yield f"{where} is no object"
    elif kind in schema.types:
        yield from _scalar(item, where, kind, schema)
        allowed = {int(number) for number in rule.get("enum", {})}
        if where == "observables.type_id":
            allowed = set(_OBSERVABLE_TYPES)
        if allowed and item not in allowed:
            yield f"{where}: {item!r} is not allowed"
    elif kind in schema.objects:
        inner = schema.objects[kind]
        yield from _object(item, where, inner["attributes"], inner.get("constraints"), schema)


def _scalar(item: Any, where: str, kind: str, schema: OcsfSchema) -> Iterator[str]:
    rule = schema.types[kind]
    if kind == "boolean_t":
        fits = isinstance(item, bool)
    elif kind in _INTEGERS:
        fits = isinstance(item, int) and not isinstance(item, bool)
    elif kind == "float_t":
        fits = isinstance(item, int | float) and not isinstance(item, bool)
    else:
        fits = isinstance(item, str)
    if not fits:
        yield f"{where}: {item!r} is no {kind}"
    elif isinstance(item, str) and "regex" in rule and re.search(rule["regex"], item) is None:
        yield f"{where}: {item!r} does not look like {kind}"
    elif isinstance(item, str) and len(item) > rule.get("max_len", len(item)):
        yield f"{where}: {item!r} is too long for {kind}"
