"""What kind of value a rule is sure to make, so that the compiler can leave checks out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from connector.located import Plain
from connector.mapping.functions import FUNCTIONS
from connector.mapping.grammar import AllOf, Call, Constant, FirstOf, From, Rule, TableName, Template
from connector.mapping.pack import TIME, Pack
from connector.mapping.plan import Derived
from connector.mapping.schemas import Target

_FITTING: Mapping[str, frozenset[str]] = {
    "text": frozenset(("keyword", "text", "wildcard", "string")),
    "date": frozenset(("date", "keyword", "text", "wildcard", "string")),
    "ip": frozenset(("ip", "keyword", "text", "wildcard", "string")),
    "integer": frozenset(("long", "double", "epoch_ms")),
    "number": frozenset(("double",)),
    "boolean": frozenset(("boolean",)),
    "any": frozenset(),
}


@dataclass(frozen=True, slots=True)
class Static:
    """What is known of a value before it exists. *many*: a list, no list, or ``None`` for unknown."""

    kind: str = "any"
    many: bool | None = None


UNKNOWN = Static()


def fits(static: Static, target: Target) -> bool:
    """Whether every value of *static*, lists aside, fits *target* as it is."""
    return target.allowed is None and target.kind in _FITTING[static.kind]


def know(derived: Sequence[Derived], pack: Pack) -> dict[str, Static]:
    """What is sure of every provided and derived value."""
    known = {
        "collected": Static("date", many=False),
        "identity": Static("text", many=False),
        "revision": Static("integer", many=False),
        "search": Static("text", many=False),
        TIME: Static("date", many=False),
    }
    for item in derived:
        if item.name not in known:
            known[item.name] = infer(item.rule, pack, known)
    return known


def takes_text(target: Target) -> bool:
    """Whether every text fits *target* as it is."""
    return target.allowed is None and target.kind in ("keyword", "text", "wildcard", "string")


def infer(rule: Rule, pack: Pack, known: Mapping[str, Static]) -> Static:
    """What *rule* makes, given what is known of derived values."""
    static = source(rule, pack, known)
    for call in rule.calls:
        static = after(call, static, pack)
    if rule.otherwise is not None:
        static = _either(static, infer(rule.otherwise, pack, known))
    return static


def source(rule: Rule, pack: Pack, known: Mapping[str, Static]) -> Static:
    """What the source of *rule* makes, before any function."""
    match rule.source:
        case From(ref):
            return UNKNOWN if ref.path else known.get(ref.root, UNKNOWN)
        case FirstOf(rules):
            found = infer(rules[0], pack, known)
            for part in rules[1:]:
                found = _either(found, infer(part, pack, known))
            return found
        case AllOf(rules):
            kinds = {infer(part, pack, known).kind for part in rules}
            return Static(kinds.pop() if len(kinds) == 1 else "any", many=True)
        case Constant(value):
            return _constant(value)
        case Template():
            return Static("text", many=False)


def _constant(value: Plain) -> Static:
    if isinstance(value, bool):
        return Static("boolean", many=False)
    if isinstance(value, str):
        return Static("text", many=False)
    if isinstance(value, int):
        small = -(1 << 63) <= value < 1 << 63
        return Static("integer" if small else "any", many=False)
    return UNKNOWN


def after(call: Call, static: Static, pack: Pack) -> Static:
    """What *call* makes of a value of which *static* is known."""
    function = FUNCTIONS[call.name]
    if isinstance(call.argument, TableName):
        return _entry(pack.tables[call.argument.name].entries, static)
    kind = static.kind if function.gives == "same" else function.gives
    many = {"one": False, "many": True, "any": None, "same": static.many}[function.shape]
    return Static(kind if kind in _FITTING else "any", many)


def _entry(entries: Mapping[str, Plain], static: Static) -> Static:
    kinds = {_constant(value).kind for value in entries.values()}
    return Static(kinds.pop(), static.many) if len(kinds) == 1 and "any" not in kinds else UNKNOWN


def loses(rule: Rule, pack: Pack, known: Mapping[str, Static]) -> bool:
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


def _call_loses(call: Call, static: Static, pack: Pack) -> bool:
    if call.name == "each" and isinstance(call.argument, Mapping):
        return any(loses(rule, pack, {}) for rule in call.argument.values())
    how = FUNCTIONS[call.name].loses
    return how == "always" or (how == "unless text" and static.kind not in _WORDS)


_WORDS = frozenset(("text", "date", "ip", "integer", "number", "boolean"))


def _either(left: Static, right: Static) -> Static:
    return Static(
        left.kind if left.kind == right.kind else "any", left.many if left.many == right.many else None
    )
