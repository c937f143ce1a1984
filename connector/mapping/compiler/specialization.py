"""Simplifies a plan for revisions in which some provided values are absent (partial evaluation).

Most revisions are a record at first sight, without enrichment. A mapping has much to say about changes and
answers of endpoints; none of it needs to be looked at for these.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from connector.mapping.engine.plan import Derived, Plan, TargetPlan
from connector.mapping.functions.predicates import COMPARISONS, any_holds
from connector.mapping.functions.registry import FUNCTIONS
from connector.mapping.language.grammar import (
    RECORD,
    All,
    AllOf,
    AnyOf,
    Argument,
    Call,
    Constant,
    FirstOf,
    From,
    Match,
    Not,
    Ref,
    Rule,
    Source,
    Template,
    Test,
)
from connector.mapping.language.pack import TIME

RARE = ("change", "enrichment", "throttled")
"""Provided values that most revisions do not have."""

_NOTHING = Constant(None)


def specialize(plan: Plan) -> Plan:
    """*plan* for revisions without the values in ``RARE``: what depends on them is gone.

    Derived values that only rename a field of the record become that field.
    """
    specializer = _Specializer()
    derived = [item for item in map(specializer.derived, plan.derived) if item is not None]
    steps = [step for step in map(specializer.step, plan.steps) if step is not None]
    return replace(plan, derived=tuple(derived), steps=tuple(steps))


def _each_part(source: AllOf, calls: tuple[Call, ...]) -> tuple[AllOf, tuple[Call, ...]]:
    """*source* and *calls* with the first call made on each part, if it leaves nearly all texts unchanged."""
    if not calls or any(part.calls or part.fallback for part in source.rules):
        return source, calls
    function = FUNCTIONS[calls[0].name]
    if function.takes_list or function.unchanged is None:
        return source, calls
    return AllOf(tuple(replace(part, calls=calls[:1]) for part in source.rules)), calls[1:]


class _Specializer:
    """Rewrites rules. Names become absent, or other names for fields, in the order of their derivation."""

    def __init__(self) -> None:
        self._absent = set(RARE)
        self._fields: dict[str, Ref] = {}

    def derived(self, item: Derived) -> Derived | None:
        rule = self.rule(item.rule)
        if item.name == TIME:  # there always is one
            return replace(item, rule=rule or Rule(_NOTHING, item.rule.position))
        if rule is None:
            self._absent.add(item.name)
            return None
        source = rule.source
        renames = isinstance(source, From) and rule == Rule(source, rule.position)
        if isinstance(source, From) and renames and source.ref.root == RECORD and source.ref.path:
            self._fields[item.name] = source.ref
        return replace(item, rule=rule)

    def step(self, step: TargetPlan) -> TargetPlan | None:
        rule = self.rule(step.rule)
        return None if rule is None else replace(step, rule=rule)

    def rule(self, rule: Rule) -> Rule | None:
        """*rule* simplified; ``None`` if it never has a value."""
        fallback = None if rule.fallback is None else self.rule(rule.fallback)
        when = True if rule.when is None else self._match(rule.when)
        source = None if when is False else self._source(rule.source)
        if source is None:
            return fallback
        if when is True and not rule.calls and fallback is None and isinstance(source, FirstOf):
            only = source.rules[0]
            if len(source.rules) == 1 and only.fallback is None:
                return only
        calls = tuple(map(self._call, rule.calls))
        if isinstance(source, AllOf):
            source, calls = _each_part(source, calls)
        return replace(
            rule,
            source=source,
            calls=calls,
            when=None if isinstance(when, bool) else when,
            fallback=fallback,
        )

    def _ref(self, ref: Ref) -> Ref | None:
        """*ref*, from the record where it leads there; ``None`` if it leads to nothing."""
        if ref.root in self._absent:
            return None
        field = self._fields.get(ref.root)
        return ref if field is None else replace(field, path=field.path + ref.path)

    def _source(self, source: Source) -> Source | None:
        if isinstance(source, From):
            ref = self._ref(source.ref)
            return None if ref is None else From(ref)
        if isinstance(source, FirstOf | AllOf):
            parts = tuple(part for rule in source.rules if (part := self.rule(rule)) is not None)
            return replace(source, rules=parts) if parts else None
        if isinstance(source, Template):
            refs = {part: self._ref(part) for part in source.parts if isinstance(part, Ref)}
            if refs and not any(refs.values()):
                return None
            return Template(
                tuple((refs[part] or "") if isinstance(part, Ref) else part for part in source.parts)
            )
        return source

    def _call(self, call: Call) -> Call:
        argument: Argument = call.argument
        if isinstance(argument, Test | All | AnyOf | Not):
            match = self._match(argument)
            argument = (All(()) if match else AnyOf(())) if isinstance(match, bool) else match
        elif isinstance(argument, Mapping):
            rules = {key: self.rule(rule) for key, rule in argument.items()}
            argument = {key: rule for key, rule in rules.items() if rule is not None}
        return replace(call, argument=argument)

    def _match(self, match: Match) -> Match | bool:
        """*match* simplified; a boolean if it holds for every revision or for none."""
        if isinstance(match, Test):
            return self._test(match)
        if isinstance(match, Not):
            part = self._match(match.part)
            return not part if isinstance(part, bool) else Not(part)
        decided = isinstance(match, AnyOf)
        parts = [self._match(part) for part in match.parts]
        if decided in parts:
            return decided
        left = tuple(part for part in parts if not isinstance(part, bool))
        return replace(match, parts=left) if left else not decided

    def _test(self, test: Test) -> Test | bool:
        ref = self._ref(test.ref)
        if test.comparison == "exists":
            return test.operands != (Constant(value=True),) if ref is None else replace(test, ref=ref)
        operands = [self._ref(operand) if isinstance(operand, Ref) else operand for operand in test.operands]
        there = tuple(operand for operand in operands if operand is not None)
        if ref is None:  # equal to null, and to nothing else
            constants = [operand.value for operand in there if isinstance(operand, Constant)]
            return any_holds(COMPARISONS[test.comparison], None, constants)
        return replace(test, ref=ref, operands=there) if there else False
