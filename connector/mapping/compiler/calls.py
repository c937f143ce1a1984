"""Writes the functions of ``as``. What is known of a value decides between a short way and the whole one."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import replace
from types import MappingProxyType
from typing import Protocol

from connector.mapping.compiler.emitter import Emitter, Made
from connector.mapping.compiler.inference import TEXT, WORDS, Static, after
from connector.mapping.compiler.matches import MatchWriter
from connector.mapping.engine.plan import applied, chained, table_entries
from connector.mapping.functions.registry import FUNCTIONS, Function
from connector.mapping.language.grammar import All, AnyOf, Call, Match, Not, Rule, TableName, Test
from connector.mapping.language.pack import Pack


class WriteRule(Protocol):
    """Writes a rule inside an element; see ``RuleWriter.rule``."""

    def __call__(self, rule: Rule, out: str | None = None, element: str = "") -> Made:
        """Write *rule*."""
        ...


class CallWriter:
    """Writes calls on values. *rule* writes the rules inside of ``each``."""

    def __init__(self, emitter: Emitter, pack: Pack, matches: MatchWriter, rule: WriteRule) -> None:
        self._emitter = emitter
        self._pack = pack
        self._matches = matches
        self._rule = rule

    def write(self, calls: tuple[Call, ...], made: Made, out: str | None) -> Made:
        """*calls* on *made*, one after the other; no value stays none."""
        static = made.static
        for call in calls:
            static = after(call, static, self._pack)
        if self._unsure(calls, made.static):
            return Made(self._by_shape(calls, made, out), static)
        if made.static.sure and len(calls) == 1:
            return self._apply(calls[0], made, out)
        if made.static.sure:
            out = out or self._emitter.fresh()
            self._chain(calls, made, out)
            return Made(out, static)
        value = self._emitter.held(made)
        out = out or self._emitter.fresh()
        self._nothing(out, value.code)
        with self._emitter.block(f"if {value.code} is not None:"):
            self._chain(calls, value, out)
        return Made(out, static)

    def _unsure(self, calls: tuple[Call, ...], static: Static) -> bool:
        """Whether the first of *calls* gains from a look at the value: is it one, or a list?"""
        first = FUNCTIONS[calls[0].name]
        if static.many is not None or any(FUNCTIONS[call.name].code is None for call in calls):
            return False
        return not first.whole or (first.keeps is not None and not static.often)

    def _by_shape(self, calls: tuple[Call, ...], made: Made, out: str | None) -> str:
        """The short way for what is usual, one function for everything else."""
        value = self._emitter.held(made).code
        out = out or self._emitter.fresh()
        static = made.static
        if static.often:
            test, usual = f"type({value}) is list", replace(static, many=True, sure=True)
        elif static.kind in WORDS or static.kind == "any":
            kind = TEXT.kind if static.kind == "any" else static.kind
            test, usual = f"type({value}) is str", Static(kind, many=False, sure=True)
        else:
            test, usual = f"type({value}) is not list", replace(static, many=False, sure=True)
            test += "" if static.sure else f" and {value} is not None"
        with self._emitter.block(f"if {test}:"):
            self._chain(calls, Made(value, usual), out)
        with self._emitter.block("else:" if static.sure else f"elif {value} is not None:"):
            whole = self._emitter.constant(chained(calls, self._pack), "f")
            self._emitter.line(f"{out} = {whole}({value}, lost)")
        if not static.sure and out != value:
            with self._emitter.block("else:"):
                self._emitter.line(f"{out} = None")
        return out

    def _nothing(self, out: str, value: str) -> None:
        if out != value:
            self._emitter.line(f"{out} = None")

    def _chain(self, calls: tuple[Call, ...], made: Made, out: str) -> None:
        """*calls* on a value that is there, into the variable *out*."""
        made = Made(made.code, replace(made.static, sure=True))
        with ExitStack() as blocks:
            for index, call in enumerate(calls):
                made = self._apply(call, made, out)
                if index + 1 < len(calls) and not made.static.sure:
                    self._emitter.into(made, out)
                    blocks.enter_context(self._emitter.block(f"if {out} is not None:"))
                    made = Made(out, replace(made.static, sure=True))
            self._emitter.into(made, out)

    def _apply(self, call: Call, made: Made, out: str | None) -> Made:
        """One call on a value that is there."""
        static = after(call, made.static, self._pack)
        argument = call.argument
        if isinstance(argument, Test | All | AnyOf | Not):
            if call.name == "only":
                return Made(self._only(argument, made), static)
            return Made(self._pick(argument, made, out or self._emitter.fresh()), static)
        if isinstance(argument, Mapping):
            return Made(self._each(argument, made), static)
        function = FUNCTIONS[call.name]
        write = self._whole if function.whole else self._scalar
        return Made(write(call, function, made), static)

    # Whole lists

    def _whole(self, call: Call, function: Function, made: Made) -> str:
        static = made.static
        if static.kind in WORDS and static.many is not None:
            short = (_ON_TEXTS if static.many else _ON_TEXT).get(call.name)
            if short is not None:
                return short.format(made.code, ascii(call.argument))
        if call.name == "count" and static.many:
            return f"len({made.code})"
        slow = self._emitter.constant(applied(call, self._pack), "f")
        if function.keeps is not None and static.kind in WORDS and static.many is False:
            value = self._emitter.held(made).code
            keeps = self._emitter.constant(function.keeps, "kept")
            return f"([{value}] if {keeps}[{value}] else {slow}({value}, lost))"
        return f"{slow}({made.code}, lost)"

    def _elements(self, made: Made) -> str:
        """The elements of a list, or the one value."""
        if made.static.many is not None:
            return made.code if made.static.many else f"({made.code},)"
        value = self._emitter.held(made).code
        return f"({value} if type({value}) is list else ({value},))"

    def _only(self, match: Match, made: Made) -> str:
        element, found = self._emitter.fresh("e"), self._emitter.fresh("l")
        elements = self._elements(made)
        self._emitter.line(f"{found} = []")
        with self._emitter.block(f"for {element} in {elements}:"):
            self._emitter.line(f"if {self._matches.code(match, element)}: {found}.append({element})")
        return f"({found} or None)"

    def _pick(self, match: Match, made: Made, out: str) -> str:
        element = self._emitter.fresh("e")
        line, block = self._emitter.line, self._emitter.block
        loop, found = f"for {element} in {self._elements(made)}:", f"if {self._matches.code(match, element)}:"
        with block(loop), block(found):
            line(f"{out} = some({element})")
            line("break")
        with block("else:"):
            line(f"{out} = None")
        return out

    def _each(self, rules: Mapping[str, Rule], made: Made) -> str:
        element, found = self._emitter.fresh("e"), self._emitter.fresh("l")
        line, block = self._emitter.line, self._emitter.block
        elements = self._elements(made)
        line(f"{found} = []")
        with block(f"for {element} in {elements}:"):
            built = self._emitter.fresh("o")
            line(f"{built} = {{}}")
            for key, rule in rules.items():
                value = self._rule(rule, None, element)
                if not value.static.sure:
                    value = self._emitter.held(value)
                with block("" if value.static.sure else f"if {value.code} is not None:"):
                    path = tuple(key.split("."))
                    deep = f"put({built}, {self._emitter.constant(path)}, {value.code})"
                    line(f"{built}[{key!a}] = {value.code}" if len(path) == 1 else deep)
            line(f"if {built}: {found}.append({built})")
        return f"({found} or None)"

    # Single values, and lists of them one by one

    def _scalar(self, call: Call, function: Function, made: Made) -> str:
        slow = self._emitter.constant(applied(call, self._pack), "f")
        if isinstance(call.argument, TableName):
            return self._looked_up(call.argument, slow, made)
        if made.static.many:
            return self._one_by_one(call, function, slow, made)
        if made.static.many is None:
            return self._either_way(slow, made)
        quick = self._of_text(call, function, slow, made) if made.static.kind in WORDS else None
        return quick or f"{slow}({made.code}, lost)"

    def _of_text(self, call: Call, function: Function, slow: str, made: Made) -> str | None:
        """A call on one text, as short as there is."""
        short = function.short(call.argument)
        if function.inline is not None:
            code = function.inline(made.code, ascii(call.argument))
            return code if code.isidentifier() else f"({code})"
        if short is not None:
            return f"{self._emitter.constant(short, 'f')}({made.code})"
        if function.keeps is not None:
            value, keeps = self._emitter.held(made).code, self._emitter.constant(function.keeps, "kept")
            return f"({value} if {keeps}[{value}] else {slow}({value}, lost))"
        return None

    def _either_way(self, slow: str, made: Made) -> str:
        value = self._emitter.held(made).code
        return f"({slow}({value}, lost) if type({value}) is not list else over({slow}, {value}, lost))"

    def _one_by_one(self, call: Call, function: Function, slow: str, made: Made) -> str:
        short = function.short(call.argument)
        if short is not None:
            quick = self._emitter.constant(short, "f")
            if made.static.kind in WORDS:
                return f"([*filter(None, map({quick}, {made.code}))] or None)"
            element, found, value = (self._emitter.fresh(start) for start in "elv")
            line, block = self._emitter.line, self._emitter.block
            line(f"{found} = []")
            with block(f"for {element} in {made.code}:"):
                line(f"{value} = {quick}({element}) if type({element}) is str else {slow}({element}, lost)")
                line(f"if {value} is not None: {found}.append({value})")
            return f"({found} or None)"
        if function.keeps is not None:
            keeps = self._emitter.constant(function.keeps, "kept")
            return f"over_kept({keeps}, {slow}, {made.code}, lost)"
        return f"over({slow}, {made.code}, lost)"

    def _looked_up(self, table: TableName, slow: str, made: Made) -> str:
        static = made.static
        if static.kind in WORDS and static.many is False:
            entries = table_entries(table, self._pack)
            default = self._emitter.constant(entries.get("*"))
            return f"{self._emitter.constant(entries, 't')}.get({made.code}, {default})"
        if static.many:
            return f"over({slow}, {made.code}, lost)"
        return f"{slow}({made.code}, lost)" if static.many is False else self._either_way(slow, made)


_ON_TEXTS: Mapping[str, str] = MappingProxyType(
    {"unique": "[*distinct({0})]", "join": "{1}.join({0})", "first": "{0}[0]", "last": "{0}[-1]"}
)
"""Functions on a list of texts as expressions of the list and the argument."""

_ON_TEXT: Mapping[str, str] = MappingProxyType(dict.fromkeys(("unique", "join", "first", "last"), "{0}"))
"""The same on one text."""
