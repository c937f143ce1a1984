"""What is sure of the value of a rule before it exists, so that the compiler can leave checks out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType

from connector.mapping.engine.plan import Derived, table_entries
from connector.mapping.functions.registry import FUNCTIONS
from connector.mapping.functions.values import absent
from connector.mapping.language.grammar import (
    RECORD,
    AllOf,
    Call,
    Constant,
    FirstOf,
    From,
    Ref,
    Rule,
    TableName,
    Template,
)
from connector.mapping.language.pack import TIME, Pack
from connector.mapping.schemas import Target
from connector.mapping.schemas.fields import RECORD_FIELDS
from connector.yaml_nodes import Plain

_FITTING: Mapping[str, frozenset[str]] = MappingProxyType(
    {
        "text": frozenset(("any", "keyword", "text", "wildcard", "string")),
        "date": frozenset(("any", "date", "keyword", "text", "wildcard", "string")),
        "ip": frozenset(("any", "ip", "keyword", "text", "wildcard", "string")),
        "integer": frozenset(("any", "long", "double", "epoch_ms")),
        "number": frozenset(("any", "double")),
        "boolean": frozenset(("any", "boolean")),
        "any": frozenset(),
    }
)
WORDS = frozenset(("text", "date", "ip"))
"""Kinds whose values are texts that are not empty."""


@dataclass(frozen=True, slots=True)
class Static:
    """What is known of a value before it exists.

    Args:
        kind: what every single value is; ``any`` where that is open.
        many: a list, no list, or ``None`` for unknown.
        sure: there is a value for every record.
        often: where *many* is unknown: it is nearly always a list.
        seldom: there is no value for nearly every record.
    """

    kind: str = "any"
    many: bool | None = None
    sure: bool = False
    often: bool = False
    seldom: bool = False


UNKNOWN = Static()
TEXT = Static("text", many=False, sure=True)
Known = Mapping[str, Static]
"""What is known of derived and provided values by name."""

_LISTS = frozenset(path.removesuffix("[]") for path in RECORD_FIELDS if path.endswith("[]"))
_PROVIDED: Known = MappingProxyType(
    {
        "change": Static(seldom=True),
        "collected": replace(TEXT, kind="date"),
        "enrichment": Static(seldom=True),
        "identity": TEXT,
        "revision": Static("integer", many=False, sure=True),
        "search": Static("text", many=False),
    }
)


def fits(static: Static, target: Target) -> bool:
    """Whether every value of *static*, lists aside, fits *target* as it is."""
    return target.allowed is None and target.kind in _FITTING[static.kind]


def know(derived: Sequence[Derived], pack: Pack) -> dict[str, Static]:
    """What is sure of every provided and derived value."""
    known = {**_PROVIDED, TIME: replace(TEXT, kind="date")}
    for item in derived:
        if item.name not in known:
            seldom = seldom_root(item.rule, known) is not None
            known[item.name] = replace(infer(item.rule, pack, known), seldom=seldom)
    return known


def seldom_root(rule: Rule, known: Known) -> str | None:
    """The provided or derived value that is seldom there and without which *rule* makes none."""
    if rule.otherwise is not None:
        return None
    if isinstance(rule.source, From):
        root = rule.source.ref.root
        return root if known.get(root, UNKNOWN).seldom else None
    if isinstance(rule.source, FirstOf | AllOf):
        roots = {seldom_root(part, known) for part in rule.source.rules}
        return roots.pop() if len(roots) == 1 else None
    return None


def takes_text(target: Target) -> bool:
    """Whether every text fits *target* as it is."""
    return target.allowed is None and target.kind in _FITTING["text"]


def may_lose(target: Target) -> bool:
    """Whether there are values that do not fit *target*."""
    return target.kind != "any" or target.allowed is not None or target.many is False


def infer(rule: Rule, pack: Pack, known: Known) -> Static:
    """What *rule* makes, or what stands in for it."""
    static = own(rule, pack, known)
    return static if rule.otherwise is None else either(static, infer(rule.otherwise, pack, known))


def own(rule: Rule, pack: Pack, known: Known) -> Static:
    """What *rule* itself makes."""
    static = source(rule, pack, known)
    for call in rule.calls:
        static = after(call, static, pack)
    return static if rule.when is None else replace(static, sure=False)


def source(rule: Rule, pack: Pack, known: Known) -> Static:
    """What the source of *rule* makes, before any function."""
    match rule.source:
        case From(ref):
            return reading(ref, known)
        case FirstOf(rules):
            found = infer(rules[0], pack, known)
            for part in rules[1:]:
                found = either(found, infer(part, pack, known))
            return found
        case AllOf(rules):
            parts = [infer(part, pack, known) for part in rules]
            kinds = {part.kind for part in parts}
            kind = kinds.pop() if len(kinds) == 1 else "any"
            return Static(kind, many=True, sure=any(part.sure for part in parts))
        case Constant(value):
            return constant(value)
        case Template(parts):
            return Static("text", many=False, sure=_always(parts, known))


def reading(ref: Ref, known: Known) -> Static:
    """What *ref* leads to."""
    if ref.root == RECORD and ref.path:
        return Static(often=ref.path[0] in _LISTS)
    if ref.root == "account" and ref.path in (("id",), ("name",)):
        return Static("text", many=False)
    found = known.get(ref.root, UNKNOWN)
    return Static(often=found.often or found.many is True) if ref.path else found


def constant(value: Plain) -> Static:
    """What a fixed value is."""
    sure = not absent(value)
    if isinstance(value, bool):
        return Static("boolean", many=False, sure=sure)
    if isinstance(value, str):
        return Static("text", many=False, sure=sure)
    if isinstance(value, int):
        small = -(1 << 63) <= value < 1 << 63
        return Static("integer" if small else "any", many=False, sure=sure)
    return UNKNOWN


def after(call: Call, static: Static, pack: Pack) -> Static:
    """What *call* makes of a value of which *static* is known."""
    function = FUNCTIONS[call.name]
    if isinstance(call.argument, TableName):
        return _entry(table_entries(call.argument, pack), static)
    kind = static.kind if function.gives == "same" else function.gives
    many = {"one": False, "many": True, "any": None, "same": static.many}[function.shape]
    always = function.always == "for any value" or (function.always == "for text" and static.kind in WORDS)
    return Static(
        kind if kind in _FITTING else "any", many, static.sure and always, many is None and static.often
    )


def either(left: Static, right: Static) -> Static:
    """What is known of *left*, or of *right* where *left* has no value."""
    return Static(
        left.kind if left.kind == right.kind else "any",
        left.many if left.many == right.many else None,
        sure=left.sure or right.sure,
        often=left.often or left.many is True,
    )


def loses(rule: Rule, pack: Pack, known: Known) -> bool:
    """Whether *rule* may report something lost."""
    parts = rule.source.rules if isinstance(rule.source, FirstOf | AllOf) else ()
    parts = (*parts, rule.otherwise) if rule.otherwise is not None else parts
    if any(loses(part, pack, known) for part in parts):
        return True
    static = source(rule, pack, known)
    for call in rule.calls:
        if _call_loses(call, static, pack):
            return True
        static = after(call, static, pack)
    return False


def _always(parts: Sequence[str | Ref], known: Known) -> bool:
    """Whether a template of *parts* has a value for every record."""
    refs = [part for part in parts if isinstance(part, Ref)]
    if refs and not any(reading(ref, known).sure for ref in refs):
        return False
    if len(refs) < len(parts):
        return True
    return any(static.sure and static.kind in WORDS for static in (reading(ref, known) for ref in refs))


def _entry(entries: Mapping[str, object], static: Static) -> Static:
    kinds = {constant(value).kind if isinstance(value, str | int) else "any" for value in entries.values()}
    single = len(kinds) == 1 and "any" not in kinds
    sure = static.sure and single and "*" in entries
    return Static(kinds.pop(), static.many, sure, static.often) if single else UNKNOWN


def _call_loses(call: Call, static: Static, pack: Pack) -> bool:
    if call.name == "each" and isinstance(call.argument, Mapping):
        return any(loses(rule, pack, {}) for rule in call.argument.values())
    how = FUNCTIONS[call.name].loses
    return how == "always" or (how == "unless text" and static.kind not in _WRITTEN)


_WRITTEN = WORDS | {"integer", "number", "boolean"}
