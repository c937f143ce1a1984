"""Static type inference: what is known of a rule's value before it runs, so the compiler can omit checks.

The types form a lattice. ``StaticType()`` is its top, nothing known; more knowledge is lower: a ``kind``
below ``any``, ``is_list`` True or False below None, ``always_present`` True below False. ``join_types``
returns the least upper bound of two types: what holds for a value of either. ``usually_list`` and
``rarely_present`` are hints that choose the faster code path; correctness never depends on them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import reduce
from types import MappingProxyType

from connector.mapping.engine.plan import Derived, table_entries
from connector.mapping.functions.registry import FUNCTIONS
from connector.mapping.functions.values import absent
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
    TableRef,
    Template,
)
from connector.mapping.language.pack import TIME, Pack
from connector.mapping.schemas import Target
from connector.mapping.schemas.fields import RECORD_FIELDS
from connector.values import dataclass
from connector.yaml_nodes import Plain

_ACCEPTED_BY: Mapping[str, frozenset[str]] = MappingProxyType(
    {
        "text": frozenset(("any", "keyword", "text", "wildcard", "string")),
        "date": frozenset(("any", "date", "keyword", "text", "wildcard", "string")),
        "ip": frozenset(("any", "ip", "keyword", "text", "wildcard", "string")),
        "address": frozenset(("any", "keyword", "text", "wildcard", "string")),
        "integer": frozenset(("any", "long", "double", "epoch_ms")),
        "number": frozenset(("any", "double")),
        "boolean": frozenset(("any", "boolean")),
        "object": frozenset(),
        "made": frozenset(("any", "flattened", "nested", "object")),
        "any": frozenset(),
    }
)
TEXT_KINDS = frozenset(("text", "date", "ip", "address"))
"""Kinds whose values are texts that are not empty."""


@dataclass(frozen=True, slots=True)
class StaticType:
    """What is known of a value before it is computed; see the module for the lattice.

    Args:
        kind: the type of every single value; ``any`` for unknown, ``made`` for an object that a mapping
            makes of single values.
        is_list: whether it is a list; ``None`` for unknown.
        always_present: every record has a value.
        usually_list: a hint where *is_list* is unknown: nearly always a list.
        rarely_present: a hint: nearly no record has a value.
        fields: the documented path of a checked object or list of objects, such as ``findings``.
        values: all that it can be, where that is known.
    """

    kind: str = "any"
    is_list: bool | None = None
    always_present: bool = False
    usually_list: bool = False
    rarely_present: bool = False
    fields: str = ""
    values: frozenset[str | int] | None = None


UNKNOWN = StaticType()
TEXT = StaticType("text", is_list=False, always_present=True)
TypeEnvironment = Mapping[str, StaticType]
"""Types of derived and provided values by name; of fields of a checked record by ``record.PATH``."""

_LISTS = frozenset(path.removesuffix("[]") for path in RECORD_FIELDS if path.endswith("[]"))
_PROVIDED: TypeEnvironment = MappingProxyType(
    {
        "change": StaticType(rarely_present=True),
        "collected": replace(TEXT, kind="date"),
        "enrichment": StaticType(rarely_present=True),
        "identity": TEXT,
        "revision": StaticType("integer", is_list=False, always_present=True),
        "search": StaticType("text", is_list=False),
        "throttled": StaticType("integer", is_list=False, rarely_present=True),
    }
)


def always_fits(static: StaticType, target: Target) -> bool:
    """Whether every value of *static*, lists aside, fits *target* as it is."""
    return target.allowed is None and target.kind in _ACCEPTED_BY[static.kind]


def infer_names(
    derived: Sequence[Derived], pack: Pack, fields: TypeEnvironment = MappingProxyType({})
) -> dict[str, StaticType]:
    """Infer the types of all provided and derived values; *fields* is known of the record."""
    known = {**fields, **_PROVIDED, TIME: replace(TEXT, kind="date")}
    for item in derived:
        if item.name not in known:
            rarely_present = rarely_present_root(item.rule, known) is not None
            known[item.name] = replace(infer(item.rule, pack, known), rarely_present=rarely_present)
    return known


def rarely_present_root(rule: Rule, known: TypeEnvironment) -> str | None:
    """The rarely present value that *rule* depends on: without it the rule has no value."""
    if rule.fallback is not None:
        return None
    if isinstance(rule.source, From):
        root = rule.source.ref.root
        return root if known.get(root, UNKNOWN).rarely_present else None
    if isinstance(rule.source, FirstOf | AllOf):
        roots = {rarely_present_root(part, known) for part in rule.source.rules}
        return roots.pop() if len(roots) == 1 else None
    return None


def accepts_any_text(target: Target) -> bool:
    """Whether every text fits *target* as it is."""
    return target.allowed is None and target.kind in _ACCEPTED_BY["text"]


def target_may_reject(target: Target) -> bool:
    """Whether there are values that do not fit *target*."""
    return target.kind != "any" or target.allowed is not None or target.is_list is False


def infer(rule: Rule, pack: Pack, known: TypeEnvironment) -> StaticType:
    """The type of *rule*, its fallback included."""
    static = infer_own(rule, pack, known)
    return static if rule.fallback is None else join_types(static, infer(rule.fallback, pack, known))


def infer_own(rule: Rule, pack: Pack, known: TypeEnvironment) -> StaticType:
    """The type of *rule* without its fallback."""
    static = infer_source(rule, pack, known)
    for call in rule.calls:
        static = infer_call(call, static, pack)
    return static if rule.when is None else replace(static, always_present=False)


def infer_source(rule: Rule, pack: Pack, known: TypeEnvironment) -> StaticType:
    """The type of the source of *rule*, before any function."""
    match rule.source:
        case From(ref):
            return infer_ref(ref, known)
        case FirstOf(rules):
            inferred = infer(rules[0], pack, known)
            for part in rules[1:]:
                inferred = join_types(inferred, infer(part, pack, known))
            return inferred
        case AllOf(rules):
            parts = [infer(part, pack, known) for part in rules]
            kind = reduce(_join_kinds, [part.kind for part in parts])
            return StaticType(kind, is_list=True, always_present=any(part.always_present for part in parts))
        case Constant(value):
            return infer_constant(value)
        case Template(parts):
            return StaticType("text", is_list=False, always_present=_always(parts, known))


def infer_ref(ref: Ref, known: TypeEnvironment) -> StaticType:
    """The type of the value at *ref*."""
    if ref.root == RECORD and ref.path:
        checked = known.get(".".join((RECORD, *ref.path)))
        return checked or StaticType(usually_list=ref.path[0] in _LISTS)
    if ref.root == ELEMENT:
        return known.get(".".join((ELEMENT, *ref.path)), UNKNOWN)
    if ref.root == "account" and ref.path in (("id",), ("name",)):
        return StaticType("text", is_list=False)
    inferred = known.get(ref.root, UNKNOWN)
    return (
        StaticType(usually_list=inferred.usually_list or inferred.is_list is True) if ref.path else inferred
    )


def infer_constant(value: Plain) -> StaticType:
    """The type of a constant."""
    always_present = not absent(value)
    if isinstance(value, bool):
        return StaticType("boolean", is_list=False, always_present=always_present)
    if isinstance(value, str):
        return StaticType("text", is_list=False, always_present=always_present, values=frozenset((value,)))
    if isinstance(value, int):
        small = -(1 << 63) <= value < 1 << 63
        return StaticType("integer" if small else "any", is_list=False, always_present=always_present)
    return UNKNOWN


def infer_call(call: Call, static: StaticType, pack: Pack) -> StaticType:
    """The type of the result of *call* on a value of type *static*."""
    function = FUNCTIONS[call.name]
    if isinstance(call.argument, TableRef):
        return _entry(table_entries(call.argument, pack), static)
    kind = static.kind if function.returns == "same" else function.returns
    if isinstance(call.argument, Mapping) and _makes_single_values(call.argument, static, pack):
        kind = "made"
    is_list = {"one": False, "many": True, "any": None, "same": static.is_list}[function.shape]
    always = function.always == "for any value" or (
        function.always == "for text" and static.kind in TEXT_KINDS
    )
    return StaticType(
        kind if kind in _ACCEPTED_BY else "any",
        is_list,
        static.always_present and always,
        is_list is None and static.usually_list,
        fields=static.fields if function.returns == "same" else "",
    )


def element_type(static: StaticType) -> StaticType:
    """The type of one element of a list of type *static*, or of its only one."""
    if static.kind in TEXT_KINDS and static.is_list is not None:
        return StaticType(static.kind, is_list=False, always_present=True)
    return UNKNOWN


def _makes_single_values(rules: Mapping[str, Rule], static: StaticType, pack: Pack) -> bool:
    """Whether all values of the objects that *rules* make of each element are texts, numbers or booleans."""
    inferred = [infer(rule, pack, {ELEMENT: element_type(static)}) for rule in rules.values()]
    return all(made.kind in _SCALAR_KINDS and made.is_list is False for made in inferred)


def join_types(left: StaticType, right: StaticType) -> StaticType:
    """The least upper bound: the type of *left*, or of *right* where *left* has no value."""
    return StaticType(
        _join_kinds(left.kind, right.kind),
        left.is_list if left.is_list == right.is_list else None,
        always_present=left.always_present or right.always_present,
        usually_list=left.usually_list or left.is_list is True,
        fields=left.fields if left.fields == right.fields else "",
        values=None if left.values is None or right.values is None else left.values | right.values,
    )


def _join_kinds(left: str, right: str) -> str:
    if left == right:
        return left
    return "text" if left in TEXT_KINDS and right in TEXT_KINDS else "any"


def rule_may_lose(rule: Rule, pack: Pack, known: TypeEnvironment) -> bool:
    """Whether evaluating *rule* may report a loss."""
    parts = rule.source.rules if isinstance(rule.source, FirstOf | AllOf) else ()
    parts = (*parts, rule.fallback) if rule.fallback is not None else parts
    if any(rule_may_lose(part, pack, known) for part in parts):
        return True
    static = infer_source(rule, pack, known)
    for call in rule.calls:
        if _call_loses(call, static, pack):
            return True
        static = infer_call(call, static, pack)
    return False


def _always(parts: Sequence[str | Ref], known: TypeEnvironment) -> bool:
    """Whether a template of *parts* has a value for every record."""
    refs = [part for part in parts if isinstance(part, Ref)]
    if refs and not any(infer_ref(ref, known).always_present for ref in refs):
        return False
    if len(refs) < len(parts):
        return True
    return any(
        static.always_present and static.kind in TEXT_KINDS
        for static in (infer_ref(ref, known) for ref in refs)
    )


def _entry(entries: Mapping[str, object], static: StaticType) -> StaticType:
    kinds = {
        infer_constant(value).kind if isinstance(value, str | int) else "any" for value in entries.values()
    }
    if len(kinds) != 1 or "any" in kinds:
        return UNKNOWN
    always_present = static.always_present and "*" in entries
    values = frozenset(value for value in entries.values() if isinstance(value, str | int))
    return StaticType(kinds.pop(), static.is_list, always_present, static.usually_list, values=values)


def _call_loses(call: Call, static: StaticType, pack: Pack) -> bool:
    if call.name == "each" and isinstance(call.argument, Mapping):
        return any(rule_may_lose(rule, pack, {}) for rule in call.argument.values())
    how = FUNCTIONS[call.name].may_lose
    return how == "always" or (how == "unless text" and static.kind not in _SCALAR_KINDS)


_SCALAR_KINDS = TEXT_KINDS | {"integer", "number", "boolean"}
