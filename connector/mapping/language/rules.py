"""Parses rules, functions (``as``) and templates from YAML nodes; errors have a position and a suggestion."""

from __future__ import annotations

import re
from collections.abc import Mapping

from connector.errors import Position
from connector.mapping.functions.registry import FUNCTIONS, Function
from connector.mapping.language.grammar import (
    AllOf,
    Argument,
    Call,
    Constant,
    FirstOf,
    From,
    Ref,
    Rule,
    Source,
    TableRef,
    Template,
)
from connector.mapping.language.matches import parse_match, parse_selection
from connector.mapping.language.refs import (
    ELEMENT_SCOPE,
    RECORD_SCOPE,
    Scope,
    config_error,
    expect_list,
    expect_mapping,
    parse_ref,
)
from connector.yaml_nodes import Node, suggestion

SOURCES = ("from", "first_of", "all_of", "const", "template")
RULE_KEYS = (*SOURCES, "as", "when", "else")

_HOLE = re.compile(r"\{\{|\}\}|\{([^{}]*)\}|[{}]")


def parse_rule(node: Node, scope: Scope = RECORD_SCOPE) -> Rule:
    """A reference, or a map with one source."""
    if isinstance(node.value, str):
        return Rule(From(parse_ref(node.value, node.position, scope)), node.position)
    if not isinstance(node.value, dict):
        raise config_error("expected a path, or a map with one source", node.position,
                    f"for a fixed value write {{const: {node.plain()}}}")  # fmt: skip
    rule = node.value
    for key in rule:
        if key not in RULE_KEYS:
            raise config_error(f"{key} is not part of a rule", node.keys[key], suggestion(key, RULE_KEYS))
    return Rule(
        _source(node, scope),
        node.position,
        calls=_calls(rule["as"]) if "as" in rule else (),
        when=parse_match(rule["when"], scope) if "when" in rule else None,
        fallback=_fallback(rule["else"], scope) if "else" in rule else None,
    )


def _source(node: Node, scope: Scope) -> Source:
    rule = expect_mapping(node, "a rule")
    given = [key for key in SOURCES if key in rule]
    if len(given) != 1:
        got = " and ".join(given) if given else "none"
        raise config_error(f"expected exactly one source, got {got}", node.position,
                    f"sources are {', '.join(SOURCES)}")  # fmt: skip
    key, value = given[0], rule[given[0]]
    if key == "const":
        return Constant(value.plain())
    if key == "first_of":
        return FirstOf(tuple(parse_rule(item, scope) for item in expect_list(value, key)))
    if key == "all_of":
        return AllOf(tuple(parse_rule(item, scope) for item in expect_list(value, key)))
    if not isinstance(value.value, str):
        raise config_error(f"{key}: expected text", value.position)
    if key == "template":
        return parse_template(value.value, value.position, scope)
    return From(parse_ref(value.value, value.position, scope))


def _fallback(node: Node, scope: Scope) -> Rule:
    """A rule where it is a map with a source, a ``$name``, or else a fixed value."""
    if isinstance(node.value, dict):
        return parse_rule(node, scope)
    if isinstance(node.value, str) and node.value.startswith("$"):
        if not node.value.startswith("$$"):
            return Rule(From(parse_ref(node.value, node.position, scope)), node.position)
        return Rule(Constant(node.value[1:]), node.position)
    return Rule(Constant(node.plain()), node.position)


def parse_template(text: str, position: Position, scope: Scope = RECORD_SCOPE) -> Template:
    """Text with ``{path}`` and ``{$name}`` in it; ``{{`` and ``}}`` stand for braces."""
    parts: list[str | Ref] = []
    literal, end = "", 0
    for hole in _HOLE.finditer(text):
        literal += text[end : hole.start()]
        end = hole.end()
        if hole[0] in ("{{", "}}"):
            literal += hole[0][0]
        elif hole[1] is None:
            raise config_error(
                f"a single {hole[0]} in a template", position, f"write {hole[0] * 2} for the character"
            )
        else:
            parts.extend(([literal] if literal else []) + [parse_ref(hole[1].strip(), position, scope)])
            literal = ""
    literal += text[end:]
    return Template((*parts, literal) if literal else tuple(parts))


def _calls(node: Node) -> tuple[Call, ...]:
    nodes = expect_list(node, "as") if isinstance(node.value, list) else [node]
    return tuple(_call(item) for item in nodes)


def _call(node: Node) -> Call:
    if isinstance(node.value, str):
        function = _function(node.value, node.position)
        if function.argument_kind != "nothing":
            raise config_error(
                f"{node.value} requires an argument", node.position, f"write {{{node.value}: ...}}"
            )
        return Call(node.value, None, node.position)
    if not isinstance(node.value, dict) or len(node.value) != 1:
        raise config_error("expected a function name, or one name with its argument", node.position,
                    'such as lower, or {join: ", "}')  # fmt: skip
    [(name, argument)] = node.value.items()
    function = _function(name, node.keys[name])
    return Call(name, _argument(name, function, argument), node.keys[name])


def _function(name: str, position: Position) -> Function:
    if name not in FUNCTIONS:
        raise config_error(f"there is no function {name}", position, suggestion(name, FUNCTIONS))
    return FUNCTIONS[name]


def _argument(name: str, function: Function, node: Node) -> Argument:
    if function.argument_kind == "nothing":
        raise config_error(f"{name} takes no argument", node.position, f"write {name} alone")
    if function.argument_kind == "length":
        if isinstance(node.value, bool) or not isinstance(node.value, int) or node.value < 1:
            raise config_error(f"{name}: expected a whole number of at least 1", node.position)
        return node.value
    if function.argument_kind == "match":
        return parse_selection(node, alone=name == "only")
    if function.argument_kind == "rules":
        return _element_rules(node)
    if not isinstance(node.value, str):
        raise config_error(f"{name}: expected text", node.position, "put it in quotes")
    if function.argument_kind == "table":
        return TableRef(node.value, node.position)
    if function.argument_kind == "path":
        return parse_ref(node.value, node.position, ELEMENT_SCOPE).path
    return node.value


def _element_rules(node: Node) -> Mapping[str, Rule]:
    rules = {key: parse_rule(item, ELEMENT_SCOPE) for key, item in expect_mapping(node, "each").items()}
    if not rules:
        raise config_error("each: expected at least one key with a rule", node.position)
    clash = conflicting_name(rules)
    if clash:
        raise config_error(f"{clash} cannot be both a value and an object", node.keys[clash])
    return rules


def conflicting_name(names: Mapping[str, object]) -> str | None:
    """A dotted name that another one continues, if there is one."""
    branches = {name[:index] for name in names for index, char in enumerate(name) if char == "."}
    return next((name for name in names if name in branches), None)
