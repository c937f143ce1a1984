"""Emits the rest: what of a record no field of the mapping shows."""

from __future__ import annotations

from collections.abc import Iterator

from connector.mapping.compiler.emitter import Emitter, FieldVariables
from connector.mapping.compiler.record_types import DOCUMENTED, TOP_LEVEL, UsualOrder
from connector.mapping.engine.conform import FORMS_FIT
from connector.mapping.engine.rest import CollectRest, FlatRest, NestedRest
from connector.mapping.language.grammar import RECORD


class RestEmitter:
    """Writes the rest of one function.

    Args:
        emitter: takes the code.
        reads: the fields of the record.
        rest: collects the rest of any record.
        checked: whether the record is a checked one.
    """

    def __init__(self, emitter: Emitter, reads: FieldVariables, rest: CollectRest, *, checked: bool) -> None:
        self._emitter = emitter
        self._reads = reads
        self._rest = rest
        self._checked = checked

    def write(self, into: str) -> None:
        """Put the rest into the object *into*."""
        collect = self._emitter.constant(self._rest, "rest")
        everything = f"{collect}(body, returned, {into}, notes)"
        if self._checked and isinstance(self._rest, NestedRest) and self._rest.typed:
            usual = f"documented and {self._emitter.constant(UsualOrder(), 'usual')}[(*body,)]"
            put = self._emitter.constant(self._rest.put, "put")
            put_typed = self._emitter.constant(self._rest.put_typed, "put_typed")
            with self._emitter.block(f"if {usual}:"):
                for name in TOP_LEVEL:
                    self._field(name, into, self._rest, put, put_typed)
            with self._emitter.block("else:"):
                self._emitter.line(everything)
        elif self._checked and isinstance(self._rest, FlatRest):
            there = " or ".join(["not documented", "len(returned) > 1", *self._left_over(self._rest)])
            with self._emitter.block(f"if {there}:"):
                self._emitter.line(everything)
            with self._emitter.block("elif returned:"):
                self._emitter.line("one = {name: body[name] for name in returned if name in body}")
                self._emitter.line(f"{collect}(one, returned, {into}, notes)")
        else:
            self._emitter.line(everything)

    def _left_over(self, rest: FlatRest) -> Iterator[str]:
        """Conditions under which a documented field is in a flat rest; most are in fields of their own."""
        for name in TOP_LEVEL:
            if name not in rest.dropped:
                there = f"{self._reads.received(name)} is not None"
                if name in rest.parts and DOCUMENTED[f"{RECORD}.{name}"].is_list is False:
                    parts = self._emitter.constant(rest.parts[name])
                    there = f"({there} and not {parts}.issuperset({self._reads.received(name)}))"
                yield there

    def _field(self, name: str, into: str, rest: NestedRest, put: str, put_typed: str) -> None:
        """One field of a record with all fields in their usual order; most are nothing but their value."""
        if name in rest.dropped and name not in self._reads:
            return
        value = self._reads.received(name)
        parts = rest.parts.get(name)
        if parts is not None and name not in FORMS_FIT and DOCUMENTED[f"{RECORD}.{name}"].is_list is False:
            self._part(name, value, into, put, self._emitter.constant(parts))
            return
        otherwise = f"{put}({name!a}, {value}, body, returned, {into}, notes)"
        head = f"if {value} is not None:"
        if name in rest.dropped:
            head, plain = f"if returned and {name!a} in returned and {value} is not None:", ""
        elif name in rest.special:
            plain = ""
        elif name in FORMS_FIT:
            plain = self._reads.test(FORMS_FIT[name], value)
            otherwise = f"{put_typed}({name!a}, {name!a}, {value}, {into}, notes)"
        else:
            plain = "True"
        with self._emitter.block(head):
            line = self._emitter.line
            if plain == "True":
                line(f"{into}[{name!a}] = {value}")
            elif plain:
                line(f"if {plain}: {into}[{name!a}] = {value}")
                line(f"else: {otherwise}")
            else:
                line(otherwise)

    def _part(self, name: str, value: str, into: str, put: str, parts: str) -> None:
        """One object of which *parts* are left out, unless it is returned."""
        line, block = self._emitter.line, self._emitter.block
        with block(f"if {value} is not None:"):
            with block(f"if {name!a} in returned:"):
                line(f"{put}({name!a}, {value}, body, returned, {into}, notes)")
            with block("else:"):
                line(f"kept = {{key: item for key, item in {value}.items() if key not in {parts}}}")
                line(f"if kept: {into}[{name!a}] = kept")
