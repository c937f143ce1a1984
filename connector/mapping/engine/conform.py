"""Coerces fields of a record to their documented type, so that an index with typed fields takes every event.

A collector refuses a document, or silently drops the field, when a value does not have the type that its
index expects: ``properties: "x"`` where an object belongs, ``is_quarantined: "yes"``. The rest of a record
goes out under the names of the API, so that is where such a value would arrive unseen.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import field
from types import MappingProxyType

from connector.mapping.functions import scalars
from connector.mapping.functions.dates import date as to_date
from connector.mapping.functions.dates import moment_of
from connector.mapping.functions.ip_addresses import is_canonical_ip
from connector.mapping.functions.values import Losses, Value
from connector.mapping.schemas.fields import RECORD_FIELDS
from connector.model import JsonObject
from connector.values import dataclass

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
    if documented.kind == "object":
        return _objects_fit(documented)
    types = _PLAIN_TYPES.get(documented.kind)
    if types is not None:
        return lambda value: (
            type(value) in types or (type(value) is list and types.issuperset(map(type, value)))
        )
    fits_text = _FITS_TEXT[documented.kind]
    return lambda value: (
        fits_text(value)
        if type(value) is str
        else type(value) is list and all_text(value) and all(map(fits_text, value))
    )


def _objects_fit(documented: _Type) -> Callable[[Value], bool]:
    inner = documented.inner.items()
    plain = {name: _PLAIN_TYPES[each.kind] for name, each in inner if each.kind in _PLAIN_TYPES}
    others = {name: _fits(each) for name, each in inner if name not in plain}

    def fits(value: Value) -> bool:
        for each in value if type(value) is list else (value,):
            if type(each) is not dict:
                return False
            try:
                for name, item in each.items():
                    if item is not None and type(item) not in plain[name]:
                        return False
            except KeyError:  # an object inside, or a name that is not documented
                if not fits_by_name(each):
                    return False
        return True

    def fits_by_name(value: JsonObject) -> bool:
        return all(
            item is None
            or (type(item) in plain[name] if name in plain else name not in others or others[name](item))
            for name, item in value.items()
        )

    return fits


def _is_date(text: str) -> bool:
    usual = text[4:14:3] == "--T:" and text[19:] == "Z"  # what the API sends, 2026-11-18T09:41:07Z
    return (usual or _DATE.fullmatch(text) is not None) and moment_of(text) is not None


_FITS_TEXT: Mapping[str, Callable[[str], bool]] = MappingProxyType({"date": _is_date, "ip": is_canonical_ip})

FITS: Mapping[str, Callable[[Value], bool]] = MappingProxyType(
    {name: _fits(documented) for name, documented in _TYPES.items()}
)
"""By the name of a top-level field: whether a value has its documented type already."""


def _has_form(documented: _Type) -> bool:
    return documented.kind in _FITS_TEXT or any(map(_has_form, documented.inner.values()))


FORMS_FIT: Mapping[str, Callable[[Value], bool]] = MappingProxyType(
    {
        name: _FITS_TEXT.get(documented.kind, FITS[name])
        for name, documented in _TYPES.items()
        if _has_form(documented)
    }
)
"""The same for fields of which the right Python types are known; the others fit."""


def all_text(values: list[Value]) -> bool:
    """Whether every one of *values* is text."""
    for value in values:  # noqa: SIM110, a generator costs more than short lists
        if type(value) is not str:
            return False
    return True


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
    if misfits:
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
    if type(value) is str and _is_date(value):
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
