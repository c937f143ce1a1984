"""JSON decoder with a lenient fallback, so that hostile text in an email cannot block a page.

The fast decoder refuses some complete bodies: half a surrogate pair, bytes that are not UTF-8, control
characters, numbers beyond 64 bits. Such a body is decoded leniently: one hostile subject must not stop a
feed. Only what is truncated or not JSON is refused.
"""

from __future__ import annotations

import json
import math
import re

import orjson

from connector.values import dataclass

_SURROGATE = re.compile("[\ud800-\udfff]")
_REPLACEMENT = "\ufffd"
_LARGEST = 1 << 63
"""Integers from -2^63 to 2^64 - 1 are kept: orjson writes no others."""

_SAFE_DIGITS = 18
"""Digits of an integer that certainly fit into 64 bits."""


class Undecodable(Exception):
    """The body is empty, truncated, or not JSON."""


@dataclass(frozen=True, slots=True)
class Decoded:
    """A JSON value, and whether it took the lenient decoder."""

    value: object
    lenient: bool


def decode(body: bytes) -> Decoded:
    """Decode one JSON text; raises ``Undecodable``.

    Strings never hold a lone surrogate afterwards. An integer beyond 64 bits is a float, as most JSON readers
    have it; a number beyond those is kept as text, digit for digit. A record decodes the same alone and in a
    page with others.
    """
    try:
        return Decoded(orjson.loads(body), lenient=False)
    except orjson.JSONDecodeError:
        pass
    text = body.decode("utf-8-sig", "replace")
    try:
        value = json.loads(
            text, strict=False, parse_int=_integer, parse_float=_float, parse_constant=lambda name: name
        )
        return Decoded(_replace_surrogates(value), lenient=True)
    except (ValueError, RecursionError):
        raise Undecodable(
            "the body is empty" if not text.strip() else "the body is not complete JSON"
        ) from None


def _integer(digits: str) -> int | float | str:
    """As the fast decoder: an integer beyond 64 bits becomes a float, whatever else is in the body."""
    if len(digits) <= _SAFE_DIGITS:
        return int(digits)
    if len(digits) > 2 * _SAFE_DIGITS:
        return _float(digits)
    number = int(digits)
    return number if -_LARGEST <= number < 2 * _LARGEST else float(number)


def _float(digits: str) -> float | str:
    number = float(digits)
    return number if math.isfinite(number) else digits


def _replace_surrogates(value: object) -> object:
    if isinstance(value, str):
        return _SURROGATE.sub(_REPLACEMENT, value)
    if isinstance(value, list):
        return [_replace_surrogates(item) for item in value]
    if isinstance(value, dict):
        return {_SURROGATE.sub(_REPLACEMENT, key): _replace_surrogates(item) for key, item in value.items()}
    return value
