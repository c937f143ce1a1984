"""The comparisons of a match: one value with one operand.

Equality is exact, except for verdicts; ``contains`` and ``matches`` ignore case.
"""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Callable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from functools import lru_cache
from types import MappingProxyType
from typing import TypeAlias

from connector.formats.memo import Memo
from connector.mapping.functions.values import Value, is_finite_number, unequal

Comparison: TypeAlias = Callable[[Value, Value], bool]


def any_holds(compare: Comparison, value: Value, operands: Sequence[Value]) -> bool:
    """Whether *compare* holds for any element of *value* with any of *operands*."""
    for element in value if type(value) is list else (value,):
        for operand in operands:
            if compare(element, operand):
                return True
    return False


def any_is_text(value: Value, texts: AbstractSet[str]) -> bool:
    """Whether any element of *value* is one of *texts*."""
    if type(value) is not list:
        return type(value) is str and value in texts
    return any(type(element) is str and element in texts for element in value)


def glob_predicate(patterns: Sequence[str]) -> Callable[[Value], bool]:
    """The function that says whether any element of a value matches any of *patterns*."""
    glob = glob_match(patterns)
    return _on_texts(lambda text: glob(text) is not None)


def glob_match(patterns: Sequence[str]) -> Callable[[str], object]:
    """The function that gives ``None`` for a text that matches none of *patterns*."""
    return re.compile("|".join(map(fnmatch.translate, patterns)), re.IGNORECASE).match


def substring_predicate(texts: Sequence[str]) -> Callable[[Value], bool]:
    """The function that says whether any element of a value contains any of *texts*."""
    folded = [text.casefold() for text in texts]

    def found(text: str) -> bool:
        whole = text.casefold()
        return any(part in whole for part in folded)

    return _on_texts(found)


def equality_predicate(texts: Sequence[str]) -> Callable[[Value], bool]:
    """The function that says whether any element of a value is one of *texts* in whatever case."""
    folded = frozenset(text.casefold() for text in texts)
    return _on_texts(lambda text: text.casefold() in folded)


def _on_texts(test: Callable[[str], bool]) -> Callable[[Value], bool]:
    known = Memo(test, most=1024)

    def holding(value: Value) -> bool:
        if type(value) is str:
            return known[value]
        if type(value) is list:
            for element in value:
                if type(element) is str and known[element]:
                    return True
        return False

    return holding


def equal(value: Value, operand: Value) -> bool:
    """Equal; ``null`` equals no value."""
    return not unequal(value, operand)


def equal_ignoring_case(value: Value, operand: Value) -> bool:
    """Equal; two texts in whatever case."""
    if type(value) is str and type(operand) is str:
        return value.casefold() == operand.casefold()
    return equal(value, operand)


def at_least(value: Value, operand: Value) -> bool:
    """Not less; numbers with numbers, texts (and so dates) with texts."""
    return _comparable(value, operand) and bool(value >= operand)


def at_most(value: Value, operand: Value) -> bool:
    """Not more."""
    return _comparable(value, operand) and bool(value <= operand)


def contains(value: Value, operand: Value) -> bool:
    """Whether the text *operand* is part of the text *value*."""
    if type(value) is not str or type(operand) is not str:
        return False
    return operand.casefold() in value.casefold()


def matches(value: Value, pattern: Value) -> bool:
    """Whether the whole text *value* fits a pattern of ``*``, ``?`` and ``[abc]``."""
    return type(value) is str and _glob(pattern).match(value) is not None


@lru_cache(maxsize=512)
def _glob(pattern: str) -> re.Pattern[str]:
    return re.compile(fnmatch.translate(pattern), re.IGNORECASE)


def _comparable(value: Value, operand: Value) -> bool:
    if type(value) is str:
        return type(operand) is str
    return is_finite_number(value) and is_finite_number(operand)


COMPARISONS: Mapping[str, Comparison] = MappingProxyType(
    {
        "is": equal,
        "is_verdict": equal_ignoring_case,
        "gte": at_least,
        "lte": at_most,
        "contains": contains,
        "matches": matches,
    }
)
"""Comparisons by their word; ``exists`` is not among them, it compares nothing."""
