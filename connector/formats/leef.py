"""LEEF 2.0 encoder: fields to one ``LEEF:2.0|...`` line in which no text of a message can pass for a field.

Source: IBM QRadar, "Log Event Extended Format (LEEF)", version 2. The format has no escapes, so values are
cleaned instead; ``clean`` says how.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import lru_cache

from connector.formats import leef_attributes
from connector.formats.cef import Value, has_controls, text_of
from connector.formats.json import repair
from connector.formats.leef_attributes import DELIMITER, HEADER, KEY, length_of
from connector.formats.memo import Memo
from connector.formats.shortening import ShorteningPolicy

TAB = "\t"
DELIMITERS = frozenset(f"^~;#!$%&*?{TAB}")
"""Delimiters that may separate attributes: none that occurs in addresses, dates or numbers."""

DEFAULT_DELIMITER = "^"
"""The default here. The standard's own, a tab, is often rewritten by syslog daemons before parsing."""

TIME_FORMAT = "MMM dd yyyy HH:mm:ss.SSS z"
"""The ``devTimeFormat`` that matches what ``device_time`` writes (Java SimpleDateFormat)."""

_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_INSTANT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,6})?(?:Z|[+-]\d\d:\d\d)")
_HEX = re.compile(r"0?[xX]([0-9A-Fa-f]{1,4})")
# Characters that readers take for the end of a line or a separator: ASCII controls, NEL, and U+2028/2029.
_BLANKS = (0x09, 0x0A, 0x0B, 0x0C, 0x0D, 0x85, 0x2028, 0x2029)
_CONTROLS: Mapping[int, str | None] = {
    **dict.fromkeys((*range(0x20), *range(0x7F, 0xA0)), None),
    **dict.fromkeys(_BLANKS, " "),
}
_LOOKS_LIKE_A_KEY = re.compile(r"(?<=\s)([A-Za-z0-9_.-]+\s*)=")
_QUOTES = ("'", '"')
_NOT_FIRST, _NOT_LAST = " '\"", " \\"
"""Characters that ``clean`` and ``end_safely`` change at the beginning and at the end of a printable text."""
_EDGES = _NOT_FIRST + _NOT_LAST


def clean(text: str, delimiter: str) -> str:
    """*text* as a value: on one line, without *delimiter* and pipe, without what looks like a key.

    Line breaks, tabs and the delimiter become spaces; other controls are removed; ``|`` becomes ``/``; the
    ``=`` of a word that would read as a key becomes ``:``, a quote at the beginning becomes a backtick.
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


def end_safely(text: str) -> str:
    """*text* with trailing backslashes as ``/``, so that they cannot escape the delimiter that follows."""
    if not text.endswith("\\"):
        return text
    kept = text.rstrip("\\")
    return kept + "/" * (len(text) - len(kept))


def delimiter_of(text: str) -> str | None:
    """The delimiter in *text*, as itself or in hexadecimal (``x09``); ``None`` if it is not allowed."""
    match = _HEX.fullmatch(text)
    named = chr(int(match[1], 16)) if match else text
    return named if named in DELIMITERS else None


def delimiter_name(delimiter: str) -> str:
    """*delimiter* as the header names it; a tab in hexadecimal, since tabs get rewritten in transit."""
    return "x09" if delimiter == TAB else delimiter


def device_time(text: str) -> str | None:
    """An RFC 3339 instant as ``Nov 20 2019 23:22:01.000 GMT``; ``None`` for anything else."""
    if _INSTANT.fullmatch(text) is None:
        return None
    try:
        moment = datetime.fromisoformat(text).astimezone(UTC)
    except (ValueError, OverflowError):
        return None
    if len(text) == len("2019-11-20T23:22:01.000Z") and text.endswith("Z"):  # as mappings write it
        return f"{_MONTHS[moment.month - 1]} {text[8:10]} {text[:4]} {text[11:23]} GMT"
    clock = f"{moment.hour:02}:{moment.minute:02}:{moment.second:02}.{moment.microsecond // 1000:03}"
    return f"{_MONTHS[moment.month - 1]} {moment.day:02} {moment.year:04} {clock} GMT"


HEADER_NAMES = (*HEADER, DELIMITER)
"""The fields that form the header, in its order; all others are attributes."""

_TIME, _TIME_FORMAT, _SEVERITY = "devTime", "devTimeFormat", "sev"
# LEEF severities (``sev``) are 1 to 10.
_LOWEST, _HIGHEST = 1, 10
_EVENT_ID, _NO_EVENT_ID = "EventID", "unknown"
_IN_HEADER, _NO_KEY = 0, -1


def encode(fields: Mapping[str, Value], *, max_bytes: int | None = None) -> tuple[bytes, tuple[str, ...]]:
    """Write *fields* as one line in their order; return it with one note per value that was shortened.

    Empty values are left out. A ``devTime`` in RFC 3339 is rewritten as receivers expect it, together with
    the matching ``devTimeFormat``, unless *fields* have a ``devTimeFormat`` of their own.

    Args:
        fields: header fields by the names of ``HEADER_NAMES``, and attributes.
        max_bytes: size limit of the line. The least important values are shortened first; identifiers and
            the verdict keep at least ``shortening.LEAST`` bytes each, so such a line may still be longer.
    """
    notes: list[str] = []
    delimiter = _delimiter(fields, notes)
    head = _header(delimiter, *(text_of(fields.get(name)) for name in HEADER))
    attributes = _attributes_fast(fields, delimiter)
    if attributes is not None and (max_bytes is None or len(head) + len(attributes) <= max_bytes):
        return head + attributes, tuple(notes)
    texts = _texts(fields, delimiter, notes)
    line = head + _attributes(texts, delimiter)
    if max_bytes is not None and len(line) > max_bytes:
        texts = _SHORTENING.shorten(texts, len(line) - max_bytes, notes)
        line = head + _attributes(texts, delimiter)
    return line, tuple(notes)


def _delimiter(fields: Mapping[str, Value], notes: list[str]) -> str:
    asked = text_of(fields.get(DELIMITER))
    if not asked:
        return DEFAULT_DELIMITER
    delimiter = delimiter_of(asked)
    if delimiter is None:
        notes.append(f"{DELIMITER} is not allowed; {DEFAULT_DELIMITER} is used instead")
        return DEFAULT_DELIMITER
    return delimiter


@lru_cache(maxsize=512)
def _header(delimiter: str, *texts: str) -> bytes:
    """The header up to and including its last pipe. Cached, because headers repeat."""
    parts = {
        name: end_safely(clean(text, delimiter)[:limit].rstrip())
        for (name, limit), text in zip(HEADER.items(), texts, strict=True)
    }
    parts[_EVENT_ID] = parts[_EVENT_ID] or _NO_EVENT_ID
    return "|".join(("LEEF:2.0", *parts.values(), delimiter_name(delimiter), "")).encode()


def _attributes_fast(fields: Mapping[str, Value], delimiter: str) -> bytes | None:
    """The attributes if no value needs more than the signs of keys replaced; ``None`` otherwise."""
    pairs: list[str] = []
    for key, value in fields.items():
        prefix, limit = _KEY_PLANS[key]
        if value is None or limit == _IN_HEADER:
            continue
        text = value if type(value) is str else text_of(value)
        if len(text) > limit:
            if key == _TIME and _TIME_FORMAT not in fields and (written := device_time(text)):
                pairs += (prefix + written, f"{_TIME_FORMAT}={TIME_FORMAT}")
            elif key == _SEVERITY and type(value) is int:
                pairs.append(prefix + str(max(_LOWEST, min(_HIGHEST, value))))
            else:
                return None
            continue
        if text.strip(_EDGES) != text and (text[0] in _NOT_FIRST or text[-1] in _NOT_LAST):
            return None
        if not text or not (text.isascii() or text.isprintable()):
            return None
        if "=" in text:
            text = _LOOKS_LIKE_A_KEY.sub(r"\1:", text)
        pairs.append(prefix + text)
    line = delimiter.join(pairs)
    encoded = line.encode()
    usual = line.count(delimiter) == len(pairs) - 1 and "|" not in line and not has_controls(encoded)
    return encoded if usual else None


def _texts(fields: Mapping[str, Value], delimiter: str, notes: list[str]) -> dict[str, str]:
    """The attributes' values: cleaned and within the limits of their keys."""
    texts: dict[str, str] = {}
    for key, value in fields.items():
        limit = _limit(key)
        if value is None or limit == _IN_HEADER:
            continue
        if limit == _NO_KEY:
            notes.append(f"{key!a} left out: not a LEEF key")
            continue
        text = clean(value if value.__class__ is str else text_of(value), delimiter)
        if key == _SEVERITY:
            text = _severity(text)
        elif key == _TIME and _TIME_FORMAT not in fields and (written := device_time(text)):
            texts |= {_TIME: written, _TIME_FORMAT: TIME_FORMAT}
            continue
        if not text:
            continue
        if len(text) > limit:
            notes.append(f"{key} cut from {len(text)} to {limit} characters")
            text = _SHORTENING.cut(key, text, limit)
        texts[key] = text
    return texts


def _attributes(texts: Mapping[str, str], delimiter: str) -> bytes:
    return delimiter.join([f"{key}={end_safely(text)}" for key, text in texts.items()]).encode()


@lru_cache(maxsize=1024)
def _limit(key: str) -> int:
    """The longest text under *key*, in characters; ``_IN_HEADER`` or ``_NO_KEY`` if it is no attribute."""
    if key in HEADER_NAMES:
        return _IN_HEADER
    return length_of(key) if KEY.fullmatch(key) else _NO_KEY


def _plan(key: str) -> tuple[str, int]:
    return f"{key}=", _NO_KEY if key in {_TIME, _SEVERITY} else _limit(key)


_KEY_PLANS: Memo[tuple[str, int]] = Memo(_plan)
"""What is written before the value of a key, and the most characters that need no closer look."""


def _severity(text: str) -> str:
    """An integer from 1 to 10, the range of LEEF's ``sev``."""
    try:
        return str(max(_LOWEST, min(_HIGHEST, round(float(text)))))
    except (ValueError, OverflowError):
        return str(_LOWEST)


_REQUIRED = frozenset({"accountName", "cat", "devTime", "devTimeFormat", "dispositionRaw", "revision", "sev"})
# The sender chooses the message ID: required, it could crowd out the verdict.
_SENDERS_ID = "messageId"
_OVERFLOW = "cloudflare"


def _is_required(key: str) -> bool:
    return key in _REQUIRED or (key.endswith("Id") and key != _SENDERS_ID)


def _can_cut(key: str) -> bool:
    """Texts; half a number or address would be wrong, and unnamed fields are dropped whole."""
    known = leef_attributes.attributes().get(key)
    return not key.startswith(_OVERFLOW) and (known is None or known.type == "string")


_SHORTENING = ShorteningPolicy(
    separators={
        "actions": "; ",
        "attachments": ",",
        "clientRecipients": ",",
        "envelopeTo": ",",
        "fileHashes": ",",
        "findings": "; ",
        "links": " ",
        "reasons": "; ",
        "recipients": ",",
        "threatCategories": ",",
        "toNames": ",",
    },
    order=(
        "enrichment",
        "links",
        "actions",
        "findings",
        "changePrevious",
        "toNames",
        "reasons",
        "envelopeTo",
        "clientRecipients",
        "recipients",
        "subject",
    ),
    overflow=_OVERFLOW,
    is_required=_is_required,
    can_cut=_can_cut,
)
