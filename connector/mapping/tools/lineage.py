"""Traces data lineage: which record fields the value of a rule may contain, from the rules alone."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from connector.mapping.language.grammar import (
    ELEMENT,
    RECORD,
    AllOf,
    Call,
    Constant,
    FirstOf,
    From,
    Ref,
    Rule,
    Template,
)
from connector.mapping.language.pack import Pack

_NUMBERS_ONLY = frozenset({"count"})
"""Functions whose result contains nothing of the value itself."""


@dataclass(frozen=True, slots=True)
class Lineage:
    """Paths of the record that a value may hold whole; *parts* are those of an object that ``each`` made."""

    paths: frozenset[tuple[str, ...]] = frozenset()
    parts: Mapping[str, Lineage] = field(default_factory=dict)

    def at(self, path: Iterable[str]) -> Lineage:
        """What is left when *path* is taken inside the value."""
        lineage = self
        for step in path:
            below = Lineage(frozenset((*one, step) for one in lineage.paths))
            lineage = union([below, lineage.parts[step]]) if step in lineage.parts else below
        return lineage

    def all(self) -> frozenset[tuple[str, ...]]:
        """Every path, those of parts included."""
        return self.paths.union(*(part.all() for part in self.parts.values()))


NONE = Lineage()


def union(several: Iterable[Lineage]) -> Lineage:
    """All of *several* together."""
    paths: set[tuple[str, ...]] = set()
    parts: dict[str, Lineage] = {}
    for one in several:
        paths |= one.paths
        for name, part in one.parts.items():
            parts[name] = union([parts[name], part]) if name in parts else part
    return Lineage(frozenset(paths), parts)


class LineageTracer:
    """Follows rules back to the record, through derived values too."""

    def __init__(self, pack: Pack) -> None:
        self._pack = pack
        self._derived: dict[str, Lineage] = {}

    def rule(self, rule: Rule, element: Lineage = NONE) -> Lineage:
        """What the value of *rule* may hold; *element* is what an element inside ``each`` holds."""
        lineage = self._source(rule, element)
        for call in rule.calls:
            lineage = self._call(call, lineage)
        return lineage if rule.fallback is None else union([lineage, self.rule(rule.fallback, element)])

    def _source(self, rule: Rule, element: Lineage) -> Lineage:
        match rule.source:
            case From(ref):
                return self._ref(ref, element)
            case FirstOf(rules) | AllOf(rules):
                return union(self.rule(one, element) for one in rules)
            case Template(parts):
                return union(self._ref(part, element) for part in parts if isinstance(part, Ref))
            case Constant():
                return NONE

    def _call(self, call: Call, value: Lineage) -> Lineage:
        if call.name in _NUMBERS_ONLY:
            return NONE
        if call.name == "each" and isinstance(call.argument, Mapping):
            parts: dict[str, Lineage] = {}
            for name, rule in call.argument.items():
                lineage = self.rule(rule, value)
                for step in reversed(name.split(".")[1:]):
                    lineage = Lineage(parts={step: lineage})
                first = name.split(".")[0]
                parts[first] = union([parts[first], lineage]) if first in parts else lineage
            return Lineage(parts=parts)
        return value

    def _ref(self, ref: Ref, element: Lineage) -> Lineage:
        if ref.root == ELEMENT:
            return element.at(ref.path)
        if ref.root == RECORD:
            return Lineage(frozenset((ref.path,)))
        return self._named(ref.root).at(ref.path)

    def _named(self, name: str) -> Lineage:
        if name not in self._derived:
            rule = self._pack.derive.get(name)
            self._derived[name] = NONE if rule is None else self.rule(rule)
        return self._derived[name]
