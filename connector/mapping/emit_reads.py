"""Reads the fields of a record: every one once, at the start, and then by the name of a variable."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from types import MappingProxyType

from connector.mapping.compiler.emitter import Emitter
from connector.mapping.language.grammar import RECORD, Ref
from connector.mapping.schemas.fields import RECORD_FIELDS

_NAME = re.compile(r"[a-z0-9_]{1,60}")

_USUAL: Mapping[str, str] = MappingProxyType(
    {
        "list": "type({0}) is not list or not {0} or not all({0})",
        "boolean": "type({0}) is not bool",
        "object": "type({0}) is not dict or not {0}",
        "text": "type({0}) is not str or not {0}",
    }
)
"""When a field is not what it usually is, and has to be looked at: it may be no value."""


class Reads:
    """Variables by field of the record. What they hold is a value, or ``None``."""

    def __init__(self, emitter: Emitter, refs: Iterable[Ref]) -> None:
        self._variables: dict[str, str] = {}
        for ref in refs:
            if ref.root == RECORD and ref.path and ref.path[0] not in self._variables:
                self._variables[ref.path[0]] = self._read(emitter, ref.path[0])

    def __getitem__(self, field: str) -> str:
        return self._variables[field]

    @staticmethod
    def _read(emitter: Emitter, field: str) -> str:
        variable = f"r_{field}" if _NAME.fullmatch(field) else emitter.fresh("r")
        emitter.line(f"{variable} = get({field!a})")
        unusual = _USUAL[_SHAPES.get(field, "text")].format(variable)
        emitter.line(f"if {variable} is not None and ({unusual}): {variable} = some({variable})")
        return variable


def _shapes() -> Mapping[str, str]:
    """How every known field usually looks."""
    shapes: dict[str, str] = {}
    for path, kind in RECORD_FIELDS.items():
        if path.endswith("[]"):
            shapes[path.removesuffix("[]")] = "list"
        elif kind in ("boolean", "object"):
            shapes[path] = kind
    return MappingProxyType(shapes)


_SHAPES = _shapes()
