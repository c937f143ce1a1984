"""Functions on one value; on a list they work element by element.

Each takes a value and the list of losses: what cannot be kept is reported there and becomes no value.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping

from connector.mapping.functions import texts
from connector.mapping.functions.ip_addresses import canonical_ip
from connector.mapping.functions.texts import OnText
from connector.mapping.functions.values import Losses, Value, ValueFunction, text
from connector.mapping.schemas.fields import VERDICTS

_WHOLE = re.compile(r"[-+]?[0-9]{1,19}")
_NUMBER = re.compile(r"[-+]?[0-9]{1,30}(?:\.[0-9]{0,30})?(?:[eE][-+]?[0-9]{1,3})?")
_BOOLEANS = {"true": True, "false": False}


def as_text(value: Value, lost: Losses) -> Value:
    """Text unchanged, numbers and booleans written out, objects as compact JSON."""
    del lost
    return value if type(value) is str else text(value) or None


def on_text(on_text: OnText) -> ValueFunction:
    """A function on text as one on any value: numbers and booleans are written out first."""

    def function(value: Value, lost: Losses) -> Value:
        word = value if type(value) is str else _text_of_scalar(value, lost)
        return on_text(word) if word else None

    return function


def verdict(value: Value, lost: Losses) -> Value:
    """A verdict in capitals; one that is not documented is kept and noted, so that somebody looks at it."""
    word = _text_of_scalar(value, lost)
    verdict = texts.verdict(word) if word else None
    if verdict is not None and verdict not in VERDICTS:
        lost.append(("unknown verdict", value))
    return verdict


def integer(value: Value, lost: Losses) -> Value:
    """A whole number of 64 bits; fractions are rounded."""
    if type(value) is str and _WHOLE.fullmatch(value.strip()):
        value = int(value)
    elif type(value) is not int:
        value = number(value, lost)
    if type(value) is float:
        value = round(value)
    if value is not None and not -(1 << 63) <= value < 1 << 63:
        lost.append(("number too large", value))
        return None
    return value


def number(value: Value, lost: Losses) -> Value:
    """A number; text that is one is read."""
    if type(value) is int:
        return value
    if type(value) is str and _NUMBER.fullmatch(value.strip()):
        value = float(value)
    if type(value) is float and math.isfinite(value):
        return value
    lost.append(("not a number", value))
    return None


def boolean(value: Value, lost: Losses) -> Value:
    """True or false; the words ``true`` and ``false`` are read."""
    if type(value) is bool:
        return value
    truth = _BOOLEANS.get(value.strip().lower()) if type(value) is str else None
    if truth is None:
        lost.append(("not true or false", value))
    return truth


def ip(value: Value, lost: Losses) -> Value:
    """An IPv4 or IPv6 address in canonical form (RFC 5952); mapped IPv6 addresses become IPv4.

    Reads what mail headers write as well: ``[203.0.113.77]``, ``IPv6:2001:db8::7`` (RFC 5321, 4.1.3).
    """
    return _canonical_ip(value, lost, version=None)


def ipv4(value: Value, lost: Losses) -> Value:
    """As ``ip``, for IPv4 alone; no value for an address of IPv6."""
    return _canonical_ip(value, lost, version=4)


def ipv6(value: Value, lost: Losses) -> Value:
    """As ``ip``, for IPv6 alone; no value for an address of IPv4."""
    return _canonical_ip(value, lost, version=6)


def truncate(length: int) -> ValueFunction:
    """The first so many characters."""

    def cut(value: Value, lost: Losses) -> Value:
        word = _text_of_scalar(value, lost)
        if word and len(word) > length:
            lost.append(("", value))
            return word[:length]
        return word

    return cut


def table(entries: Mapping[str, Value]) -> ValueFunction:
    """What the table holds for it; its entry ``*`` for everything it does not hold."""
    other = entries.get("*")

    def look_up(value: Value, lost: Losses) -> Value:
        del lost
        return entries.get(value if type(value) is str else text(value), other)

    return look_up


def _text_of_scalar(value: Value, lost: Losses) -> str | None:
    if type(value) is str:
        word: str = value
        return word or None
    if type(value) is dict or type(value) is list:
        lost.append(("not text", value))
        return None
    return text(value) or None


def _canonical_ip(value: Value, lost: Losses, *, version: int | None) -> Value:
    address = canonical_ip(value) if type(value) is str else None
    if address is None:
        lost.append(("not an IP address", value))
        return None
    if address != value:
        lost.append(("", value))  # another spelling: the record's own stays with the unmapped fields
    return address if version is None or (":" in address) is (version == 6) else None  # noqa: PLR2004, IPv6
