"""Emits matches as Python expressions: common comparisons inline, the others as calls of predicates."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import TypeAlias

from connector.mapping.compiler.emitter import Emitter, FieldVariables
from connector.mapping.compiler.inference import TEXT_KINDS, StaticType, TypeEnvironment, infer_ref
from connector.mapping.functions.predicates import (
    COMPARISONS,
    equality_predicate,
    glob_match,
    glob_predicate,
    substring_predicate,
)
from connector.mapping.functions.values import Value
from connector.mapping.language.grammar import ELEMENT, RECORD, All, Constant, Match, Not, Ref, Test

Constants: TypeAlias = tuple[Value, ...]


class MatchEmitter:
    """Writes the matches of one function. *known* tells of derived and provided values."""

    def __init__(self, emitter: Emitter, known: TypeEnvironment, reads: FieldVariables) -> None:
        self._emitter = emitter
        self._known = known
        self._reads = reads

    def code(self, match: Match, element: str = "") -> str:
        """An expression that is true where *match* holds; *element* is the variable that ``.`` stands for."""
        if isinstance(match, Not):
            return f"(not {self.code(match.part, element)})"
        if isinstance(match, Test):
            return self._test(match, element)
        if not match.parts:  # of a specialized mapping
            return str(isinstance(match, All))
        word = " and " if isinstance(match, All) else " or "
        return "(" + word.join(self.code(part, element) for part in match.parts) + ")"

    def raw(self, ref: Ref, element: str) -> str:
        """An expression for what *ref* leads to; inside an element it may be what is no value."""
        path = ref.path
        if ref.root == RECORD:
            if not path:
                return "(body or None)"
            start, path = self._reads[path[0]], path[1:]
        else:
            start = element if ref.root == ELEMENT else f"n_{ref.root}"
        if not path:
            return start
        known = self._known_text(ref, start) if len(path) == 1 else None
        if known is not None:
            return known
        slow = f"walk({start}, {self._emitter.constant(path)})"
        if ref.root == ELEMENT and len(path) == 1:
            return f"({start}.get({path[0]!a}) if type({start}) is dict else {slow})"
        return f"({slow} if {start} is not None else None)"

    def _known_text(self, ref: Ref, start: str) -> str | None:
        """An expression for the last step of *ref*, if it is known to lead to one text."""
        if not _is_one_text(infer_ref(ref, self._known)):
            return None
        name = ref.path[-1]
        if ref.root == "account":
            return f"({start}[{name!a}] or None)"
        if ref.root == ELEMENT:
            return f"{start}.get({name!a})"
        return f"({start}.get({name!a}) or None if {start} is not None else None)"

    def clean(self, ref: Ref, element: str) -> str:
        """An expression for what *ref* leads to; no value is ``None``."""
        value = self.raw(ref, element)
        if infer_ref(ref, self._known).always_present:
            return value
        return f"or_none({value})" if ref.root == ELEMENT and len(ref.path) < 2 else value  # noqa: PLR2004, walked

    def _test(self, test: Test, element: str) -> str:
        if test.comparison == "exists":
            expected = test.operands == (Constant(value=True),)
            return f"({self.clean(test.ref, element)} is {'not ' if expected else ''}None)"
        if any(isinstance(operand, Ref) for operand in test.operands):
            return self._with_refs(test, element)
        constants = tuple(operand.value for operand in test.operands if isinstance(operand, Constant))
        quick = _QUICK.get(test.comparison)
        code = quick(self, test, element, constants) if quick else None
        return code or self._slow(test, self._emitter.constant(constants), self.clean(test.ref, element))

    def _slow(self, test: Test, operands: str, value: str) -> str:
        compare = self._emitter.constant(COMPARISONS[test.comparison], "compare")
        return f"any_holds({compare}, {value}, {operands})"

    def _with_refs(self, test: Test, element: str) -> str:
        [operand, *more] = test.operands
        if (
            not more
            and isinstance(operand, Ref)
            and not operand.path
            and test.comparison in ("is", "is_verdict")
        ):
            static = infer_ref(operand, self._known)
            if static.kind in TEXT_KINDS:
                return self._same_text(test, element, self.clean(operand, element), static)
        parts = [
            f"*operands({self.clean(operand, element)})"
            if isinstance(operand, Ref)
            else self._emitter.constant(operand.value)
            for operand in test.operands
        ]
        return self._slow(test, f"({', '.join(parts)},)", self.clean(test.ref, element))

    def _same_text(self, test: Test, element: str, expected: str, static: StaticType) -> str:
        first, value = self._held(self.raw(test.ref, element))
        sure = static.is_list is False and static.always_present
        if sure and _is_one_text(infer_ref(test.ref, self._known)):
            if test.comparison == "is":
                return f"({first} == {expected})"
            folded = f"{value}.casefold() == {expected}.casefold()"
            return f"({first} == {expected} or {value} is not None and {folded})"
        texts = f"type({first}) is str"
        if static.is_list is not False or not static.always_present:
            texts += f" and type({expected}) is str"
        slow = self._slow(test, f"operands({expected})", f"or_none({value})")
        equal = f"{value} == {expected}"
        if test.comparison == "is_verdict":
            equal = f"({equal} or {slow})"
        return f"({equal} if {texts} else {value} is not None and {slow})"

    def _held(self, read: str) -> tuple[str, str]:
        """How *read* is written at its first use and at later ones, so that it is read once."""
        if read.isidentifier():
            return read, read
        value = self._emitter.fresh("m")
        return f"({value} := {read})", value

    def quick_is(self, test: Test, element: str, constants: Constants) -> str | None:
        """Equality with fixed texts, or with true or false."""
        static = infer_ref(test.ref, self._known)
        read = self.raw(test.ref, element)
        if all(isinstance(constant, str) for constant in constants):
            return self._among_texts(read, constants, static)
        if len(constants) == 1 and isinstance(constants[0], bool):
            if static.kind == "boolean" and static.is_list is False:
                return f"({read} is {constants[0]})"
            first, value = self._held(read)
            slow = self._slow(test, self._emitter.constant(constants), value)
            return f"({first} is {constants[0]} or type({value}) is list and {slow})"
        return None

    def _among_texts(self, read: str, constants: Constants, static: StaticType) -> str:
        one = self._emitter.constant(constants[0])
        if static.kind in TEXT_KINDS and static.is_list is False:
            many = len(constants) > 1
            return (
                f"({read} in {self._emitter.constant(frozenset(constants))})"
                if many
                else f"({read} == {one})"
            )
        first, value = self._held(read)
        if len(constants) == 1:
            if static.is_list:
                return f"({first} is not None and {one} in {value})"
            if static.usually_list:
                return f"(type({first}) is list and {one} in {value} or {value} == {one})"
            return f"({first} == {one} or type({value}) is list and {one} in {value})"
        texts = self._emitter.constant(frozenset(constants))
        slow = f"{value} is not None and any_is_text({value}, {texts})"
        return f"({value} in {texts} if type({first}) is str else {slow})"

    def quick_verdict(self, test: Test, element: str, constants: Constants) -> str | None:
        """Equality with fixed texts, in whatever case."""
        if not all(isinstance(constant, str) for constant in constants):
            return None
        predicate = self._emitter.constant(equality_predicate([str(each) for each in constants]), "holding")
        first, value = self._held(self.raw(test.ref, element))
        return f"({first} is not None and {predicate}({value}))"

    def quick_order(self, test: Test, element: str, constants: Constants) -> str | None:
        """At least or at most one whole number."""
        if len(constants) != 1 or type(constants[0]) is not int:
            return None
        sign = ">=" if test.comparison == "gte" else "<="
        static = infer_ref(test.ref, self._known)
        if static.kind == "integer" and static.is_list is False and static.always_present:
            return f"({self.raw(test.ref, element)} {sign} {constants[0]})"
        first, value = self._held(self.raw(test.ref, element))
        slow = self._slow(test, self._emitter.constant(constants), f"or_none({value})")
        return f"({value} {sign} {constants[0]} if type({first}) is int else {slow})"

    def quick_matches(self, test: Test, element: str, constants: Constants) -> str:
        """Patterns, and parts of texts."""
        texts = [str(constant) for constant in constants]
        make = glob_predicate if test.comparison == "matches" else substring_predicate
        holds = make(texts)
        # A pattern such as * would take an empty text for a value.
        read = self.clean if holds("") else self.raw
        holding = self._emitter.constant(holds, "holding")
        first, value = self._held(read(test.ref, element))
        if test.comparison == "matches" and _is_one_text(infer_ref(test.ref, self._known)):
            # Not remembered, as lists of categories are: ids and subjects do not come again.
            match = self._emitter.constant(glob_match(texts), "match")
            return f"({first} is not None and {match}({value}) is not None)"
        return f"({first} is not None and {holding}({value}))"


def _is_one_text(static: StaticType) -> bool:
    return static.kind in TEXT_KINDS and static.is_list is False


_QUICK: Mapping[str, Callable[[MatchEmitter, Test, str, Constants], str | None]] = MappingProxyType(
    {
        "is": MatchEmitter.quick_is,
        "is_verdict": MatchEmitter.quick_verdict,
        "gte": MatchEmitter.quick_order,
        "lte": MatchEmitter.quick_order,
        "matches": MatchEmitter.quick_matches,
        "contains": MatchEmitter.quick_matches,
    }
)
