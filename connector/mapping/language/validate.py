"""Validates a pack: unknown names and tables, cycles, conflicting targets, misplaced labels."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from connector.errors import Position, Problem
from connector.mapping.language.grammar import (
    ELEMENT,
    RECORD,
    Match,
    Ref,
    Rule,
    TableRef,
    match_refs,
    rule_calls,
    rule_refs,
)
from connector.mapping.language.pack import PROVIDED, Pack, rules
from connector.mapping.language.rules import conflicting_name
from connector.mapping.schemas.encoding import SHAPES
from connector.yaml_nodes import suggestion


def validate(pack: Pack) -> Sequence[Problem]:
    """Every error in *pack*."""
    return [*_names(pack), *_tables(pack), *_cycles(pack), *_targets(pack), *_labels(pack)]


def validate_match(match: Match, pack: Pack) -> Sequence[Problem]:
    """Every unknown name in *match*, in the scope of *pack*."""
    return [problem for ref in match_refs(match) for problem in _ref(ref, pack)]


def validate_refs(refs: Sequence[Ref], pack: Pack) -> Sequence[Problem]:
    """Every unknown name in *refs*, in the scope of *pack*."""
    return [problem for ref in refs for problem in _ref(ref, pack)]


def derived_names(rule: Rule, pack: Pack) -> frozenset[str]:
    """The derived values that *rule* reads."""
    return frozenset(ref.root for ref in rule_refs(rule)) & frozenset(pack.derive)


def _names(pack: Pack) -> Iterator[Problem]:
    for name, rule in pack.derive.items():
        if name in PROVIDED:
            yield Problem(f"${name} is built in and cannot be derived", rule.position, "choose another name")
    for _, rule in rules(pack):
        for ref in rule_refs(rule):
            yield from _ref(ref, pack)


def _ref(ref: Ref, pack: Pack) -> Iterator[Problem]:
    if ref.root in (RECORD, ELEMENT) or ref.root in pack.derive:
        return
    if ref.root not in PROVIDED:
        known = [f"${name}" for name in (*PROVIDED, *pack.derive)]
        yield Problem(f"there is no ${ref.root}", ref.position, suggestion(f"${ref.root}", known))
    elif PROVIDED[ref.root] and ref.path and ref.path[0] not in PROVIDED[ref.root]:
        known = [f"${ref.root}.{inner}" for inner in PROVIDED[ref.root]]
        yield Problem(f"there is no {ref}", ref.position, suggestion(str(ref), known))


def _tables(pack: Pack) -> Iterator[Problem]:
    for _, rule in rules(pack):
        for call in rule_calls(rule):
            table = call.argument
            if isinstance(table, TableRef) and table.name not in pack.tables:
                yield Problem(
                    f"there is no table {table.name}", table.position, suggestion(table.name, pack.tables)
                )


def _cycles(pack: Pack) -> Iterator[Problem]:
    done: set[str] = set()

    def visit(name: str, trail: tuple[str, ...]) -> Iterator[Problem]:
        if name in trail:
            circle = " -> ".join(f"${step}" for step in (*trail[trail.index(name) :], name))
            yield Problem(f"${name} depends on itself: {circle}", pack.derive[name].position)
        elif name not in done:
            for inner in sorted(derived_names(pack.derive[name], pack)):
                yield from visit(inner, (*trail, name))
            done.add(name)

    for name in pack.derive:
        yield from visit(name, ())


def _targets(pack: Pack) -> Iterator[Problem]:
    if not SHAPES[pack.format].nested:
        return
    places: Mapping[str, Position] = {name: field.position for name, field in pack.fields.items()}
    clash = conflicting_name(places)
    if clash:
        yield Problem(f"{clash} cannot be both a value and an object", places[clash])
    if pack.rest is None:
        return
    steps = [] if pack.rest.into == "." else pack.rest.into.split(".")
    for name in (".".join(steps[:end]) for end in range(1, len(steps) + 1)):
        if name in places:
            yield Problem(f"{name} is a field, so the rest cannot go into it", places[name])
    if pack.rest.malformed is not None:
        malformed = ".".join((*steps, pack.rest.malformed))
        for name in places:
            if name == malformed or name.startswith(f"{malformed}."):
                hint = "choose another name for malformed"
                yield Problem(f"{name} is a field, so malformed values cannot go there", places[name], hint)


def _labels(pack: Pack) -> Iterator[Problem]:
    for name, label in pack.labels.items():
        if not SHAPES[pack.format].labels:
            yield Problem(f"the format {pack.format} has no labels", label.position)
        elif name not in pack.fields:
            hint = suggestion(name, pack.fields)
            yield Problem(f"a label for {name}, which is not mapped", label.position, hint)
        elif f"{name}Label" in pack.fields:
            yield Problem(f"{name}Label is already a field", label.position)
