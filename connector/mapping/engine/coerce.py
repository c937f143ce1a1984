"""Fits a value to its target: kind, list or single, allowed values. What does not fit is reported lost.

Lengths are not cut here: the encoder knows its limits, cuts before it escapes and says so.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from connector.mapping.functions import addresses, dates, scalars
from connector.mapping.functions.lists import join
from connector.mapping.functions.values import Applied, Lost, Value, all_text, over, prune
from connector.mapping.schemas import Target

_WRITTEN = scalars.textual(str)
_INTEGER = range(-(1 << 31), 1 << 31)


def fitter(target: Target, *, nested: bool) -> Applied:
    """The function that fits a value to *target*; it never raises and returns ``None`` for a misfit."""
    one = _CHECKS[target.kind]
    allowed = target.allowed
    joined = join(",") if target.kind == "string" and not nested else None

    def fit_one(value: Value, lost: Lost) -> Value:
        made = one(value, lost)
        if allowed is not None and made is not None and made not in allowed:
            lost.append(("not an allowed value", value))
            return None
        return made

    single = one if allowed is None else fit_one

    def fit(value: Value, lost: Lost) -> Value:
        if type(value) is not list:
            made = single(value, lost)
            return [made] if target.many and made is not None else made
        if one is _text and allowed is None and target.many is not False and all_text(value):
            return value
        made = over(single, value, lost)
        if made is None or target.many is not False:
            return made
        if joined is not None:
            return joined(made, lost)
        if len(made) > 1:
            lost.append(("more than one value", value))
        return made[0]

    return fit


def _text(value: Value, lost: Lost) -> Value:
    if type(value) is str:
        return value or None
    return _WRITTEN(value, lost)


def _whole(value: Value, lost: Lost) -> Value:
    made = scalars.integer(value, lost)
    if made is not None and type(value) is float and made != value:
        lost.append(("", value))
    return made


def _small(value: Value, lost: Lost) -> Value:
    made = _whole(value, lost)
    if made is None or made in _INTEGER:
        return made
    lost.append(("too large a number", value))
    return None


def _object(value: Value, lost: Lost) -> Value:
    if type(value) is dict:
        return prune(value)
    lost.append(("not an object", value))
    return None


def _any(value: Value, lost: Lost) -> Value:
    del lost
    return prune(value)


_CHECKS: Mapping[str, Applied] = MappingProxyType(
    {
        "any": _any,
        "boolean": scalars.boolean,
        "date": dates.date,
        "double": scalars.number,
        "email": addresses.mailbox,
        "epoch_ms": dates.epoch_ms,
        "flattened": _object,
        "integer": _small,
        "ip": scalars.ip,
        "keyword": _text,
        "long": _whole,
        "nested": _object,
        "object": _object,
        "string": _text,
        "text": _text,
        "wildcard": _text,
    }
)
