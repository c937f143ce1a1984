"""Why an event looks as it does: per target the rule, what it read, and what came of it.

It walks the rules as ``evaluate`` does, so what it tells is what happens.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from connector.errors import Position
from connector.mapping.engine.context import Provider
from connector.mapping.engine.interpreter import Evaluation, Walker, derive_all
from connector.mapping.engine.plan import Step, plan
from connector.mapping.engine.rest import rest_maker, settle
from connector.mapping.engine.result import Mapped
from connector.mapping.functions.values import Value, prune
from connector.mapping.language.grammar import ELEMENT, FirstOf, Ref, Rule, match_refs, rule_refs
from connector.mapping.language.pack import Pack
from connector.mapping.language.unparse import describe, describe_match
from connector.mapping.mapper import NO_ACCOUNTS
from connector.mapping.schemas.encoding import SHAPES
from connector.model import JsonObject, Revision

Taken: TypeAlias = tuple[tuple[str, Position], ...]
"""Rules as written, each with its place."""


@dataclass(frozen=True, slots=True)
class Made:
    """A derived value on the way to a target; *taken* as in ``Explained``."""

    name: str
    rule: str
    position: Position
    value: Value
    taken: Taken


@dataclass(frozen=True, slots=True)
class Explained:
    """One target.

    Args:
        target: its name.
        value: what the event holds under it; ``None`` for nothing.
        rule: the rule as written, on one line, at *position*.
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
    taken: Taken
    derived: tuple[Made, ...]
    sources: Mapping[str, Value]
    why: str
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Explanation:
    """A whole event: its targets in the order of the file, what else it holds, what was noted."""

    mapped: Mapped
    targets: tuple[Explained, ...]
    rest: JsonObject
    notes: tuple[str, ...]


def explain(pack: Pack, revision: Revision, *, accounts: Mapping[str, str] = NO_ACCOUNTS) -> Explanation:
    """Tell where everything in the event of *revision* came from."""
    planned, provider = plan(pack), Provider(accounts)
    walker = Walker(planned, provider)
    mapped = walker(revision)
    run = Evaluation(pack, revision.record.body, provider.values(revision))
    back: set[str] = set()
    derive_all(run, planned.derived, [], back)
    targets = tuple(_Teller(walker, run, step, pack.derive).tell(back) for step in planned.steps)
    rest: JsonObject = {}
    make_rest = rest_maker(planned)
    if make_rest is not None:
        make_rest(dict(revision.record.body), back, rest)
    shortened = SHAPES[pack.format].encode(mapped.document)[1]
    return Explanation(mapped, targets, rest, (*mapped.notes, *shortened))


@dataclass(slots=True)
class _Teller:
    """Tells of one target; collects what its rules read on the way."""

    walker: Walker
    run: Evaluation
    step: Step
    rules: Mapping[str, Rule]
    derived: dict[str, Made] = field(default_factory=dict)
    sources: dict[str, Value] = field(default_factory=dict)

    def tell(self, back: set[str]) -> Explained:
        """Tell of the target; *back* gains the fields that go back to the rest."""
        rule = self.step.rule
        value = self.walker.field(self.run, self.step, rule)
        misfits = tuple(dict.fromkeys(reason for reason, _ in self.run.lost if reason))
        taken = self._taken(rule, fitted=True)
        for one in taken:
            self._read(one)
        told = Explained(
            self.step.name,
            value,
            describe(rule),
            rule.position,
            _written(taken[1:]),
            tuple(self.derived.values()),
            self.sources,
            "" if value is not None else self._why(taken[-1], misfits),
            misfits,
        )
        settle(self.step.name, self.step.reads, self.run.lost, self.run.body, [], back)
        return told

    def _taken(self, rule: Rule, *, fitted: bool = False) -> list[Rule]:
        """*rule* and, where it has a choice, the rules that it came down to."""
        value = self.run.own(rule)
        if value is not None and fitted:
            value = self.step.fit(value, self.run.lost)
        if value is None and rule.otherwise is not None:
            return [rule, *self._taken(rule.otherwise, fitted=fitted)]
        if value is not None and isinstance(rule.source, FirstOf):
            chosen = next(part for part in rule.source.rules if self.run.rule(part) is not None)
            return [rule, *self._taken(chosen)]
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
                taken = self._taken(made)
                value = self.run.names.get(ref.root)
                self.derived[ref.root] = Made(
                    f"${ref.root}", describe(made), made.position, value, _written(taken[1:])
                )
                for one in taken:
                    self._read(one)

    def _why(self, rule: Rule, misfits: tuple[str, ...]) -> str:
        if rule.when is not None and not self.run.match(rule.when):
            return f"{describe_match(rule.when)} does not hold"
        if misfits:
            return f"what there is does not fit: {', '.join(misfits)}"
        if isinstance(rule.source, FirstOf):
            return "none of its rules has a value"
        return "nothing is left" if rule.calls and any(self.sources.values()) else "there is no value"


def _written(rules: Sequence[Rule]) -> Taken:
    return tuple((describe(rule), rule.position) for rule in rules)


def _own_refs(rule: Rule) -> Iterator[Ref]:
    """What *rule* reads, the rules that it chooses among and ``else`` aside."""
    if not isinstance(rule.source, FirstOf):
        yield from rule_refs(Rule(rule.source, rule.position, rule.calls))
    if rule.when is not None:
        yield from match_refs(rule.when)
