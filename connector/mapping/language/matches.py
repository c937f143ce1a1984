"""Parses matches, the conditions of ``when``, ``pick`` and ``only``, from YAML nodes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

from connector.mapping.language.grammar import ELEMENT, All, AnyOf, Constant, Match, Not, Operand, Ref, Test
from connector.mapping.language.refs import (
    ELEMENT_SCOPE,
    RECORD_SCOPE,
    Scope,
    config_error,
    expect_list,
    parse_ref,
)
from connector.mapping.schemas.fields import VERDICT_FIELDS
from connector.yaml_nodes import Node, suggestion

DISPOSITION = "disposition"
"""The derived value of the prelude that holds a message's verdict."""

COMPARISONS = ("gte", "lte", "contains", "matches", "exists")


def parse_match(node: Node, scope: Scope = RECORD_SCOPE) -> Match:
    """``{REF: TEST, ...}``, and ``any``, ``all`` and ``not`` around such."""
    if not isinstance(node.value, dict) or not node.value:
        raise config_error("expected a map of paths to expected values", node.position,
                    "such as {final_disposition: MALICIOUS}")  # fmt: skip
    parts: list[Match] = []
    for key, value in node.value.items():
        if key in _COMBINATIONS:
            parts.append(_COMBINATIONS[key](value, scope))
        else:
            parts.append(_test(parse_ref(key, node.keys[key], scope), value, scope))
    return parts[0] if len(parts) == 1 else All(tuple(parts))


def parse_selection(node: Node, *, alone: bool) -> Match:
    """The match of ``pick`` and ``only``; with *alone*, a bare TEST is one of the element itself."""
    compares = isinstance(node.value, dict) and bool(node.value) and set(node.value) <= set(COMPARISONS)
    if alone and (compares or not isinstance(node.value, dict)):
        return _test(Ref(ELEMENT, (), node.position), node, ELEMENT_SCOPE)
    return parse_match(node, ELEMENT_SCOPE)


def _any(node: Node, scope: Scope) -> Match:
    return AnyOf(tuple(parse_match(item, scope) for item in expect_list(node, "any")))


def _all(node: Node, scope: Scope) -> Match:
    return All(tuple(parse_match(item, scope) for item in expect_list(node, "all")))


def _not(node: Node, scope: Scope) -> Match:
    return Not(parse_match(node, scope))


_COMBINATIONS: Mapping[str, Callable[[Node, Scope], Match]] = MappingProxyType(
    {"any": _any, "all": _all, "not": _not}
)


def _test(ref: Ref, node: Node, scope: Scope) -> Match:
    if isinstance(node.value, dict):
        return _comparisons(ref, node, scope)
    return Test(ref, "is_verdict" if _is_verdict(ref) else "is", _operands(node, scope))


def _is_verdict(ref: Ref) -> bool:
    """Whether *ref* reads a verdict, which is compared without case."""
    return ref.path[-1] in VERDICT_FIELDS if ref.path else ref.root == DISPOSITION


def _comparisons(ref: Ref, node: Node, scope: Scope) -> Match:
    assert isinstance(node.value, dict)  # noqa: S101, the caller looked
    if not node.value:
        raise config_error("empty test", node.position, f"expected one of {', '.join(COMPARISONS)}")
    tests: list[Match] = []
    for key, value in node.value.items():
        if key not in COMPARISONS:
            raise config_error(f"there is no comparison {key}", node.keys[key], suggestion(key, COMPARISONS))
        tests.append(Test(ref, key, _comparand(key, value, scope)))
    return tests[0] if len(tests) == 1 else All(tuple(tests))


def _comparand(comparison: str, node: Node, scope: Scope) -> tuple[Operand, ...]:
    if comparison == "exists" and not isinstance(node.value, bool):
        raise config_error("exists: expected true or false", node.position)
    if comparison in ("gte", "lte") and (isinstance(node.value, bool | list) or node.value is None):
        raise config_error(f"{comparison}: expected a number, a date or text", node.position)
    operands = _operands(node, scope)
    if comparison == "matches" and any(isinstance(operand, Ref) for operand in operands):
        raise config_error("matches: expected a fixed pattern", node.position, "contains accepts a $name")
    texts = all(isinstance(operand, Ref) or isinstance(operand.value, str) for operand in operands)
    if comparison in ("contains", "matches") and not texts:
        raise config_error(f"{comparison}: expected text", node.position, "put it in quotes")
    return operands


def _operands(node: Node, scope: Scope) -> tuple[Operand, ...]:
    if isinstance(node.value, list):
        return tuple(_operand(item, scope) for item in expect_list(node, "a list of values"))
    return (_operand(node, scope),)


def _operand(node: Node, scope: Scope) -> Operand:
    value = node.value
    if isinstance(value, dict | list):
        raise config_error("expected a single value to compare with", node.position)
    if isinstance(value, str) and value.startswith("$$"):
        return Constant(value[1:])
    if isinstance(value, str) and value.startswith("$"):
        return parse_ref(value, node.position, scope)
    return Constant(None if value == "" else value)  # "" is no value
