"""Shared helpers of the simulator: time in microseconds, seeded randomness, JSON encoding."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any, Literal, TypeAlias

import orjson

Body: TypeAlias = dict[str, Any]
"""A JSON object: the only use of ``Any`` in the simulator, because a record may hold anything."""

Fields: TypeAlias = Mapping[str, Any]
"""Some fields of a record, read only."""

Clock: TypeAlias = Callable[[], datetime]
"""The wall clock: aware, UTC."""

Era: TypeAlias = Literal["reference", "current", "sunset"]
"""Which published schema is used: 31 fields of spring 2026, 35 of autumn, or 32 after 2026-11-01."""

Timestamp: TypeAlias = Literal["scanned_at", "sent_at"]
"""Which time of a record the range of a search looks at."""

SECOND = 1_000_000
"""One second in microseconds, the unit of every time inside the simulator."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_DAY_SECONDS = 86_400
_TWO_DIGITS = tuple(b"%02d" % number for number in range(60))
_MASK = (1 << 64) - 1


def micros(moment: datetime) -> int:
    """Return *moment* as microseconds since 1970; exact, unlike ``timestamp()``."""
    if moment.tzinfo is None:
        raise ValueError(f"expected a time with a zone, got {moment.isoformat()}")
    return span(moment - _EPOCH)


def span(length: timedelta) -> int:
    """Return *length* in microseconds."""
    return (length.days * _DAY_SECONDS + length.seconds) * SECOND + length.microseconds


def moment(us: int) -> datetime:
    """Return the aware datetime of *us* microseconds since 1970."""
    return _EPOCH + timedelta(microseconds=us)


@lru_cache(maxsize=16_384)
def _minute(number: int) -> bytes:
    return (_EPOCH + timedelta(minutes=number)).strftime("%Y-%m-%dT%H:%M:").encode()


def timestamp(us: int) -> bytes:
    """Write ``2026-11-18T09:41:07``, in UTC without a zone, with a fraction only where there is one."""
    seconds, fraction = divmod(us, SECOND)
    text = _minute(seconds // 60) + _TWO_DIGITS[seconds % 60]
    return b"%b.%06d" % (text, fraction) if fraction else text


def zoned(us: int) -> str:
    """Write ``2026-11-18T09:41:07Z``."""
    return timestamp(us).decode() + "Z"


def mix(seed: int, number: int) -> int:
    """Return 64 well mixed bits of both numbers (splitmix64): randomness that can be queried in any order."""
    x = (seed * 0x9E3779B97F4A7C15 + (number + 1) * 0xD1342543DE82EF95) & _MASK
    x = ((x ^ (x >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
    x = ((x ^ (x >> 27)) * 0x94D049BB133111EB) & _MASK
    return x ^ (x >> 31)


def chance(*parts: object) -> random.Random:
    """Return a random generator seeded by *parts* alone."""
    return random.Random("/".join(map(str, parts)))  # noqa: S311 - test data, not cryptography


def likely(rng: random.Random, share: float) -> bool:
    """Return true in a *share* of all calls."""
    return rng.random() < share


def encode(value: object) -> bytes:
    r"""Write JSON; strings that UTF-8 cannot hold (lone surrogates) become ``\ud83d`` escapes."""
    try:
        return orjson.dumps(value)
    except TypeError:
        return json.dumps(value, separators=(",", ":")).encode("ascii")
