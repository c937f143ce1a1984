"""Interprets a mapping by walking its rules: slow and simple, the reference for the compiler."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from connector.mapping.engine.context import ContextValues
from connector.mapping.engine.plan import Derived, Plan, TargetPlan, bind_call
from connector.mapping.engine.rest import build_rest, record_misfits
from connector.mapping.engine.result import (
    AFTER_COLLECTION,
    EARLIEST,
    MAX_LEAD,
    TIME_OF_COLLECTION,
    MappingResult,
    code_of,
    put,
    severity_of,
)
from connector.mapping.functions.dates import NO_TIME, date
from connector.mapping.functions.lists import as_list, each, only, pick
from connector.mapping.functions.predicates import COMPARISONS, any_holds
from connector.mapping.functions.registry import FUNCTIONS
from connector.mapping.functions.values import (
    Losses,
    Value,
    absent,
    flatten,
    map_elements,
    or_none,
    text,
    walk,
)
from connector.mapping.language.grammar import (
    ELEMENT,
    RECORD,
    All,
    AllOf,
    AnyOf,
    Call,
    Constant,
    FirstOf,
    From,
    Match,
    Not,
    Operand,
    Ref,
    Rule,
    Source,
    Template,
    Test,
)
from connector.mapping.language.pack import CODE, SEVERITY, TIME, Pack
from connector.model import Body, JsonObject, Revision


class Evaluation:
    """Evaluates rules on one revision; collects what was lost."""

    def __init__(self, pack: Pack, body: Body, provided: Mapping[str, Value]) -> None:
        self._pack = pack
        self.body = body
        self.names: dict[str, Value] = dict(provided)
        self.lost: Losses = []

    def read(self, ref: Ref, element: Value = None) -> Value:
        """The value at *ref*."""
        if ref.root == ELEMENT:
            return walk(element, ref.path)
        if ref.root == RECORD:
            return walk(dict(self.body), ref.path)
        return walk(self.names.get(ref.root), ref.path)

    def rule(self, rule: Rule, element: Value = None) -> Value:
        """The value of *rule*, or of its fallback."""
        value = self.without_else(rule, element)
        if value is None and rule.fallback is not None:
            return self.rule(rule.fallback, element)
        return value

    def without_else(self, rule: Rule, element: Value = None) -> Value:
        """The value of *rule* without its fallback: when, source, as."""
        if rule.when is not None and not self.match(rule.when, element):
            return None
        value = self._source(rule.source, element)
        for call in rule.calls:
            if value is None:
                return None
            value = self._call(call, value)
        return value

    def match(self, match: Match, element: Value = None) -> bool:
        """Whether *match* holds."""
        if isinstance(match, Test):
            return self._test(match, element)
        if isinstance(match, Not):
            return not self.match(match.part, element)
        if isinstance(match, All):
            return all(self.match(part, element) for part in match.parts)
        return any(self.match(part, element) for part in match.parts)

    def _source(self, source: Source, element: Value) -> Value:
        match source:
            case From(ref):
                return self.read(ref, element)
            case FirstOf(rules):
                results = (self.rule(rule, element) for rule in rules)
                return next((value for value in results if value is not None), None)
            case AllOf(rules):
                return flatten([self.rule(rule, element) for rule in rules])
            case Constant(constant):
                return or_none(constant)
            case Template(parts):
                return self._template(parts, element)

    def _template(self, parts: Sequence[str | Ref], element: Value) -> Value:
        values = [part if isinstance(part, str) else self.read(part, element) for part in parts]
        read = [value for part, value in zip(parts, values, strict=True) if isinstance(part, Ref)]
        if read and all(value is None for value in read):
            return None
        return "".join(map(text, values)) or None

    def _call(self, call: Call, value: Value) -> Value:
        argument = call.argument
        if isinstance(argument, Test | All | AnyOf | Not):
            choose = pick if call.name == "pick" else only
            return choose(value, lambda item: self.match(argument, item))
        if isinstance(argument, Mapping):
            return each(value, lambda item: self._object(argument, item))
        function = bind_call(call, self._pack)
        if FUNCTIONS[call.name].takes_list or type(value) is not list:
            return function(value, self.lost)
        return map_elements(function, value, self.lost)

    def _object(self, rules: Mapping[str, Rule], element: Value) -> Value:
        result: JsonObject = {}
        for name, rule in rules.items():
            value = self.rule(rule, element)
            if value is not None:
                put(result, name.split("."), value)
        return result or None

    def _test(self, test: Test, element: Value) -> bool:
        value = self.read(test.ref, element)
        if test.comparison == "exists":
            return (value is not None) is (test.operands == (Constant(value=True),))
        operands = [value for item in test.operands for value in self._operand(item, element)]
        return any_holds(COMPARISONS[test.comparison], value, operands)

    def _operand(self, operand: Operand, element: Value) -> list[Value]:
        if isinstance(operand, Constant):
            return [operand.value]
        value = self.read(operand, element)
        return [] if value is None else as_list(value)


class Interpreter:
    """Maps revisions by walking the rules of a plan."""

    def __init__(self, plan: Plan, provider: ContextValues) -> None:
        self._plan = plan
        self._provider = provider
        self._rest = build_rest(plan)

    def __call__(self, revision: Revision) -> MappingResult:
        """Map *revision*; never raises."""
        return self.trace(revision)[0]

    def trace(self, revision: Revision) -> tuple[MappingResult, Mapping[str, Value]]:
        """Map *revision*; also return the values of all ``$`` names."""
        run = Evaluation(self._plan.pack, revision.record.body, self._provider.values(revision))
        notes: list[str] = []
        returned: set[str] = set()
        derive_all(run, self._plan.derived, notes, returned)
        flat: JsonObject = {}
        for step in self._plan.steps:
            value = self.field(run, step, step.rule)
            record_misfits(step.name, step.reads, run.lost, run.body, notes, returned)
            if value is not None:
                flat[step.name] = value
                if step.label is not None:
                    flat[f"{step.name}Label"] = step.label
        mapped = MappingResult(
            self._document(flat, run.body, returned, notes),
            datetime.fromisoformat(run.names[TIME]),
            severity_of(run.names.get(SEVERITY)),
            code_of(run.names.get(CODE)),
            tuple(notes),
        )
        return mapped, run.names

    def field(self, run: Evaluation, step: TargetPlan, rule: Rule) -> Value:
        """The value of *rule* or of its fallback, coerced to its target."""
        value = run.without_else(rule)
        if value is not None:
            value = step.coerce(value, run.lost)
        if value is None and rule.fallback is not None:
            return self.field(run, step, rule.fallback)
        return value

    def _document(self, flat: JsonObject, body: Body, returned: set[str], notes: list[str]) -> JsonObject:
        rest: JsonObject = {}
        if self._rest is not None:
            self._rest(dict(body), returned, rest, notes)
        if not self._plan.nested:
            return {**flat, **rest}
        document: JsonObject = {}
        for name, value in flat.items():
            put(document, name.split("."), value)
        into = self._plan.pack.rest.into if self._plan.pack.rest else "."
        for key, value in rest.items():
            put(document, [key] if into == "." else [*into.split("."), key], value)
        return document


def derive_all(run: Evaluation, derived: Sequence[Derived], notes: list[str], returned: set[str]) -> None:
    """Evaluate the derived values in dependency order; ``$time`` always becomes a date."""
    for item in derived:
        value = run.rule(item.rule)
        if item.name == TIME:
            value = time_or(run.names["collected"], value, run.lost, notes)
        run.names[item.name] = value
        record_misfits(f"${item.name}", item.reads, run.lost, run.body, notes, returned)
    run.names.setdefault(TIME, run.names["collected"])


def time_or(collected: str, value: Value, lost: Losses, notes: list[str]) -> str:
    """*value* as a date; the time of collection, noted, for a placeholder or a time in the future."""
    result = None if absent(value) else date(value[0] if type(value) is list else value, lost)
    if result is not None and not EARLIEST <= result <= collected:  # dates of one form sort as texts
        if result < EARLIEST:
            lost.append((NO_TIME, value))
            result = None
        elif datetime.fromisoformat(result) - datetime.fromisoformat(collected) > MAX_LEAD:
            lost.append((AFTER_COLLECTION, value))
            result = None
    if result is None:
        notes.append(TIME_OF_COLLECTION)
        return collected
    return str(result)
