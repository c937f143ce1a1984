"""Emits the rest: what of a record no field of the mapping shows."""

from __future__ import annotations

from connector.mapping.compiler.emitter import Emitter, FieldVariables
from connector.mapping.compiler.record_types import TOP_LEVEL, UsualOrder
from connector.mapping.engine.conform import FORMS_FIT
from connector.mapping.engine.rest import CollectRest, NestedRest


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
        if not self._checked or not isinstance(self._rest, NestedRest):
            self._emitter.line(everything)
            return
        put = self._emitter.constant(self._rest.put, "put")
        with self._emitter.block(f"if {self._emitter.constant(UsualOrder(), 'usual')}[(*body,)]:"):
            for name in TOP_LEVEL:
                self._field(name, into, self._rest, put)
        with self._emitter.block("else:"):
            self._emitter.line(everything)

    def _field(self, name: str, into: str, rest: NestedRest, put: str) -> None:
        """One field of a record with all fields in their usual order; most are nothing but their value."""
        if name in rest.dropped and name not in self._reads:
            return
        value = self._reads.received(name)
        otherwise = f"{put}({name!a}, {value}, body, returned, {into}, notes)"
        head = f"if {value} is not None:"
        if name in rest.dropped:
            head, plain = f"if returned and {name!a} in returned and {value} is not None:", ""
        elif name in rest.special:
            plain = ""
        elif name in FORMS_FIT:
            plain = f"{self._emitter.constant(FORMS_FIT[name], 'fits')}({value})"
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
