"""Coerces a value to its target: type, list or single value, allowed values. Misfits are reported as lost.

Length limits are the encoder's business: it cuts before it escapes, and notes it.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from connector.mapping.functions import addresses, dates, scalars
from connector.mapping.functions.lists import join
from connector.mapping.functions.values import Losses, Value, ValueFunction, all_text, map_elements, prune
from connector.mapping.schemas import Target

_AS_TEXT = scalars.on_text(str)
_INTEGER = range(-(1 << 31), 1 << 31)


def coercer(target: Target, *, nested: bool) -> ValueFunction:
    """The function that coerces a value to *target*; it never raises and returns ``None`` for a misfit."""
    one = _COERCIONS[target.kind]
    allowed = target.allowed
    joined = join(",") if target.kind == "string" and not nested else None

    def coerce_allowed(value: Value, lost: Losses) -> Value:
        coerced = one(value, lost)
        if allowed is not None and coerced is not None and coerced not in allowed:
            lost.append(("not an allowed value", value))
            return None
        return coerced

    single = one if allowed is None else coerce_allowed

    def coerce(value: Value, lost: Losses) -> Value:
        if type(value) is not list:
            coerced = single(value, lost)
            return [coerced] if target.is_list and coerced is not None else coerced
        if one is _text and allowed is None and target.is_list is not False and all_text(value):
            return value
        coerced = map_elements(single, value, lost)
        if coerced is None or target.is_list is not False:
            return coerced
        if joined is not None:
            return joined(coerced, lost)
        if len(coerced) > 1:
            lost.append(("more than one value", value))
        return coerced[0]

    return coerce


def _text(value: Value, lost: Losses) -> Value:
    if type(value) is str:
        return value or None
    return _AS_TEXT(value, lost)


def _long(value: Value, lost: Losses) -> Value:
    coerced = scalars.integer(value, lost)
    if coerced is not None and type(value) is float and coerced != value:
        lost.append(("", value))
    return coerced


def _integer(value: Value, lost: Losses) -> Value:
    coerced = _long(value, lost)
    if coerced is None or coerced in _INTEGER:
        return coerced
    lost.append(("number too large", value))
    return None


def _object(value: Value, lost: Losses) -> Value:
    if type(value) is dict:
        return prune(value)
    lost.append(("not an object", value))
    return None


def _any(value: Value, lost: Losses) -> Value:
    del lost
    return prune(value)


_COERCIONS: Mapping[str, ValueFunction] = MappingProxyType(
    {
        "any": _any,
        "boolean": scalars.boolean,
        "date": dates.date,
        "double": scalars.number,
        "email": addresses.mailbox,
        "epoch_ms": dates.epoch_ms,
        "flattened": _object,
        "integer": _integer,
        "ip": scalars.ip,
        "keyword": _text,
        "long": _long,
        "nested": _object,
        "object": _object,
        "string": _text,
        "text": _text,
        "wildcard": _text,
    }
)
