"""Rules and parts of rules that can never count, and tests that can never hold."""

from __future__ import annotations

from collections.abc import Iterator

from connector.errors import Problem
from connector.mapping.functions.values import or_none
from connector.mapping.language.grammar import (
    ELEMENT,
    RECORD,
    All,
    AllOf,
    Constant,
    FirstOf,
    From,
    Match,
    Not,
    Rule,
    TableRef,
    Template,
    Test,
    rule_matches,
    rule_parts,
)
from connector.mapping.language.pack import Pack, rules
from connector.mapping.language.unparse import unparse
from connector.mapping.schemas.fields import RECORD_VALUES
from connector.yaml_nodes import suggestion

_ALWAYS_PROVIDED = frozenset({"account", "collected", "revision", "identity"})
_TOTAL_FUNCTIONS = frozenset(
    {"lower", "upper", "prefix", "suffix", "text", "unique", "first", "last", "count", "table"}
)
"""Functions that make a value of every value; a table does if it has an entry for everything."""


def unreachable(pack: Pack) -> Iterator[Problem]:
    """Everything in *pack* that never counts."""
    for (section, name), place in pack.useless_deletes.items():
        known = getattr(pack, section)
        yield Problem(
            f"null takes nothing away: there is no {name} in {section}", place, suggestion(name, known)
        )
    for _, rule in rules(pack):
        for part in rule_parts(rule):
            yield from _unreachable_parts(part, pack)
        for match in rule_matches(rule):
            yield from _impossible_tests(match)


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
            "this else never counts", rule.fallback.position, "the rule always has a value; add a when"
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


def _impossible_tests(match: Match) -> Iterator[Problem]:
    if isinstance(match, Test):
        yield from _unknown_values(match)
        return
    for part in (match.part,) if isinstance(match, Not) else match.parts:
        yield from _impossible_tests(part)
    if isinstance(match, All):
        tests = list(_tests(match))
        absent = {str(test.ref) for test in tests if _wants_none(test)}
        for test in tests:
            if not _wants_none(test) and str(test.ref) in absent:
                yield Problem(
                    f"this never holds: {test.ref} must have no value and one at once", test.ref.position
                )


def _tests(match: All) -> Iterator[Test]:
    """The tests that must all hold."""
    for part in match.parts:
        if isinstance(part, Test):
            yield part
        elif isinstance(part, All):
            yield from _tests(part)


def _wants_none(test: Test) -> bool:
    if test.comparison == "exists":
        return test.operands == (Constant(value=False),)
    return test.comparison == "is" and test.operands == (Constant(value=None),)


def _unknown_values(test: Test) -> Iterator[Problem]:
    known = RECORD_VALUES.get(".".join(test.ref.path)) if test.ref.root in (RECORD, ELEMENT) else None
    if known is None or test.comparison != "is":
        return
    for operand in test.operands:
        if isinstance(operand, Constant) and operand.value is not None and operand.value not in known:
            yield Problem(
                f"{test.ref} is never {operand.value!r}, as far as the API is documented",
                test.ref.position,
                suggestion(str(operand.value), known),
            )
