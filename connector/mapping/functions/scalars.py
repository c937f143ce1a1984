"""Functions on one value; on a list they work element by element.

Each takes a value and the list of losses: what cannot be kept is reported there and becomes no value.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from socket import AF_INET, AF_INET6, inet_pton

from connector.formats.memo import Memo
from connector.mapping.functions.texts import OnText
from connector.mapping.functions.values import Losses, Value, ValueFunction, text

_WHOLE = re.compile(r"[-+]?[0-9]{1,19}")
_NUMBER = re.compile(r"[-+]?[0-9]{1,30}(?:\.[0-9]{0,30})?(?:[eE][-+]?[0-9]{1,3})?")
_BOOLEANS = {"true": True, "false": False}


def as_text(value: Value, lost: Losses) -> Value:
    """Text as it stands, numbers and booleans written out, objects as compact JSON."""
    del lost
    return value if type(value) is str else text(value) or None


def on_text(on_text: OnText) -> ValueFunction:
    """A function on text as one on any value: numbers and booleans are written out first."""

    def function(value: Value, lost: Losses) -> Value:
        word = value if type(value) is str else _text_of_scalar(value, lost)
        return on_text(word) if word else None

    return function


def integer(value: Value, lost: Losses) -> Value:
    """A whole number of 64 bits; fractions are rounded."""
    if type(value) is str and _WHOLE.fullmatch(value.strip()):
        value = int(value)
    elif type(value) is not int:
        value = number(value, lost)
    if type(value) is float:
        value = round(value)
    if value is not None and not -(1 << 63) <= value < 1 << 63:
        lost.append(("too large a number", value))
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
        lost.append(("neither true nor false", value))
    return truth


def ip(value: Value, lost: Losses) -> Value:
    """A valid IPv4 or IPv6 address."""
    return value if _version(value, lost) else None


def ipv4(value: Value, lost: Losses) -> Value:
    """A valid IPv4 address; no value for one of IPv6."""
    return value if _version(value, lost) == 4 else None  # noqa: PLR2004, the version


def ipv6(value: Value, lost: Losses) -> Value:
    """A valid IPv6 address; no value for one of IPv4."""
    return value if _version(value, lost) == 6 else None  # noqa: PLR2004, the version


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
        lost.append(("not a text", value))
        return None
    return text(value) or None


def _version(value: Value, lost: Losses) -> int:
    version = IP_VERSION[value] if type(value) is str else 0
    if not version:
        lost.append(("not an IP address", value))
    return version


def _version_of(address: str) -> int:
    """4 or 6, or 0; as strict as the ipaddress module and many times faster."""
    family, version = (AF_INET6, 6) if ":" in address else (AF_INET, 4)
    try:
        inet_pton(family, address)
    except (OSError, ValueError):
        return 0
    return 0 if "%" in address else version


IP_VERSION: Memo[int] = Memo(_version_of)
"""Which version of IP an address is of: 4 or 6, or 0 for what is none."""
