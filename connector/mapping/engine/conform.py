"""Coerces fields of a record to their documented type, so that an index with typed fields takes every event.

A collector refuses a document, or silently drops the field, when a value does not have the type that its
index expects: ``properties: "x"`` where an object belongs, ``is_quarantined: "yes"``. The rest of a record
goes out under the names of the API, so that is where such a value would arrive unseen.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from connector.mapping.functions import scalars
from connector.mapping.functions.dates import date as to_date
from connector.mapping.functions.dates import moment_of
from connector.mapping.functions.values import Losses, Value
from connector.mapping.schemas.fields import RECORD_FIELDS
from connector.model import JsonObject

_DATE = re.compile(r"\d{4}-\d\d-\d\d(?:T\d\d:\d\d:\d\d(?:\.\d{1,9})?(?:Z|[+-]\d\d:\d\d))?")
"""Dates that Elasticsearch and OpenSearch read as ``strict_date_optional_time``."""


@dataclass(slots=True)
class _Type:
    """The documented type of a field; *inner* by name where it is an object."""

    kind: str
    inner: dict[str, _Type] = field(default_factory=dict)


def _documented() -> dict[str, _Type]:
    root = _Type("object")
    for path in sorted(RECORD_FIELDS, key=lambda path: path.count(".")):
        *above, name = path.replace("[]", "").split(".")
        owner = root
        for step in above:
            owner = owner.inner[step]
        owner.inner[name] = _Type(RECORD_FIELDS[path])
    return root.inner


_TYPES: Mapping[str, _Type] = MappingProxyType(_documented())

_PLAIN_TYPES: Mapping[str, frozenset[type]] = MappingProxyType(
    {
        "keyword": frozenset((str,)),
        "text": frozenset((str,)),
        "boolean": frozenset((bool,)),
        "double": frozenset((int, float)),
    }
)
"""Python types that decide alone whether a value has a kind."""


def _fits(documented: _Type) -> Callable[[Value], bool]:
    """The function that says whether a value, or all of a list, has the documented type already.

    Nearly every value does, and this runs for every field of every record.
    """
    types = _PLAIN_TYPES.get(documented.kind)
    if types is not None:
        return lambda value: (
            type(value) in types or (type(value) is list and types.issuperset(map(type, value)))
        )
    fits_one = _object_fits(documented) if documented.kind == "object" else _FITS_ONE[documented.kind]
    return lambda value: all(map(fits_one, value)) if type(value) is list else fits_one(value)


def _object_fits(documented: _Type) -> Callable[[Value], bool]:
    inner = documented.inner.items()
    plain = {name: _PLAIN_TYPES[each.kind] for name, each in inner if each.kind in _PLAIN_TYPES}
    others = {name: _fits(each) for name, each in inner if name not in plain}

    def fits_one(value: Value) -> bool:
        if type(value) is not dict:
            return False
        for name, item in value.items():
            if item is None:
                continue
            types = plain.get(name)
            if types is None:
                if name in others and not others[name](item):
                    return False
            elif type(item) not in types:
                return False
        return True

    return fits_one


def _is_date(value: Value) -> bool:
    if type(value) is not str:
        return False
    usual = value[4:14:3] == "--T:" and value[19:] == "Z"  # what the API sends, 2026-11-18T09:41:07Z
    return (usual or _DATE.fullmatch(value) is not None) and moment_of(value) is not None


_FITS_ONE: Mapping[str, Callable[[Value], bool]] = MappingProxyType(
    {"date": _is_date, "ip": lambda value: type(value) is str and scalars.IS_CANONICAL_IP[value]}
)

FITS: Mapping[str, Callable[[Value], bool]] = MappingProxyType(
    {name: _fits(documented) for name, documented in _TYPES.items()}
)
"""By the name of a top-level field: whether a value has its documented type already."""

PLAIN: Mapping[str, frozenset[type]] = MappingProxyType(
    {
        name: _PLAIN_TYPES[documented.kind]
        for name, documented in _TYPES.items()
        if documented.kind in _PLAIN_TYPES
    }
)
"""The Python types that top-level fields of a plain kind have; the quickest way to a yes."""


def conform(name: str, value: Value, notes: list[str]) -> tuple[Value, bool]:
    """*value* of the top-level field *name* in its documented type; unknown fields stay as they are.

    Returns:
        the value, ``None`` where nothing of it fits; and whether the original says more than that.
    """
    documented = _TYPES.get(name)
    if documented is None:
        return value, False
    misfits: dict[str, None] = {}
    lost: Losses = []
    conformed = _conform(value, documented, name, misfits, lost)
    notes.extend(f"{path}: not of type {kind}" for path, kind in (each.split("\0") for each in misfits))
    return conformed, bool(lost)


def _conform(value: Value, documented: _Type, path: str, misfits: dict[str, None], lost: Losses) -> Value:
    if value is None:
        return None
    if type(value) is list:
        items = [_conform(item, documented, path, misfits, lost) for item in value]
        return value if _same(items, value) else [item for item in items if item is not None] or None
    if documented.kind == "object":
        if type(value) is dict:
            return _conform_object(value, documented, path, misfits, lost)
        lost.append(("not an object", value))
    conformed = None if documented.kind == "object" else _SCALARS[documented.kind](value, lost)
    if conformed is None or type(conformed) is not type(value):
        misfits[f"{path}\0{documented.kind}"] = None
    return conformed


def _conform_object(
    value: JsonObject, documented: _Type, path: str, misfits: dict[str, None], lost: Losses
) -> Value:
    conformed: JsonObject = {}
    for key, item in value.items():
        inner = documented.inner.get(key)
        conformed[key] = item if inner is None else _conform(item, inner, f"{path}.{key}", misfits, lost)
    if _same(list(conformed.values()), list(value.values())):
        return value
    return {key: item for key, item in conformed.items() if item is not None or value[key] is None}


def _same(conformed: list[Value], values: list[Value]) -> bool:
    return all(one is other for one, other in zip(conformed, values, strict=True))


def _text(value: Value, lost: Losses) -> Value:
    if type(value) is str:
        return value
    return scalars.on_text(str)(value, lost)


def _date(value: Value, lost: Losses) -> Value:
    if _is_date(value):
        return value
    return to_date(value, lost)


def _number(value: Value, lost: Losses) -> Value:
    """Anything but text and numbers is no number, true and false among it."""
    if type(value) is bool:
        lost.append(("not a number", value))
        return None
    return scalars.number(value, lost)


_SCALARS: Mapping[str, Callable[[Value, Losses], Value]] = MappingProxyType(
    {
        "keyword": _text,
        "text": _text,
        "boolean": scalars.boolean,
        "date": _date,
        "double": _number,
        "ip": scalars.ip,
    }
)
