"""Values of the mapping language: which are absent, how a path is read, how a value becomes text.

Values are JSON as a decoder made it: text, numbers, booleans, lists and objects. ``None``, ``""``,
``[]`` and ``{}`` are no value; everywhere below *no value* is ``None``.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

from connector.model import JsonObject

Value: TypeAlias = Any
"""A piece of a record's body, or something made of it."""

Losses: TypeAlias = list[tuple[str, Value]]
"""What could not be kept, and why; an empty reason means that only the spelling was lost, not the value."""

ValueFunction: TypeAlias = Callable[[Value, Losses], Value]
"""A function of the language with its argument filled in."""

DEPTH = 100
"""Levels of nesting that are kept; encoders of JSON give up soon after."""

TOO_DEEP = "[nested too deep]"

NUMBERS: frozenset[type] = frozenset((int, float, bool))
CONTAINERS: frozenset[type] = frozenset((dict, list))


def or_none(value: Value) -> Value:
    """*value*, or ``None`` where it is no value; a list loses its elements that are none."""
    kind = type(value)
    if kind is str or kind is dict:
        return value or None
    if kind is list:
        if all(value):
            return value or None
        return [item for item in value if item or type(item) in NUMBERS] or None
    return value


def absent(value: Value) -> bool:
    """Whether *value* is no value."""
    return not value and type(value) not in NUMBERS


def walk(value: Value, path: Sequence[str], depth: int = 0) -> Value:
    """What *path* leads to from *value*; a list on the way is walked element by element."""
    for index, step in enumerate(path):
        if type(value) is dict:
            value = value.get(step)
        elif type(value) is list and depth < DEPTH:
            return walk_list(value, path[index:], depth + 1)
        else:
            return None
    return or_none(value)


def walk_list(elements: list[Value], path: Sequence[str], depth: int) -> Value:
    """What *path* leads to from each of *elements*, in one list."""
    items: list[Value] = []
    step = path[0] if len(path) == 1 else None
    for element in elements:
        if step is not None and type(element) is dict:
            value = element.get(step)
            if value is None:
                continue
            value = or_none(value)
        else:
            value = walk(element, path, depth)
        if type(value) is list:
            items.extend(value)
        elif value is not None:
            items.append(value)
    return items or None


def map_elements(function: ValueFunction, values: list[Value], lost: Losses) -> Value:
    """A scalar function on each element; elements that become no value are left out."""
    items = []
    for value in values:
        result = function(value, lost)
        if result is not None:
            items.append(result)
    return items or None


def map_unless_unchanged(
    unchanged: Callable[[str], object], function: ValueFunction, values: list[Value], lost: Losses
) -> Value:
    """The same for a function that leaves a text as it is if *unchanged* is true for it."""
    for value in values:
        if type(value) is not str or not unchanged(value):
            return map_elements(function, values, lost)
    return values


def append_flat(items: list[Value], value: Value) -> None:
    """Add *value* to *items*, or its elements if it is a list."""
    if type(value) is list:
        items.extend(value)
    elif value is not None:
        items.append(value)


def flatten(values: Sequence[Value]) -> Value:
    """One list of all that *values* hold, lists among them opened; ``None`` when nothing is left."""
    items: list[Value] = []
    for value in values:
        if type(value) is list:
            items.extend(value)
        elif value is not None:
            items.append(value)
    return items or None


def prune(value: Value, depth: int = 0) -> Value:
    """*value* without anything in it that is no value."""
    kind = type(value)
    if kind is list:
        return _pruned_list(value, depth) if depth < DEPTH else TOO_DEEP
    if kind is dict:
        return _pruned_object(value, depth) if depth < DEPTH else TOO_DEEP
    return None if absent(value) else value


def _pruned_object(value: JsonObject, depth: int) -> Value:
    for item in value.values():
        if type(item) in CONTAINERS or not (item or type(item) in NUMBERS):
            break
    else:
        return value or None
    kept: JsonObject = {}
    for key, item in value.items():
        inner = prune(item, depth + 1) if type(item) in CONTAINERS else item
        if inner or type(inner) in NUMBERS:
            kept[key] = inner
    return kept or None


def _pruned_list(values: list[Value], depth: int) -> Value:
    return [inner for item in values if (inner := prune(item, depth + 1)) is not None] or None


def all_text(values: list[Value]) -> bool:
    """Whether *values* are texts, none of them empty; what lists of a record are, nearly always."""
    for value in values:
        if type(value) is not str or not value:
            return False
    return bool(values)


def text(value: Value) -> str:
    """*value* as a person writes it; lists with commas, objects as compact JSON."""
    kind = type(value)
    if kind is str:
        return str(value)
    if value is None:
        return ""
    if kind is bool:
        return "true" if value else "false"
    if kind is list:
        parts = (compact(item) if type(item) is list else text(item) for item in value)
        return ",".join(part for part in parts if part)
    if kind is dict:
        return compact(value)
    return _number_text(value)


def compact(value: Value) -> str:
    """*value* as JSON without blanks and without what is no value."""
    pruned = prune(value)
    try:
        return json.dumps(pruned, ensure_ascii=False, separators=(",", ":"), sort_keys=True) if pruned else ""
    except ValueError:
        return TOO_DEEP


def _number_text(value: float) -> str:
    try:
        return str(value)
    except ValueError:  # the interpreter writes no integer of more than some thousand digits
        return hex(int(value))


def hashable(value: Value) -> Value:
    """A hashable key of *value*; 1 and true have different ones."""
    kind = type(value)
    if kind is str:
        return value
    if kind is dict or kind is list:
        return (kind, compact(value))
    return (kind is bool, value)


def unequal(left: Value, right: Value) -> bool:
    """Whether two scalars differ; a boolean equals no number."""
    return bool(left != right) or (type(left) is bool) != (type(right) is bool)


def is_finite_number(value: Value) -> bool:
    """Whether *value* is a finite number and no boolean."""
    return type(value) is int or (type(value) is float and -math.inf < value < math.inf)
