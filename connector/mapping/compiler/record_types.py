"""The documented types of a record's fields, checked for a whole record at once by msgspec, which is C.

A record in which every documented field has its documented type needs no further checks, and nearly all have.
Values are taken from the checked object or from the record itself; nothing is converted.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import msgspec

from connector.mapping.compiler.inference import StaticType
from connector.mapping.language.grammar import ELEMENT, RECORD
from connector.mapping.schemas.fields import RECORD_FIELDS

PREFIX = "r_"
"""Before the name of a field where it is an attribute of the checked record: some are keywords of Python."""

_PYTHON_TYPES: Mapping[str, Any] = MappingProxyType(
    {"keyword": str, "text": str, "date": str, "ip": str, "boolean": bool, "double": int | float}
)
_TEXTS = frozenset(("keyword", "text", "date", "ip"))
"""Kinds whose values are texts; that one is a date is not known before it is read."""


def _static(path: str, *, is_list: bool) -> StaticType:
    kind = RECORD_FIELDS[path]
    if kind == "object":
        return StaticType(kind, is_list=is_list, fields=path.removesuffix("[]"))
    return StaticType("text" if kind in _TEXTS else kind if kind == "boolean" else "any", is_list=is_list)


DOCUMENTED: Mapping[str, StaticType] = MappingProxyType(
    {f"{RECORD}.{path.replace('[]', '')}": _static(path, is_list="[]" in path) for path in RECORD_FIELDS}
)
"""What is known of each field of a checked record, by its reference."""


def fields_of_element(owner: str) -> dict[str, StaticType]:
    """The same of the fields of one object in the list *owner*, by their reference."""
    start = f"{owner}[]."
    return {
        f"{ELEMENT}.{path.removeprefix(start)}": _static(path, is_list=False)
        for path in RECORD_FIELDS
        if path.startswith(start) and "[]" not in path.removeprefix(start)
    }


TOP_LEVEL: Mapping[str, str] = MappingProxyType(
    {path.removesuffix("[]"): kind for path, kind in RECORD_FIELDS.items() if "." not in path}
)
"""Kinds of the fields at the top."""


def _checked(start: str, *, only_documented: bool = False) -> type[msgspec.Struct]:
    """The class of an object whose fields are documented below *start*."""
    fields = []
    for path, kind in RECORD_FIELDS.items():
        name = path.removeprefix(start).removesuffix("[]")
        if path.startswith(start) and "." not in name:
            one = _checked(f"{path}.") if kind == "object" else _PYTHON_TYPES[kind]
            whole = list[one] if path.endswith("[]") else one  # type: ignore[valid-type]
            fields.append((f"{PREFIX}{name}", whole | None, msgspec.field(default=None, name=name)))
    return msgspec.defstruct("Checked", fields, gc=False, forbid_unknown_fields=only_documented)


CheckedRecord = _checked("")
"""A record in which every documented field has its documented type, or is absent or null."""

DocumentedRecord = _checked("", only_documented=True)
"""The same without fields that are not documented."""


class UsualOrder(dict[tuple[str, ...], bool]):
    """By the names of a record's fields: whether all are documented, and come in the documented order.

    Records of the API have few different sets of fields; the whole is cleared when it is full.
    """

    _MOST = 100

    def __missing__(self, names: tuple[str, ...]) -> bool:
        documented = iter(TOP_LEVEL)
        usual = all(name in documented for name in names)  # each is looked for behind the one before
        if len(self) >= self._MOST:
            self.clear()
        self[names] = usual
        return usual
