"""Finds rules that are never reached, fallbacks that are never used and matches that never hold."""

from __future__ import annotations

from collections.abc import Iterator

from connector.errors import Problem
from connector.mapping.engine.match_check import check_match
from connector.mapping.functions.values import or_none
from connector.mapping.language.grammar import (
    AllOf,
    Constant,
    FirstOf,
    From,
    Rule,
    TableRef,
    Template,
    rule_matches,
    rule_parts,
)
from connector.mapping.language.pack import Pack, rules
from connector.mapping.language.unparse import unparse
from connector.yaml_nodes import suggestion

_ALWAYS_PROVIDED = frozenset({"account", "collected", "revision", "identity"})
_TOTAL_FUNCTIONS = frozenset(
    {"lower", "upper", "prefix", "suffix", "text", "unique", "first", "last", "count", "table"}
)
"""Functions that make a value of every value; a table does if it has an entry for everything."""


def unreachable(pack: Pack) -> Iterator[Problem]:
    """Every unreachable part of *pack*."""
    for (section, name), place in pack.useless_deletes.items():
        known = getattr(pack, section)
        yield Problem(
            f"null removes nothing: there is no {name} in {section}", place, suggestion(name, known)
        )
    for _, rule in rules(pack):
        for part in rule_parts(rule):
            yield from _unreachable_parts(part, pack)
        for match in rule_matches(rule):
            checked = check_match(match, pack)  # lint reports unknown fields for every reference of a rule
            yield from (*checked.errors, *checked.unlikely)


def _unreachable_parts(rule: Rule, pack: Pack) -> Iterator[Problem]:
    if isinstance(rule.source, FirstOf):
        for before, after in zip(rule.source.rules, rule.source.rules[1:], strict=False):
            if _always(before, pack):
                yield Problem(
                    "this rule is never reached",
                    after.position,
                    f"{unparse(before)} before it always has a value",
                )
                break
    bare = Rule(rule.source, rule.position, rule.calls, rule.when)
    if rule.fallback is not None and isinstance(rule.source, Constant) and _always(bare, pack):
        yield Problem(
            "this else is never used", rule.fallback.position, "the rule always has a value; add a when"
        )


def _always(rule: Rule, pack: Pack, trail: tuple[str, ...] = ()) -> bool:
    """Whether *rule* has a value for every record."""
    if rule.fallback is not None and _always(rule.fallback, pack, trail):
        return True
    if rule.when is not None or not all(
        _always_returns(call.name, call.argument, pack) for call in rule.calls
    ):
        return False
    match rule.source:
        case Constant(value):
            return or_none(value) is not None
        case FirstOf(parts) | AllOf(parts):
            return any(_always(part, pack, trail) for part in parts)
        case Template(parts):
            return not any(not isinstance(part, str) for part in parts) and bool(parts)
        case From(ref):
            known = ref.root in pack.derive and not ref.path and ref.root not in trail
            provided = ref.root in _ALWAYS_PROVIDED and not (ref.root != "account" and ref.path)
            return provided or (known and _always(pack.derive[ref.root], pack, (*trail, ref.root)))


def _always_returns(name: str, argument: object, pack: Pack) -> bool:
    if name not in _TOTAL_FUNCTIONS:
        return False
    if not isinstance(argument, TableRef):
        return True
    entries = pack.tables[argument.name].entries
    return "*" in entries and all(or_none(value) is not None for value in entries.values())
