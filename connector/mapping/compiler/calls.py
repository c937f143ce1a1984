"""Emits calls of mapping functions (``as``): inline code where the type is known, else a function call."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from types import MappingProxyType
from typing import Protocol

from connector.mapping.compiler.emitter import Emitter, Expression, FieldVariables
from connector.mapping.compiler.inference import TEXT, TEXT_KINDS, StaticType, element_type, infer_call
from connector.mapping.compiler.matches import MatchEmitter
from connector.mapping.compiler.record_types import fields_of_element
from connector.mapping.engine.plan import bind_call, bind_calls, table_entries
from connector.mapping.functions.dates import epoch_ms_of_date
from connector.mapping.functions.registry import FUNCTIONS, Function
from connector.mapping.language.grammar import ELEMENT, All, AnyOf, Call, Match, Not, Rule, TableRef, Test
from connector.mapping.language.pack import Pack


class EmitRule(Protocol):
    """Writes a rule inside an element; see ``RuleEmitter.rule``."""

    def __call__(self, rule: Rule, out: str | None = None, element: str = "") -> Expression:
        """Write *rule*."""
        ...


class CallEmitter:
    """Writes calls on values. *rule* writes the rules inside of ``each``."""

    def __init__(
        self,
        emitter: Emitter,
        pack: Pack,
        matches: MatchEmitter,
        rule: EmitRule,
        known: dict[str, StaticType],
        reads: FieldVariables,
    ) -> None:
        self._emitter = emitter
        self._reads = reads
        self._known = known
        self._pack = pack
        self._matches = matches
        self._rule = rule

    def write(self, calls: tuple[Call, ...], expression: Expression, out: str | None) -> Expression:
        """Emit *calls* on *expression*, from left to right; an absent value stays absent."""
        static = expression.static
        for call in calls:
            static = infer_call(call, static, self._pack)
        if self._unsure(calls, expression.static):
            return Expression(self._by_shape(calls, expression, out), static)
        if expression.static.always_present and len(calls) == 1:
            return self._apply(calls[0], expression, out)
        if expression.static.always_present:
            out = out or self._emitter.fresh()
            self._chain(calls, expression, out)
            return Expression(out, static)
        value = self._emitter.named(expression)
        out = out or self._emitter.fresh()
        self._nothing(out, value.code)
        with self._emitter.block(f"if {value.code} is not None:"):
            self._chain(calls, value, out)
        return Expression(out, static)

    def _unsure(self, calls: tuple[Call, ...], static: StaticType) -> bool:
        """Whether it pays to test at run time if the value is a list before the first of *calls*."""
        first = FUNCTIONS[calls[0].name]
        if static.is_list is not None or any(FUNCTIONS[call.name].code is None for call in calls):
            return False
        return not first.takes_list or (first.unchanged is not None and not static.usually_list)

    def _by_shape(self, calls: tuple[Call, ...], expression: Expression, out: str | None) -> str:
        """Inline code for the usual type of the value, one function call for every other type."""
        value = self._emitter.named(expression).code
        out = out or self._emitter.fresh()
        static = expression.static
        if static.usually_list:
            test, usual = f"type({value}) is list", replace(static, is_list=True, always_present=True)
        elif static.kind in TEXT_KINDS or static.kind == "any":
            kind = TEXT.kind if static.kind == "any" else static.kind
            test, usual = f"type({value}) is str", StaticType(kind, is_list=False, always_present=True)
        else:
            test, usual = f"type({value}) is not list", replace(static, is_list=False, always_present=True)
            test += "" if static.always_present else f" and {value} is not None"
        with self._emitter.block(f"if {test}:"):
            self._chain(calls, Expression(value, usual), out)
        with self._emitter.block("else:" if static.always_present else f"elif {value} is not None:"):
            takes_list = self._emitter.constant(bind_calls(calls, self._pack), "f")
            self._emitter.line(f"{out} = {takes_list}({value}, lost)")
        if not static.always_present and out != value:
            with self._emitter.block("else:"):
                self._emitter.line(f"{out} = None")
        return out

    def _nothing(self, out: str, value: str) -> None:
        if out != value:
            self._emitter.line(f"{out} = None")

    def _chain(self, calls: tuple[Call, ...], expression: Expression, out: str) -> None:
        """*calls* on a value that is there, into the variable *out*."""
        expression = Expression(expression.code, replace(expression.static, always_present=True))
        with ExitStack() as blocks:
            for index, call in enumerate(calls):
                expression = self._apply(call, expression, out)
                if index + 1 < len(calls) and not expression.static.always_present:
                    self._emitter.assigned(expression, out)
                    blocks.enter_context(self._emitter.block(f"if {out} is not None:"))
                    expression = Expression(out, replace(expression.static, always_present=True))
            self._emitter.assigned(expression, out)

    def _apply(self, call: Call, expression: Expression, out: str | None) -> Expression:
        """One call on a value that is there."""
        static = infer_call(call, expression.static, self._pack)
        argument = call.argument
        if isinstance(argument, Test | All | AnyOf | Not):
            if call.name == "only":
                return Expression(self._only(argument, expression), static)
            return Expression(self._pick(argument, expression, out or self._emitter.fresh()), static)
        if isinstance(argument, Mapping):
            return Expression(self._each(argument, expression), static)
        function = FUNCTIONS[call.name]
        write = self._on_list if function.takes_list else self._scalar
        return Expression(write(call, function, expression), static)

    # Whole lists

    def _on_list(self, call: Call, function: Function, expression: Expression) -> str:
        static = expression.static
        if static.kind in TEXT_KINDS and static.is_list is not None:
            short = (_ON_TEXTS if static.is_list else _ON_TEXT).get(call.name)
            if short is not None:
                value = self._emitter.named(expression).code if short.count("{0}") > 1 else expression.code
                return short.format(value, ascii(call.argument))
        if static.kind in TEXT_KINDS and call.name == "join":  # one text or a list of them
            value = self._emitter.named(expression).code
            return f"({value} if type({value}) is str else {call.argument!a}.join({value}))"
        if call.name == "count" and static.is_list:
            return f"len({expression.code})"
        slow = self._emitter.constant(bind_call(call, self._pack), "f")
        if function.unchanged is not None and static.kind in TEXT_KINDS and static.is_list is not None:
            value = self._emitter.named(expression).code
            if static.is_list:
                first = self._reads.test(function.unchanged, f"{value}[0]")
                return f"({value} if len({value}) == 1 and {first} else {slow}({value}, lost))"
            return f"([{value}] if {self._reads.test(function.unchanged, value)} else {slow}({value}, lost))"
        return f"{slow}({expression.code}, lost)"

    def _elements(self, expression: Expression) -> str:
        """The elements of a list, or the one value."""
        if expression.static.is_list is not None:
            return expression.code if expression.static.is_list else f"({expression.code},)"
        value = self._emitter.named(expression).code
        return f"({value} if type({value}) is list else ({value},))"

    @contextmanager
    def _element_of(self, static: StaticType) -> Iterator[None]:
        """While it is open, references to the element are to one of *static*."""
        outer = {name: self._known.pop(name) for name in [*self._known] if name.startswith(ELEMENT)}
        inner = {ELEMENT: element_type(static)} if static.kind in TEXT_KINDS else {}
        if static.fields and static.is_list:
            inner = fields_of_element(static.fields)
        self._known.update(inner)
        yield
        for name in inner:
            del self._known[name]
        self._known.update(outer)

    def _only(self, match: Match, expression: Expression) -> str:
        element, results = self._emitter.fresh("e"), self._emitter.fresh("l")
        elements = self._elements(expression)
        self._emitter.line(f"{results} = []")
        with self._emitter.block(f"for {element} in {elements}:"):
            with self._element_of(expression.static):
                condition = self._matches.code(match, element)
            self._emitter.line(f"if {condition}: {results}.append({element})")
        return f"({results} or None)"

    def _pick(self, match: Match, expression: Expression, out: str) -> str:
        element = self._emitter.fresh("e")
        line, block = self._emitter.line, self._emitter.block
        elements = self._elements(expression)
        with self._element_of(expression.static):
            condition = self._matches.code(match, element)
        with block(f"for {element} in {elements}:"), block(f"if {condition}:"):
            line(f"{out} = or_none({element})")
            line("break")
        with block("else:"):
            line(f"{out} = None")
        return out

    def _each(self, rules: Mapping[str, Rule], expression: Expression) -> str:
        element, results = self._emitter.fresh("e"), self._emitter.fresh("l")
        line, block = self._emitter.line, self._emitter.block
        loop = f"for {element} in {self._elements(expression)}:"
        line(f"{results} = []")
        if expression.static.is_list is False:
            loop = ""
            line(f"{element} = {expression.code}")
        with block(loop), self._element_of(expression.static):
            built = self._emitter.fresh("o")
            sure: list[str] = []
            values: list[tuple[str, Expression]] = []
            for key, rule in rules.items():
                value = self._rule(rule, None, element)
                if value.static.always_present and not values and "." not in key:
                    sure.append(f"{key!a}: {value.code}")
                else:
                    values.append((key, value if value.static.always_present else self._emitter.named(value)))
            line(f"{built} = {{{', '.join(sure)}}}")
            for key, value in values:
                with block("" if value.static.always_present else f"if {value.code} is not None:"):
                    path = tuple(key.split("."))
                    deep = f"put({built}, {self._emitter.constant(path)}, {value.code})"
                    line(f"{built}[{key!a}] = {value.code}" if len(path) == 1 else deep)
            line(f"{'' if sure else f'if {built}: '}{results}.append({built})")
        return f"({results} or None)"

    # Single values, and lists of them one by one

    def _scalar(self, call: Call, function: Function, expression: Expression) -> str:
        slow = self._emitter.constant(bind_call(call, self._pack), "f")
        if isinstance(call.argument, TableRef):
            return self._looked_up(call.argument, slow, expression)
        if expression.static.is_list:
            return self._one_by_one(call, function, slow, expression)
        if expression.static.is_list is None:
            return self._either_way(slow, expression)
        quick = (
            self._of_text(call, function, slow, expression) if expression.static.kind in TEXT_KINDS else None
        )
        return quick or f"{slow}({expression.code}, lost)"

    def _of_text(self, call: Call, function: Function, slow: str, expression: Expression) -> str | None:
        """A call on one text, as short as there is."""
        if expression.static.kind == "date" and call.name == "epoch_ms":
            return f"{self._emitter.constant(epoch_ms_of_date, 'f')}({expression.code}, lost)"
        if expression.static.kind == "ip" and call.name in _HAS_COLON:  # it is in canonical form
            value = self._emitter.named(expression).code
            return f"({value} if {_HAS_COLON[call.name].format(value)} else None)"
        short = function.short(call.argument)
        if function.inline is not None:
            code = self._inlined(call, function, expression)
            return code if code.isidentifier() else f"({code})"
        if short is not None:
            return f"{self._emitter.constant(short, 'f')}({expression.code})"
        if function.unchanged is not None:
            value = self._emitter.named(expression).code
            return f"({value} if {self._reads.test(function.unchanged, value)} else {slow}({value}, lost))"
        return None

    def _inlined(self, call: Call, function: Function, expression: Expression) -> str:
        """A call on one text as an expression."""
        inline = function.inline
        if expression.static.kind == "address" and call.name == "domain":
            return f"{expression.code}.rpartition('@')[2].rstrip('.') or None"
        if inline is None:
            raise TypeError("this function is no expression")
        if inline("{}", "").count("{}") > 1:
            expression = self._emitter.named(expression)
        return inline(expression.code, ascii(call.argument))

    def _either_way(self, slow: str, expression: Expression) -> str:
        value = self._emitter.named(expression).code
        return (
            f"({slow}({value}, lost) if type({value}) is not list else map_elements({slow}, {value}, lost))"
        )

    def _one_by_one(self, call: Call, function: Function, slow: str, expression: Expression) -> str:
        short = function.short(call.argument)
        if short is not None:
            element, found, value = (self._emitter.fresh(start) for start in "elv")
            line, block = self._emitter.line, self._emitter.block
            text = Expression(element, element_type(expression.static))
            quick = self._emitter.constant(short, "f")
            if text.static.kind not in TEXT_KINDS:
                code = f"{quick}({element}) if type({element}) is str else {slow}({element}, lost)"
            elif function.inline is not None:
                code = self._inlined(call, function, text)
            else:
                return f"([*filter(None, map({quick}, {expression.code}))] or None)"
            line(f"{found} = []")
            with block(f"for {element} in {expression.code}:"):
                line(f"{value} = {code}")
                line(f"if {value} is not None: {found}.append({value})")
            return f"({found} or None)"
        if function.unchanged is not None:
            unchanged = self._emitter.constant(function.unchanged, "kept")
            return f"map_unless_unchanged({unchanged}, {slow}, {expression.code}, lost)"
        return f"map_elements({slow}, {expression.code}, lost)"

    def _looked_up(self, table: TableRef, slow: str, expression: Expression) -> str:
        static = expression.static
        if static.kind in TEXT_KINDS and static.is_list is False:
            entries = table_entries(table, self._pack)
            default = self._emitter.constant(entries.get("*"))
            return f"{self._emitter.constant(entries, 't')}.get({expression.code}, {default})"
        if static.is_list:
            return f"map_elements({slow}, {expression.code}, lost)"
        return (
            f"{slow}({expression.code}, lost)"
            if static.is_list is False
            else self._either_way(slow, expression)
        )


_HAS_COLON: Mapping[str, str] = MappingProxyType({"ipv4": "':' not in {0}", "ipv6": "':' in {0}"})
"""Which version an address in canonical form has."""

_ON_TEXTS: Mapping[str, str] = MappingProxyType(
    {
        "unique": "({0} if len({0}) == 1 else [*distinct({0})])",
        "join": "{1}.join({0})",
        "first": "{0}[0]",
        "last": "{0}[-1]",
    }
)
"""Functions on a list of texts as expressions of the list and the argument."""

_ON_TEXT: Mapping[str, str] = MappingProxyType(dict.fromkeys(("unique", "join", "first", "last"), "{0}"))
"""The same on one text."""
