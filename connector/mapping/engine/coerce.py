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
        made = one(value, lost)
        if allowed is not None and made is not None and made not in allowed:
            lost.append(("not an allowed value", value))
            return None
        return made

    single = one if allowed is None else coerce_allowed

    def coerce(value: Value, lost: Losses) -> Value:
        if type(value) is not list:
            made = single(value, lost)
            return [made] if target.is_list and made is not None else made
        if one is _text and allowed is None and target.is_list is not False and all_text(value):
            return value
        made = map_elements(single, value, lost)
        if made is None or target.is_list is not False:
            return made
        if joined is not None:
            return joined(made, lost)
        if len(made) > 1:
            lost.append(("more than one value", value))
        return made[0]

    return coerce


def _text(value: Value, lost: Losses) -> Value:
    if type(value) is str:
        return value or None
    return _AS_TEXT(value, lost)


def _long(value: Value, lost: Losses) -> Value:
    made = scalars.integer(value, lost)
    if made is not None and type(value) is float and made != value:
        lost.append(("", value))
    return made


def _integer(value: Value, lost: Losses) -> Value:
    made = _long(value, lost)
    if made is None or made in _INTEGER:
        return made
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
