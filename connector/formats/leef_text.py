r"""The texts of a LEEF line: what is taken out of a value, since the format has no way to escape it.

Values come from mail and are hostile. Some receivers split a line where its header says, some at the
last pipe, some also where a blank is followed by what looks like ``key=``; some let a quote at the
beginning of a value hide everything up to the next one, or a backslash at its end the delimiter. A clean
value gives none of them a hold.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime

from connector.formats.json import repair

TAB = "\t"
DELIMITERS = frozenset(f"^~;#!$%&*?{TAB}")
"""What may stand between attributes: nothing that addresses, dates and numbers are made of."""

USUAL_DELIMITER = "^"
"""Common receivers rewrite tabs, the default of the standard, before they read the line."""

TIME_FORMAT = "MMM dd yyyy HH:mm:ss.SSS z"
"""How the receiver is told to read what ``device_time`` writes."""

_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_INSTANT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,6})?(?:Z|[+-]\d\d:\d\d)")
_HEX = re.compile(r"0?[xX]([0-9A-Fa-f]{1,4})")
_BLANKS = (0x09, 0x0A, 0x0B, 0x0C, 0x0D, 0x85, 0x2028, 0x2029)
_CONTROLS: Mapping[int, str | None] = {
    **dict.fromkeys((*range(0x20), *range(0x7F, 0xA0)), None),
    **dict.fromkeys(_BLANKS, " "),
}
_LOOKS_LIKE_A_KEY = re.compile(r"(?<=\s)([A-Za-z0-9_.-]+\s*)=")
_QUOTES = ("'", '"')


def clean(text: str, delimiter: str) -> str:
    """*text* as a value: on one line, without *delimiter* and pipe, without what looks like a key.

    Line ends, tabs and the delimiter become blanks, other control characters go, ``|`` becomes ``/``,
    the ``=`` of a word that would read as a key becomes ``:``, a quote at the beginning becomes a backtick.
    """
    if not text.isprintable():
        text = repair(text).replace("\r\n", " ").translate(_CONTROLS)
    if delimiter in text:
        text = text.replace(delimiter, " ")
    if "|" in text:
        text = text.replace("|", "/")
    text = text.strip()
    if "=" in text:
        text = _LOOKS_LIKE_A_KEY.sub(r"\1:", text)
    return f"`{text[1:]}" if text.startswith(_QUOTES) else text


def ended(text: str) -> str:
    """*text* so that its end cannot escape what stands behind it: a backslash there becomes ``/``."""
    if not text.endswith("\\"):
        return text
    kept = text.rstrip("\\")
    return kept + "/" * (len(text) - len(kept))


def delimiter_of(text: str) -> str | None:
    """The delimiter that *text* names, itself or in hexadecimal; ``None`` for one that cannot be used."""
    found = _HEX.fullmatch(text)
    named = chr(int(found[1], 16)) if found else text
    return named if named in DELIMITERS else None


def shown(delimiter: str) -> str:
    """*delimiter* as the header names it; a tab in hexadecimal, since tabs do not survive."""
    return "x09" if delimiter == TAB else delimiter


def device_time(text: str) -> str | None:
    """An RFC 3339 instant as ``Nov 20 2019 23:22:01.000 GMT``; ``None`` for anything else."""
    if _INSTANT.fullmatch(text) is None:
        return None
    try:
        moment = datetime.fromisoformat(text).astimezone(UTC)
    except (ValueError, OverflowError):
        return None
    month, milliseconds = _MONTHS[moment.month - 1], moment.microsecond // 1000
    return f"{month} {moment.day:02} {moment.year:04} {moment:%H:%M:%S}.{milliseconds:03} GMT"
