"""Durations and sizes as people write them: ``30s``, ``15m``, ``1h30m``, ``8KiB``, ``1MB``."""

from __future__ import annotations

import re
from datetime import timedelta
from decimal import Decimal

_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_BYTES = {
    "": 1, "B": 1, "KB": 1000, "MB": 1000**2, "GB": 1000**3, "TB": 1000**4,
    "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30, "TiB": 1 << 40,
}  # fmt: skip
DURATION = r"(?:[0-9]+(?:\.[0-9]+)?(?:ms|s|m|h|d))+"
"""Pattern of a duration."""

_PART = re.compile(r"([0-9]+(?:\.[0-9]+)?)(ms|s|m|h|d)")
_SIZE = re.compile(r"([0-9]{1,19}(?:\.[0-9]{1,9})?) ?([A-Za-z]*)")


def parse_duration(text: str) -> timedelta:
    """Read ``30s``, ``1h30m`` or ``0s``; raises ValueError that says what is expected."""
    if not re.fullmatch(DURATION, text):
        raise ValueError("expected a duration, such as 30s, 15m, 1h or 2d")
    try:
        return timedelta(seconds=sum(float(n) * _SECONDS[unit] for n, unit in _PART.findall(text)))
    except OverflowError:
        raise ValueError("the duration is too long") from None


def format_duration(value: timedelta) -> str:
    """Write a duration in the largest units that hold it exactly, for example ``1h30m``."""
    left = round(value.total_seconds() * 1000)
    parts = []
    for unit, milliseconds in (("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1)):
        count, left = divmod(left, milliseconds)
        if count:
            parts.append(f"{count}{unit}")
    return "".join(parts) or "0s"


def parse_size(text: str) -> int:
    """Read ``1000``, ``8KiB`` or ``1.5MB``; raises ValueError that says what is expected."""
    match = _SIZE.fullmatch(text)
    if not match or match[2] not in _BYTES:
        raise ValueError("expected a size, such as 8KiB, 1MiB or 5MB")
    return int(Decimal(match[1]) * _BYTES[match[2]])


def format_size(value: int) -> str:
    """Write a size in the largest unit that holds it exactly, binary units first, for example ``8KiB``."""
    for unit in ("TiB", "GiB", "MiB", "KiB", "TB", "GB", "MB", "KB"):
        if value and value % _BYTES[unit] == 0:
            return f"{value // _BYTES[unit]}{unit}"
    return str(value)


def count_of(number: int, noun: str) -> str:
    """*number* with its noun: ``1 record``, ``2 records``."""
    return f"{number} {noun}{'' if number == 1 else 's'}"
