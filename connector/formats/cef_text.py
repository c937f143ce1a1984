r"""The texts of a CEF line: how values become text, and what is taken out or escaped before they stand there.

Values come from mail and are hostile. Control characters never reach the line, and only the escapes
that all receivers know are written: ``\\`` and ``\|`` in the header, ``\\ \= \n \r`` in the extension.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from typing import TypeAlias

from connector.formats.cef_dictionary import HEADER
from connector.formats.json import repair

Scalar: TypeAlias = str | int | float | bool | datetime | None
Value: TypeAlias = Scalar | Sequence[Scalar]

_HEADER_CONTROLS = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]+")
_NOT_IN_CLASS_ID = re.compile(r"[^A-Za-z0-9._-]+")
_SEVERITIES = frozenset({"Unknown", "Low", "Medium", "High", "Very-High"})
_HIGHEST = 10
_LARGE = 1 << 63

_LINE_ENDS = (0x0B, 0x0C, 0x85, 0x2028, 0x2029)
_VALUE_CONTROLS: Mapping[int, str | None] = {
    **dict.fromkeys((*range(0x20), *range(0x7F, 0xA0)), None),
    **dict.fromkeys(_LINE_ENDS, "\n"),
    0x09: " ",
    0x0A: "\n",
    0x0D: "\r",
}


def clean(text: str) -> str:
    """*text* without control characters and surrounding blanks; every kind of line end becomes LF or CR."""
    if not text.isprintable():
        text = repair(text).replace("\r\n", "\n").translate(_VALUE_CONTROLS)
    return text.strip()


def escape(text: str) -> str:
    """A clean *text* as the value of an extension key."""
    if "\\" in text:
        text = text.replace("\\", "\\\\")
    if "=" in text:
        text = text.replace("=", "\\=")
    if "\n" in text:
        text = text.replace("\n", "\\n")
    if "\r" in text:
        text = text.replace("\r", "\\r")
    return text


def text_of(value: Value) -> str:
    """*value* as text: lists joined by commas, times as milliseconds, empty for what is no value."""
    if type(value) is int and -_LARGE < value < _LARGE:
        return str(value)
    if isinstance(value, (str, int, float)) or not isinstance(value, Sequence):
        return _scalar(value)
    return ",".join(text for item in value if (text := _scalar(item)))


def header(*values: Value) -> str:
    """The header up to and including its last pipe; *values* in the order of ``HEADER``."""
    vendor, product, version, class_id, name, severity = (
        _HEADER_CONTROLS.sub(" ", repair(text_of(value))).strip()[:limit].rstrip()
        for value, limit in zip(values, HEADER.values(), strict=True)
    )
    class_id = _NOT_IN_CLASS_ID.sub("-", class_id).strip("-") or "unknown"
    parts = (vendor, product, version, class_id, name, _severity(severity))
    return "CEF:0|" + "".join(part.replace("\\", "\\\\").replace("|", "\\|") + "|" for part in parts)


kept_header = lru_cache(maxsize=512)(header)
"""The same for short texts, remembered, because headers repeat: few verdicts, one vendor."""


def _severity(text: str) -> str:
    if text in _SEVERITIES:
        return text
    try:
        return str(max(0, min(_HIGHEST, round(float(text)))))
    except (ValueError, OverflowError):
        return "Unknown"


def _scalar(value: Scalar) -> str:
    if value is None or (isinstance(value, float) and not math.isfinite(value)):
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, datetime):
        aware = value if value.tzinfo else value.replace(tzinfo=UTC)
        return str(round(aware.timestamp() * 1000))
    try:
        return str(value)
    except ValueError:  # Python writes no more than 4300 digits
        return hex(int(value))
