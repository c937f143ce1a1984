"""The execution plan of a pack: derived values in dependency order, targets with rule and coercion."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from connector.mapping.engine.coerce import coercer
from connector.mapping.functions.registry import FUNCTIONS
from connector.mapping.functions.values import Losses, Value, ValueFunction, map_elements, or_none
from connector.mapping.language.grammar import RECORD, Call, Match, Rule, TableRef, match_refs, rule_refs
from connector.mapping.language.pack import ENVELOPE, Pack
from connector.mapping.language.validate import derived_names
from connector.mapping.schemas import Target, lookup
from connector.mapping.schemas.encoding import SHAPES
from connector.values import dataclass


@dataclass(frozen=True, slots=True)
class Derived:
    """One derived value, with the record fields that it reads, directly or not."""

    name: str
    rule: Rule
    reads: frozenset[str]


@dataclass(frozen=True, slots=True)
class TargetPlan:
    """One target: its rule, the coercion to its type, and its label."""

    name: str
    target: Target
    rule: Rule
    coerce: ValueFunction
    reads: frozenset[str]
    label: str | None
    place: str


@dataclass(frozen=True, slots=True)
class Plan:
    """What both back ends, compiler and interpreter, need of a pack."""

    pack: Pack
    nested: bool
    derived: tuple[Derived, ...]
    steps: tuple[TargetPlan, ...]

    @property
    def targets(self) -> frozenset[str]:
        """The names of all targets."""
        return frozenset(step.name for step in self.steps)


def plan(pack: Pack) -> Plan:
    """Plan *pack*; it must have passed ``validate``."""
    wanted = [name for field in pack.fields.values() for name in derived_names(field.rule, pack)]
    derived = order(pack, [*(name for name in ENVELOPE if name in pack.derive), *wanted])
    reads = {item.name: item.reads for item in derived}
    nested = SHAPES[pack.format].nested
    return Plan(pack, nested, derived, tuple(_steps(pack, reads, nested=nested)))


def order(pack: Pack, wanted: Sequence[str]) -> tuple[Derived, ...]:
    """The derived values *wanted*, each after those that it reads."""
    ordered: dict[str, Derived] = {}

    def visit(name: str) -> None:
        if name not in ordered:
            rule = pack.derive[name]
            for inner in sorted(derived_names(rule, pack)):
                visit(inner)
            ordered[name] = Derived(
                name, rule, _reads(rule, {key: item.reads for key, item in ordered.items()})
            )

    for name in sorted(set(wanted)):
        visit(name)
    return tuple(ordered.values())


def matched_names(match: Match, pack: Pack) -> Sequence[str]:
    """The derived values that *match* reads."""
    return [ref.root for ref in match_refs(match) if ref.root in pack.derive]


def bind_call(call: Call, pack: Pack) -> ValueFunction:
    """The function of *call* with its argument filled in, tables looked up."""
    function = FUNCTIONS[call.name]
    if isinstance(call.argument, TableRef):
        return function.apply(table_entries(call.argument, pack))
    return function.apply(call.argument)


def bind_calls(calls: Sequence[Call], pack: Pack) -> ValueFunction:
    """All of *calls* as one function of a value of the record."""
    steps = [(bind_call(call, pack), FUNCTIONS[call.name].takes_list) for call in calls]

    def run(value: Value, lost: Losses) -> Value:
        value = or_none(value)
        for function, takes_list in steps:
            if value is None:
                return None
            value = (
                function(value, lost)
                if takes_list or type(value) is not list
                else map_elements(function, value, lost)
            )
        return value

    return run


def table_entries(table: TableRef, pack: Pack) -> Mapping[str, object]:
    """The entries of a table, without those that are no value."""
    entries = ((key, or_none(value)) for key, value in pack.tables[table.name].entries.items())
    return {key: value for key, value in entries if value is not None}


def _steps(pack: Pack, reads: Mapping[str, frozenset[str]], *, nested: bool) -> Iterator[TargetPlan]:
    for name, field in pack.fields.items():
        target = lookup(pack.format, name) or Target(
            name, "any" if nested else "string", None if nested else False
        )
        yield TargetPlan(
            name,
            target,
            field.rule,
            coercer(target, nested=nested),
            _reads(field.rule, reads),
            pack.labels[name].text if name in pack.labels else None,
            str(field.position),
        )


def _reads(rule: Rule, derived: Mapping[str, frozenset[str]]) -> frozenset[str]:
    """Top-level fields of the record that *rule* reads, through derived values too."""
    names: set[str] = set()
    for ref in rule_refs(rule):
        if ref.root == RECORD and ref.path:
            names.add(ref.path[0])
        names |= derived.get(ref.root, frozenset())
    return frozenset(names)
