"""Lints a valid pack: undocumented fields, unknown targets, invalid constants, unused and dead rules."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence

from connector.errors import Position, Problem
from connector.mapping.engine.coerce import coercer
from connector.mapping.functions.values import Losses, or_none
from connector.mapping.language.file import Field
from connector.mapping.language.grammar import (
    RECORD,
    AllOf,
    Constant,
    FirstOf,
    Ref,
    Rule,
    TableRef,
    rule_calls,
    rule_refs,
)
from connector.mapping.language.library import PRELUDE
from connector.mapping.language.pack import ENVELOPE, Pack, rules
from connector.mapping.schemas import Target, lookup, names
from connector.mapping.schemas.ecs import event_types
from connector.mapping.schemas.encoding import SHAPES
from connector.mapping.schemas.fields import documented_paths
from connector.mapping.tools.unreachable import unreachable
from connector.yaml_nodes import suggestion

_OPEN = ("object", "flattened", "nested")


def lint(pack: Pack) -> Sequence[Problem]:
    """Every finding, in the order of the file."""
    findings = [
        *_paths(pack),
        *_targets(pack),
        *_constants(pack),
        *_labels(pack),
        *_unused(pack),
        *_pairs(pack),
        *unreachable(pack),
    ]
    return in_order(findings)


def in_order(problems: Iterable[Problem]) -> Sequence[Problem]:
    """*problems* in the order of the file."""
    return sorted(problems, key=lambda problem: _place(problem.position))


def _place(position: Position | None) -> tuple[str, int, int]:
    return (position.file, position.line, position.column) if position else ("", 0, 0)


def _paths(pack: Pack) -> Iterator[Problem]:
    known = documented_paths()
    seen: set[Ref] = set()
    for _, rule in rules(pack):
        for ref in rule_refs(rule):
            if ref.root == RECORD and ref.path and ref not in seen:
                seen.add(ref)
                yield from _path(".".join(ref.path), ref.position, known)
    if pack.rest is not None:
        for path, position in zip(pack.rest.without, pack.rest.places, strict=True):
            yield from _path(".".join(path), position, known)


def _path(path: str, position: Position, known: Collection[str]) -> Iterator[Problem]:
    if path not in known:
        hint = suggestion(path, known)
        yield Problem(f"the API documents no record field {path}", position, hint)


def _targets(pack: Pack) -> Iterator[Problem]:
    for name, field in pack.fields.items():
        if _target(pack, name) is None:
            hint = suggestion(name, names(pack.format))
            yield Problem(f"{pack.format} has no field {name}", field.position, hint)


def _target(pack: Pack, name: str) -> Target | None:
    """The target *name*; anything below an open object or in the rest is allowed."""
    target = lookup(pack.format, name)
    if target is not None:
        return target
    inside = pack.rest is not None and name.startswith(pack.rest.into)
    if inside:
        return Target(name, "any" if SHAPES[pack.format].nested else "string")
    parts = name.split(".")
    for end in range(1, len(parts)):
        above = lookup(pack.format, ".".join(parts[:end]))
        if above is not None and above.kind in _OPEN:
            return Target(name, "any")
    return None


def _constants(pack: Pack) -> Iterator[Problem]:
    nested = SHAPES[pack.format].nested
    for name, field in pack.fields.items():
        target = _target(pack, name)
        for constant, position in _constants_of(field.rule) if target is not None else ():
            lost: Losses = []
            value = or_none(constant.value)
            coerced = (
                None if value is None else coercer(target, nested=nested)(value, lost) if target else None
            )
            if coerced is None or any(reason for reason, _ in lost):
                reason = lost[0][0] if lost else "no value"
                known = map(str, target.allowed) if target and target.allowed else ()
                hint = suggestion(str(constant.value), known)
                yield Problem(f"{constant.value!r} does not fit {name}: {reason}", position, hint)


def _constants_of(rule: Rule) -> Iterator[tuple[Constant, Position]]:
    """Constants that reach the target as they are."""
    if isinstance(rule.source, Constant) and not rule.calls:
        yield rule.source, rule.position
    if isinstance(rule.source, FirstOf | AllOf) and not rule.calls:
        for part in rule.source.rules:
            yield from _constants_of(part)
    if rule.fallback is not None:
        yield from _constants_of(rule.fallback)


def _labels(pack: Pack) -> Iterator[Problem]:
    if not SHAPES[pack.format].labels:
        return
    listed = frozenset(names(pack.format))
    for name, field in pack.fields.items():
        label = f"{name}Label"
        if label in listed and name not in pack.labels and label not in pack.fields:
            yield Problem(f"{name} has no label", field.position, f"add labels: {{{name}: ...}}")


def _unused(pack: Pack) -> Iterator[Problem]:
    """Tables and derived values of the file itself that nothing reads; the prelude's are for others."""
    if pack.name == PRELUDE:
        return
    used = {
        call.argument.name
        for _, rule in rules(pack)
        for call in rule_calls(rule)
        if isinstance(call.argument, TableRef)
    }
    read = {ref.root for _, rule in rules(pack) for ref in rule_refs(rule)} | set(ENVELOPE)
    own = pack.files[0]
    for name, table in pack.tables.items():
        if table.position.file == own and name not in used:
            yield Problem(f"nothing uses the table {name}", table.position)
    for name, rule in pack.derive.items():
        if rule.position.file == own and name not in read:
            yield Problem(f"nothing reads ${name}", rule.position)


def _pairs(pack: Pack) -> Iterator[Problem]:
    """ECS defines which values of event.type are expected with each event.category."""
    category, kind = pack.fields.get("event.category"), pack.fields.get("event.type")
    if pack.format != "ecs" or category is None or kind is None:
        return
    expected = event_types()
    allowed = {word for value in _words(category) for word in expected.get(value, ())}
    for word in _words(kind):
        if allowed and word not in allowed:
            yield Problem(f"event.type {word} is not expected with any of the categories", kind.position,
                          suggestion(word, allowed))  # fmt: skip


def _words(field: Field) -> Iterator[str]:
    for constant, _ in _constants_of(field.rule):
        value = constant.value
        yield from (str(word) for word in (value if isinstance(value, list) else [value]))
