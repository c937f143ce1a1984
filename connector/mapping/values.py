"""Values of the mapping language: what is none, how a path reads, how a value becomes text.

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

Lost: TypeAlias = list[tuple[str, Value]]
"""What could not be kept, and why; an empty reason is no misfit, only a loss of form."""

Applied: TypeAlias = Callable[[Value, Lost], Value]
"""A function of the language with its argument filled in."""

DEPTH = 100
"""Levels of nesting that are kept; encoders of JSON give up soon after."""

TOO_DEEP = "[nested too deep]"

_NUMBERS: frozenset[type] = frozenset((int, float, bool))
_CONTAINERS: frozenset[type] = frozenset((dict, list))


def some(value: Value) -> Value:
    """*value*, or ``None`` where it is no value; a list loses its elements that are none."""
    kind = value.__class__
    if kind is str or kind is dict:
        return value or None
    if kind is list:
        if all(value):
            return value or None
        return [item for item in value if item or item.__class__ in _NUMBERS] or None
    return value


def absent(value: Value) -> bool:
    """Whether *value* is no value."""
    return not value and value.__class__ not in _NUMBERS


def walk(value: Value, path: Sequence[str], depth: int = 0) -> Value:
    """What *path* leads to from *value*; a list on the way is walked element by element."""
    for index, step in enumerate(path):
        if value.__class__ is dict:
            value = value.get(step)
        elif value.__class__ is list and depth < DEPTH:
            return _through(value, path[index:], depth + 1)
        else:
            return None
    return some(value)


def _through(elements: list[Value], path: Sequence[str], depth: int) -> Value:
    found: list[Value] = []
    step = path[0] if len(path) == 1 else None
    for element in elements:
        if step is not None and element.__class__ is dict:
            value = element.get(step)
            if value.__class__ is str and value:
                found.append(value)
                continue
            value = some(value)
        else:
            value = walk(element, path, depth)
        if value.__class__ is list:
            found.extend(value)
        elif value is not None:
            found.append(value)
    return found or None


def over(function: Applied, values: list[Value], lost: Lost) -> Value:
    """A scalar function on each element; elements that become no value are left out."""
    made = [function(value, lost) for value in values]
    return [value for value in made if value is not None] or None


def gather(values: Sequence[Value]) -> Value:
    """One list of all that *values* hold, lists among them opened; ``None`` when nothing is left."""
    found: list[Value] = []
    for value in values:
        if value.__class__ is list:
            found.extend(value)
        elif value is not None:
            found.append(value)
    return found or None


def prune(value: Value, depth: int = 0) -> Value:
    """*value* without anything in it that is no value; *value* itself where there is nothing such."""
    kind = value.__class__
    if kind is str:
        return value or None
    if kind is list:
        return _pruned_list(value, depth + 1) if depth < DEPTH else TOO_DEEP
    if kind is dict:
        return _pruned_object(value, depth + 1) if depth < DEPTH else TOO_DEEP
    return value


def _pruned_object(value: JsonObject, depth: int) -> Value:
    kept = value.copy()  # copying whole and taking out is several times faster than putting in
    prune_entries(value, kept, depth)
    return kept or None


def prune_entries(made: JsonObject, kept: JsonObject, depth: int = 0) -> None:
    """Take out of *kept*, a copy of *made* or a part of it, what is no value, and prune the rest."""
    for key, item in made.items():
        if item:
            if item.__class__ in _CONTAINERS and key in kept:
                inner = prune(item, depth)
                if inner is None:
                    del kept[key]
                elif inner is not item:
                    kept[key] = inner
        elif item.__class__ not in _NUMBERS:
            kept.pop(key, None)


def _pruned_list(values: list[Value], depth: int) -> Value:
    if values and values[0].__class__ is str:
        try:
            if "".join(values) and "" not in values:  # a list of texts, nearly always
                return values
        except TypeError:
            pass
    return [inner for item in values if (inner := prune(item, depth)) is not None] or None


def text(value: Value) -> str:
    """*value* as a person writes it; lists with commas, objects as compact JSON."""
    kind = value.__class__
    if kind is str:
        return str(value)
    if value is None:
        return ""
    if kind is bool:
        return "true" if value else "false"
    if kind is list:
        parts = (compact(item) if item.__class__ is list else text(item) for item in value)
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


def mark(value: Value) -> Value:
    """Something hashable that tells *value* from others; 1 and true differ."""
    kind = value.__class__
    if kind is str:
        return value
    if kind is dict or kind is list:
        return (kind, compact(value))
    return (kind is bool, value)


def unequal(left: Value, right: Value) -> bool:
    """Whether two scalars differ; a boolean equals no number."""
    return bool(left != right) or (left.__class__ is bool) != (right.__class__ is bool)


def plain_number(value: Value) -> bool:
    """Whether *value* is a finite number and no boolean."""
    return value.__class__ is int or (value.__class__ is float and -math.inf < value < math.inf)
