"""LEEF, version 2.0: one line per event, in which no text of a mail can pass for a field.

The format has no escapes, so values are cleaned; ``leef_text`` says how.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache

from connector.formats.cef_text import Value, text_of
from connector.formats.leef_attributes import DELIMITER, HEADER, KEY, length_of
from connector.formats.leef_shorten import cut, shorten
from connector.formats.leef_text import (
    TIME_FORMAT,
    USUAL_DELIMITER,
    clean,
    delimiter_of,
    device_time,
    ended,
    shown,
)

HEADER_NAMES = (*HEADER, DELIMITER)
"""The fields that become the header, in its order; everything else is an attribute."""

_TIME, _TIME_FORMAT, _SEVERITY = "devTime", "devTimeFormat", "sev"
_LOWEST, _HIGHEST = 1, 10
_EVENT_ID, _NO_EVENT_ID = "EventID", "unknown"
_IN_HEADER, _NO_KEY = 0, -1


def encode(fields: Mapping[str, Value], *, max_bytes: int | None = None) -> tuple[bytes, tuple[str, ...]]:
    """Write *fields* as one line, in their order, and say what had to be shortened.

    Empty values are left out. A ``devTime`` in RFC 3339 is written in a form that receivers read, with the
    ``devTimeFormat`` that says so, unless *fields* say how it is to be read.

    Args:
        fields: header fields by the names of ``HEADER_NAMES``, and attributes.
        max_bytes: the most the line may take; what matters least is shortened first, identifiers and
            the verdict never, so that a line may still be longer where it holds nothing else.
    """
    notes: list[str] = []
    delimiter = _delimiter(fields, notes)
    head = _header(delimiter, *(text_of(fields.get(name)) for name in HEADER))
    texts = _texts(fields, delimiter, notes)
    line = head + _attributes(texts, delimiter)
    if max_bytes is not None and len(line) > max_bytes:
        texts = shorten(texts, len(line) - max_bytes, notes)
        line = head + _attributes(texts, delimiter)
    return line, tuple(notes)


def _delimiter(fields: Mapping[str, Value], notes: list[str]) -> str:
    asked = text_of(fields.get(DELIMITER))
    if not asked:
        return USUAL_DELIMITER
    delimiter = delimiter_of(asked)
    if delimiter is None:
        notes.append(f"{DELIMITER} cannot be used, {USUAL_DELIMITER} stands in")
        return USUAL_DELIMITER
    return delimiter


@lru_cache(maxsize=512)
def _header(delimiter: str, *texts: str) -> bytes:
    """The header up to and including its last pipe. Kept, because headers repeat."""
    parts = {
        name: ended(clean(text, delimiter)[:limit].rstrip())
        for (name, limit), text in zip(HEADER.items(), texts, strict=True)
    }
    parts[_EVENT_ID] = parts[_EVENT_ID] or _NO_EVENT_ID
    return "|".join(("LEEF:2.0", *parts.values(), shown(delimiter), "")).encode()


def _texts(fields: Mapping[str, Value], delimiter: str, notes: list[str]) -> dict[str, str]:
    """The attributes' values, clean and within their limits."""
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
            text = cut(key, text, limit)
        texts[key] = text
    return texts


def _attributes(texts: Mapping[str, str], delimiter: str) -> bytes:
    return delimiter.join([f"{key}={ended(text)}" for key, text in texts.items()]).encode()


@lru_cache(maxsize=1024)
def _limit(key: str) -> int:
    """The most characters a text may have under *key*; none for what stands in the header or is no key."""
    if key in HEADER_NAMES:
        return _IN_HEADER
    return length_of(key) if KEY.fullmatch(key) else _NO_KEY


def _severity(text: str) -> str:
    """A whole number from 1 to 10, all that receivers take."""
    try:
        return str(max(_LOWEST, min(_HIGHEST, round(float(text)))))
    except (ValueError, OverflowError):
        return str(_LOWEST)
