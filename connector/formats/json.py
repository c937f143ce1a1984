"""JSON encoder: one line of UTF-8 from anything that a record may hold."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from datetime import UTC, datetime
from typing import Any

import orjson

from connector.model import JsonObject

_DEPTH = 200
"""Levels of nesting that common JSON readers accept; orjson itself stops at 254."""
_TOO_DEEP = "(nested too deeply)"


def encode(document: JsonObject) -> bytes:
    """Write *document* as one line of UTF-8; never raises on data that came from JSON.

    Times become RFC 3339 in UTC with milliseconds. Values that UTF-8 or JSON cannot represent are replaced,
    never dropped: a lone surrogate becomes U+FFFD, an infinite number ``null``; an integer of any size stays
    a number.
    """
    try:
        return orjson.dumps(document, default=_plain, option=orjson.OPT_PASSTHROUGH_DATETIME)
    except (TypeError, ValueError, RecursionError):
        return orjson.dumps(_sanitized(document, 0))


def repair(text: str) -> str:
    """*text* without lone surrogates: pairs are joined, halves become U+FFFD."""
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def instant(moment: datetime) -> str:
    """*moment* as RFC 3339 in UTC with milliseconds, for example ``2026-11-18T09:41:07.000Z``."""
    aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return aware.astimezone(UTC).isoformat(timespec="milliseconds").removesuffix("+00:00") + "Z"


def _plain(value: object) -> object:
    """A value that orjson does not serialize, as one that it does."""
    if isinstance(value, datetime):
        return instant(value)
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, AbstractSet):
        return sorted(value, key=str)
    if isinstance(value, Sequence) and not isinstance(value, str | bytes):
        return list(value)
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    return str(value)


def _sanitized(value: Any, depth: int) -> Any:
    """A copy that orjson always accepts; slow, for the rare document that it refused."""
    if value is None or isinstance(value, bool | str | int | float):
        return _sanitized_scalar(value)
    if depth >= _DEPTH:
        return _TOO_DEEP
    if isinstance(value, Mapping):
        return {repair(str(key)): _sanitized(item, depth + 1) for key, item in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, bytes):
        return [_sanitized(item, depth + 1) for item in value]
    return _sanitized(_plain(value), depth + 1)


def _sanitized_scalar(value: bool | str | float | None) -> Any:
    if isinstance(value, str):
        return repair(str(value))
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, int) and value.bit_length() >= 64:  # noqa: PLR2004, the range that orjson serializes
        return _digits(value)
    return value


def _digits(value: int) -> Any:
    try:
        return orjson.Fragment(str(value))
    except ValueError:  # Python converts at most 4300 digits
        return hex(value)
