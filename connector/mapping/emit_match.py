"""Writes matches as Python expressions. Common comparisons are inline, the others call ``comparisons``."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import TypeAlias

from connector.mapping.comparisons import COMPARISONS, matcher, searcher
from connector.mapping.emit import Emitter
from connector.mapping.grammar import ELEMENT, RECORD, All, Constant, Match, Not, Ref, Test
from connector.mapping.infer import UNKNOWN, Static
from connector.mapping.values import Value

Constants: TypeAlias = tuple[Value, ...]

NOTHING: Mapping[str, Static] = MappingProxyType({})
ELEMENT_NAME = "e"


def raw(emitter: Emitter, ref: Ref) -> str:
    """An expression for what *ref* leads to, as it is: it may be "", [] or {} where a path has one step."""
    if ref.root == RECORD:
        if len(ref.path) == 1:
            return f"get({ref.path[0]!a})"
        return f"walk(body, {emitter.constant(ref.path)})"
    name = ELEMENT_NAME if ref.root == ELEMENT else f"n_{ref.root}"
    return f"walk({name}, {emitter.constant(ref.path)})" if ref.path else name


def clean(emitter: Emitter, ref: Ref) -> str:
    """An expression for what *ref* leads to; no value is ``None``."""
    found = raw(emitter, ref)
    sure = found.startswith("walk(") or (ref.root not in (RECORD, ELEMENT) and not ref.path)
    return found if sure else f"some({found})"


def match_code(emitter: Emitter, match: Match, known: Mapping[str, Static] = NOTHING) -> str:
    """An expression that is true where *match* holds; *known* tells of derived and provided values."""
    if isinstance(match, Not):
        return f"(not {match_code(emitter, match.part, known)})"
    if isinstance(match, Test):
        return _test(emitter, match, known)
    word = " and " if isinstance(match, All) else " or "
    return "(" + word.join(match_code(emitter, part, known) for part in match.parts) + ")"


def _test(emitter: Emitter, test: Test, known: Mapping[str, Static]) -> str:
    if test.comparison == "exists":
        wanted = test.operands == (Constant(value=True),)
        return f"({clean(emitter, test.ref)} is {'not ' if wanted else ''}None)"
    if any(isinstance(operand, Ref) for operand in test.operands):
        return _with_refs(emitter, test, known)
    constants = tuple(operand.value for operand in test.operands if isinstance(operand, Constant))
    quick = _QUICK.get(test.comparison)
    static = UNKNOWN if test.ref.path else known.get(test.ref.root, UNKNOWN)
    code = quick(emitter, test, constants, static) if quick else None
    return code or _slow(emitter, test, emitter.constant(constants))


def _slow(emitter: Emitter, test: Test, operands: str, value: str | None = None) -> str:
    compare = emitter.constant(COMPARISONS[test.comparison], "compare")
    return f"holds({compare}, {value or clean(emitter, test.ref)}, {operands})"


def _with_refs(emitter: Emitter, test: Test, known: Mapping[str, Static]) -> str:
    [operand, *more] = test.operands
    if not more and isinstance(operand, Ref) and not operand.path and test.comparison == "is":
        static = known.get(operand.root, UNKNOWN)
        if static.kind == "text" and static.many is False:
            value, wanted = emitter.fresh("m"), clean(emitter, operand)
            slow = _slow(emitter, test, f"operands({wanted})", f"some({value})")
            read = f"({value} := {raw(emitter, test.ref)})"
            return f"({value} == {wanted} if {read}.__class__ is str else {slow})"
    parts = [
        f"*operands({clean(emitter, operand)})"
        if isinstance(operand, Ref)
        else emitter.constant(operand.value)
        for operand in test.operands
    ]
    return _slow(emitter, test, f"({', '.join(parts)},)")


def _quick_is(emitter: Emitter, test: Test, constants: Constants, static: Static) -> str | None:
    read = raw(emitter, test.ref)
    if all(isinstance(constant, str) for constant in constants):
        return _quick_text(emitter, read, constants, static)
    if len(constants) == 1 and isinstance(constants[0], bool):
        if static.kind == "boolean" and static.many is False:
            return f"({read} is {constants[0]})"
        value = emitter.fresh("m")
        slow = _slow(emitter, test, emitter.constant(constants), value)
        return f"(({value} := {read}) is {constants[0]} or ({value}.__class__ is list and {slow}))"
    return None


def _quick_text(emitter: Emitter, read: str, constants: Constants, static: Static) -> str:
    one = emitter.constant(constants[0])
    if len(constants) == 1 and static.kind == "text" and static.many is False:
        return f"({read} == {one})"
    value = emitter.fresh("m")
    if len(constants) == 1:
        return f"(({value} := {read}) == {one} or ({value}.__class__ is list and {one} in {value}))"
    texts = emitter.constant(frozenset(constants))
    return f"(({value} := {read}) is not None and holds_text({value}, {texts}))"


def _quick_order(emitter: Emitter, test: Test, constants: Constants, static: Static) -> str | None:
    del static
    if len(constants) != 1 or constants[0].__class__ is not int:
        return None
    sign = ">=" if test.comparison == "gte" else "<="
    read, limit = raw(emitter, test.ref), emitter.constant(constants[0])
    value = emitter.fresh("m")
    slow = _slow(emitter, test, emitter.constant(constants), value)
    return f"({value} {sign} {limit} if ({value} := {read}).__class__ is int else {slow})"


def _quick_matches(emitter: Emitter, test: Test, constants: Constants, static: Static) -> str:
    del static
    make = matcher if test.comparison == "matches" else searcher
    holding = make([str(constant) for constant in constants])
    return f"{emitter.constant(holding, 'holding')}({raw(emitter, test.ref)})"


_QUICK: Mapping[str, Callable[[Emitter, Test, Constants, Static], str | None]] = MappingProxyType(
    {
        "is": _quick_is,
        "gte": _quick_order,
        "lte": _quick_order,
        "matches": _quick_matches,
        "contains": _quick_matches,
    }
)
