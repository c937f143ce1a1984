"""The abstract syntax of the mapping language, as frozen dataclasses; ``rules`` and ``matches`` parse it.

::

    RULE  := source [as] [when] [else]       source := from | first_of | all_of | const | template
    MATCH := Test | All | AnyOf | Not        REF := path in the record or the element, or $name[.path]
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TypeAlias

from connector.errors import Position
from connector.values import dataclass
from connector.yaml_nodes import Plain

RECORD = "record"
"""The root of a plain path: the record."""

ELEMENT = "."
"""The root of a plain path inside ``each``, ``pick`` and ``only``: the element."""


@dataclass(frozen=True, slots=True)
class Ref:
    """A path from a root: the record, the element, or a derived or provided name."""

    root: str
    path: tuple[str, ...]
    position: Position

    def __str__(self) -> str:
        path = ".".join(self.path)
        if self.root == RECORD:
            return path or "$record"
        if self.root == ELEMENT:
            return path or "."
        return f"${self.root}" + (f".{path}" if path else "")


@dataclass(frozen=True, slots=True)
class Constant:
    """A literal value."""

    value: Plain


Operand: TypeAlias = Constant | Ref


@dataclass(frozen=True, slots=True)
class Test:
    """One comparison; with a list of operands it holds if it does for any."""

    ref: Ref
    comparison: str  # is is_verdict gte lte contains matches exists; is_verdict is written as is
    operands: tuple[Operand, ...]


@dataclass(frozen=True, slots=True)
class All:
    """Every part holds."""

    parts: tuple[Match, ...]


@dataclass(frozen=True, slots=True)
class AnyOf:
    """At least one part holds."""

    parts: tuple[Match, ...]


@dataclass(frozen=True, slots=True)
class Not:
    """The part does not hold."""

    part: Match


Match: TypeAlias = Test | All | AnyOf | Not


@dataclass(frozen=True, slots=True)
class From:
    """The value at a reference."""

    ref: Ref


@dataclass(frozen=True, slots=True)
class FirstOf:
    """The first rule that has a value."""

    rules: tuple[Rule, ...]


@dataclass(frozen=True, slots=True)
class AllOf:
    """The values of all rules in one list."""

    rules: tuple[Rule, ...]


@dataclass(frozen=True, slots=True)
class Template:
    """Text with references in it; no value when it has references and none has a value."""

    parts: tuple[str | Ref, ...]


Source: TypeAlias = From | FirstOf | AllOf | Constant | Template


@dataclass(frozen=True, slots=True)
class TableRef:
    """The name of a table, as an argument."""

    name: str
    position: Position


Argument: TypeAlias = int | str | tuple[str, ...] | TableRef | Match | Mapping[str, "Rule"] | None


@dataclass(frozen=True, slots=True)
class Call:
    """One function of ``as`` with its argument."""

    name: str
    argument: Argument
    position: Position


@dataclass(frozen=True, slots=True)
class Rule:
    """How a value is made: when, source, as; *fallback* (``else``) where there is none."""

    source: Source
    position: Position
    calls: tuple[Call, ...] = ()
    when: Match | None = None
    fallback: Rule | None = None


def rule_refs(rule: Rule) -> Iterator[Ref]:
    """Every reference in *rule*, those in matches, arguments and the fallback included."""
    match rule.source:
        case From(ref):
            yield ref
        case FirstOf(rules) | AllOf(rules):
            for part in rules:
                yield from rule_refs(part)
        case Template(parts):
            yield from (part for part in parts if isinstance(part, Ref))
        case Constant():
            pass
    for call in rule.calls:
        yield from _argument_refs(call.argument)
    if rule.when is not None:
        yield from match_refs(rule.when)
    if rule.fallback is not None:
        yield from rule_refs(rule.fallback)


def match_refs(match: Match) -> Iterator[Ref]:
    """Every reference in *match*."""
    if isinstance(match, Test):
        yield match.ref
        yield from (operand for operand in match.operands if isinstance(operand, Ref))
    elif isinstance(match, Not):
        yield from match_refs(match.part)
    else:
        for part in match.parts:
            yield from match_refs(part)


def rule_calls(rule: Rule) -> Iterator[Call]:
    """Every function call in *rule*, those inside its parts and arguments included."""
    if isinstance(rule.source, FirstOf | AllOf):
        for part in rule.source.rules:
            yield from rule_calls(part)
    for call in rule.calls:
        yield call
        if isinstance(call.argument, Mapping):
            for inner in call.argument.values():
                yield from rule_calls(inner)
    if rule.fallback is not None:
        yield from rule_calls(rule.fallback)


def rule_parts(rule: Rule) -> Iterator[Rule]:
    """*rule* and every rule inside it, fallbacks included."""
    yield rule
    if isinstance(rule.source, FirstOf | AllOf):
        for part in rule.source.rules:
            yield from rule_parts(part)
    for call in rule.calls:
        if isinstance(call.argument, Mapping):
            for inner in call.argument.values():
                yield from rule_parts(inner)
    if rule.fallback is not None:
        yield from rule_parts(rule.fallback)


def rule_matches(rule: Rule) -> Iterator[Match]:
    """Every match in *rule* and in the rules inside it."""
    for part in rule_parts(rule):
        if part.when is not None:
            yield part.when
        for call in part.calls:
            if isinstance(call.argument, Test | All | AnyOf | Not):
                yield call.argument


def _argument_refs(argument: Argument) -> Iterator[Ref]:
    if isinstance(argument, Test | All | AnyOf | Not):
        yield from match_refs(argument)
    elif isinstance(argument, Mapping):
        for rule in argument.values():
            yield from rule_refs(rule)
