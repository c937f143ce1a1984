"""Functions on a whole list; a single value is taken as a list of one."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from connector.mapping.functions.values import (
    Losses,
    Value,
    ValueFunction,
    all_text,
    flatten,
    hashable,
    is_finite_number,
    or_none,
    text,
    walk,
)

Predicate = Callable[[Value], bool]


def as_list(value: Value) -> list[Value]:
    """*value* itself where it is a list, else a list of it."""
    return value if type(value) is list else [value]


def unique(value: Value, lost: Losses) -> Value:
    """Every value once, in the order of first sight."""
    del lost
    if type(value) is not list or len(value) == 1:
        return value
    return list(dict.fromkeys(value)) if all_text(value) else _unique(value)


def _unique(values: list[Value]) -> list[Value]:
    kept: dict[Value, Value] = {}
    for item in values:
        kept.setdefault(hashable(item), item)
    return list(kept.values())


def first(value: Value, lost: Losses) -> Value:
    """The first element."""
    del lost
    return or_none(value[0]) if type(value) is list else value


def last(value: Value, lost: Losses) -> Value:
    """The last element."""
    del lost
    return or_none(value[-1]) if type(value) is list else value


def count(value: Value, lost: Losses) -> Value:
    """How many elements."""
    del lost
    return len(value) if type(value) is list else 1


def largest(value: Value, lost: Losses) -> Value:
    """The largest number."""
    return max(_numbers(value, lost), default=None)


def smallest(value: Value, lost: Losses) -> Value:
    """The smallest number."""
    return min(_numbers(value, lost), default=None)


def largest_by(path: Sequence[str]) -> ValueFunction:
    """The element whose number at a path is largest; the earlier of two equal ones."""

    def choose(value: Value, lost: Losses) -> Value:
        del lost
        best, best_item = None, None
        for item in as_list(value):
            rank = walk(item, path)
            if is_finite_number(rank) and (best is None or rank > best):
                best, best_item = rank, item
        return best_item

    return choose


def join(separator: str) -> ValueFunction:
    """One text of all elements; of an object, its values."""

    def joined(value: Value, lost: Losses) -> Value:
        del lost
        if type(value) is str:
            return value
        parts = [item if type(item) is str else _part(item) for item in as_list(value)]
        return separator.join([part for part in parts if part] if "" in parts else parts) or None

    return joined


def _part(item: Value) -> str:
    if type(item) is float:
        return str(item)
    if type(item) is dict:
        return " ".join(part for value in item.values() if (part := text(value)))
    return text(item)


def pick(value: Value, holds: Predicate) -> Value:
    """The first element for which the match holds."""
    for item in as_list(value):
        if holds(item):
            return or_none(item)
    return None


def only(value: Value, holds: Predicate) -> Value:
    """The elements for which the match holds."""
    return [item for item in as_list(value) if holds(item)] or None


def each(value: Value, build: Callable[[Value], Value]) -> Value:
    """What is made of each element; elements that come out empty are left out."""
    return flatten([build(item) for item in as_list(value)])


def _numbers(value: Value, lost: Losses) -> list[Value]:
    numbers = list(filter(is_finite_number, as_list(value)))
    if not numbers:
        lost.append(("not a number", value))
    return numbers
