"""Explains an event: per target the rule, what it read, and the result.

It uses the interpreter, whose results equal those of the compiled mapping.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import field
from typing import TypeAlias

from connector.errors import Position
from connector.mapping.engine.context import ContextValues
from connector.mapping.engine.interpreter import Evaluation, Interpreter, derive_all
from connector.mapping.engine.plan import TargetPlan, plan
from connector.mapping.engine.rest import build_rest, record_misfits
from connector.mapping.engine.result import MappingResult
from connector.mapping.functions.values import Value, prune
from connector.mapping.language.grammar import ELEMENT, FirstOf, Ref, Rule, match_refs, rule_refs
from connector.mapping.language.pack import Pack
from connector.mapping.language.unparse import unparse, unparse_match
from connector.mapping.mapper import NO_ACCOUNTS
from connector.mapping.schemas.encoding import SHAPES
from connector.model import JsonObject, Revision
from connector.values import dataclass

ChosenRules: TypeAlias = tuple[tuple[str, Position], ...]
"""Rules as written, each with its place."""


@dataclass(frozen=True, slots=True)
class DerivedExplanation:
    """A derived value on the way to a target; *taken* as in ``TargetExplanation``."""

    name: str
    rule: str
    position: Position
    value: Value
    taken: ChosenRules


@dataclass(frozen=True, slots=True)
class TargetExplanation:
    """One target.

    Args:
        target: its name.
        value: what the event holds under it; ``None`` for nothing.
        rule: the rule as written, on one line.
        position: where the rule stands.
        taken: where the rule had a choice (``first_of``, ``else``): what was taken, with its place.
        derived: the derived values that it used, the nearest first.
        sources: what was read of the record, or beside it, by path.
        why: why there is nothing; empty where there is something.
        notes: what did not fit.
    """

    target: str
    value: Value
    rule: str
    position: Position
    taken: ChosenRules
    derived: tuple[DerivedExplanation, ...]
    sources: Mapping[str, Value]
    why: str
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Explanation:
    """A whole event: targets in the order of the file, the rest, and the notes."""

    mapped: MappingResult
    targets: tuple[TargetExplanation, ...]
    rest: JsonObject
    notes: tuple[str, ...]


def explain(pack: Pack, revision: Revision, *, accounts: Mapping[str, str] = NO_ACCOUNTS) -> Explanation:
    """Explain where everything in the event of *revision* came from."""
    planned, provider = plan(pack), ContextValues(accounts)
    walker = Interpreter(planned, provider)
    mapped = walker(revision)
    run = Evaluation(pack, revision.record.body, provider.values(revision))
    returned: set[str] = set()
    derive_all(run, planned.derived, [], returned)
    targets = tuple(
        _TargetExplainer(walker, run, step, pack.derive).explain(returned) for step in planned.steps
    )
    rest: JsonObject = {}
    make_rest = build_rest(planned)
    if make_rest is not None:
        make_rest(dict(revision.record.body), returned, rest, [])
    shortened = SHAPES[pack.format].encode(mapped.document)[1]
    return Explanation(mapped, targets, rest, (*mapped.notes, *shortened))


@dataclass(slots=True)
class _TargetExplainer:
    """Explains one target; collects what its rules read on the way."""

    walker: Interpreter
    run: Evaluation
    step: TargetPlan
    rules: Mapping[str, Rule]
    derived: dict[str, DerivedExplanation] = field(default_factory=dict)
    sources: dict[str, Value] = field(default_factory=dict)

    def explain(self, returned: set[str]) -> TargetExplanation:
        """Explain the target; *returned* gains the fields that go back to the rest."""
        rule = self.step.rule
        value = self.walker.field(self.run, self.step, rule)
        misfits = tuple(dict.fromkeys(reason for reason, _ in self.run.lost if reason))
        taken = self._chosen(rule, fitted=True)
        for one in taken:
            self._read(one)
        explanation = TargetExplanation(
            self.step.name,
            value,
            unparse(rule),
            rule.position,
            _written(taken[1:]),
            tuple(self.derived.values()),
            self.sources,
            "" if value is not None else self._why(taken[-1], misfits),
            misfits,
        )
        record_misfits(self.step.name, self.step.reads, self.run.lost, self.run.body, [], returned)
        return explanation

    def _chosen(self, rule: Rule, *, fitted: bool = False) -> list[Rule]:
        """*rule* and, where it has a choice, the rules that it came down to."""
        value = self.run.without_else(rule)
        if value is not None and fitted:
            value = self.step.coerce(value, self.run.lost)
        if value is None and rule.fallback is not None:
            return [rule, *self._chosen(rule.fallback, fitted=fitted)]
        if value is not None and isinstance(rule.source, FirstOf):
            chosen = next(part for part in rule.source.rules if self.run.rule(part) is not None)
            return [rule, *self._chosen(chosen)]
        return [rule]

    def _read(self, rule: Rule) -> None:
        for ref in _own_refs(rule):
            if ref.root == ELEMENT or str(ref) in self.sources:
                continue
            value = self.run.read(ref)
            made = self.rules.get(ref.root)
            if made is None:
                self.sources[str(ref)] = prune(value)
            elif ref.root not in self.derived:
                taken = self._chosen(made)
                value = self.run.names.get(ref.root)
                self.derived[ref.root] = DerivedExplanation(
                    f"${ref.root}", unparse(made), made.position, value, _written(taken[1:])
                )
                for one in taken:
                    self._read(one)

    def _why(self, rule: Rule, misfits: tuple[str, ...]) -> str:
        if rule.when is not None and not self.run.match(rule.when):
            return f"{unparse_match(rule.when)} does not hold"
        if misfits:
            return f"what there is does not fit: {', '.join(misfits)}"
        if isinstance(rule.source, FirstOf):
            return "none of its rules has a value"
        return "nothing is left" if rule.calls and any(self.sources.values()) else "there is no value"


def _written(rules: Sequence[Rule]) -> ChosenRules:
    return tuple((unparse(rule), rule.position) for rule in rules)


def _own_refs(rule: Rule) -> Iterator[Ref]:
    """What *rule* reads, the rules that it chooses among and ``else`` aside."""
    if not isinstance(rule.source, FirstOf):
        yield from rule_refs(Rule(rule.source, rule.position, rule.calls))
    if rule.when is not None:
        yield from match_refs(rule.when)
