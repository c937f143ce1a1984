"""LEEF, version 2.0: one line per event, in which no text of a mail can pass for a field.

The format has no escapes, so values are cleaned; ``leef_text`` says how.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from functools import lru_cache
from types import MappingProxyType

from connector.formats import leef_attributes, shortening
from connector.formats.cef import Value, text_of
from connector.formats.json import repair
from connector.formats.leef_attributes import DELIMITER, HEADER, KEY, length_of

_SEPARATORS: Mapping[str, str] = MappingProxyType(
    {
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
    }
)
"""Keys whose text is a list: whole items go."""

_ORDER = ("enrichment", "links", "actions", "findings", "changePrevious", "toNames", "reasons", "envelopeTo",
          "clientRecipients", "recipients", "subject")  # fmt: skip
_REST = "cloudflare"
"""Keys of this product that hold what nobody named start with this."""

_KEPT = frozenset({"accountName", "cat", "devTime", "devTimeFormat", "dispositionRaw", "revision", "sev"})
_KEPT_ENDINGS = ("Id",)
_BY_THE_SENDER = "messageId"
"""An identifier that its author may have made as long as it takes to crowd out the verdict."""


def cut(key: str, text: str, limit: int) -> str:
    """*text* in at most *limit* characters: whole items of lists, a mark where anything else was cut.

    Identifiers get no mark: their beginning is worth more.
    """
    mark = "" if _kept(key) else shortening.MARK
    return shortening.cut(text, limit, separator=_SEPARATORS.get(key), mark=mark)


def shorten(texts: Mapping[str, str], excess: int, notes: list[str]) -> dict[str, str]:
    """*texts* with at least *excess* bytes fewer, what matters least taken first.

    Args:
        texts: clean values by key.
        excess: how many bytes the line is too long.
        notes: takes one line per key on what was done.
    """
    left = dict(texts)
    for key in _victims(texts):
        if excess <= 0:
            break
        size = _size(key, left[key])
        text = _fit(key, left[key], size - excess - len(key) - 2) if _may_be_cut(key) else ""
        if text:
            notes.append(f"{key} cut from {len(left[key])} to {len(text)} characters: the line was too long")
            left[key] = text
            return left
        notes.append(f"{key} left out: the line was too long")
        del left[key]
        excess -= size
    kept = [key for key in left if _kept(key)]
    shortening.curtail(left, kept, excess, notes, size=_size, fit=_fit)
    return left


def _victims(texts: Mapping[str, str]) -> Iterator[str]:
    yield from (key for key in reversed(list(texts)) if key.startswith(_REST) and not _kept(key))
    yield from (key for key in _ORDER if key in texts)
    rest = [key for key in texts if not (_kept(key) or key in _ORDER or key.startswith(_REST))]
    yield from sorted(rest, key=lambda key: len(texts[key]), reverse=True)


def _kept(key: str) -> bool:
    return key in _KEPT or (key.endswith(_KEPT_ENDINGS) and key != _BY_THE_SENDER)


def _may_be_cut(key: str) -> bool:
    """Texts; half a number or address would be a lie, and what nobody named goes whole."""
    known = leef_attributes.attributes().get(key)
    return not key.startswith(_REST) and (known is None or known.type == "string")


def _size(key: str, text: str) -> int:
    """Bytes of the pair and what stands before it."""
    return len(key) + 2 + len(text.encode())


def _fit(key: str, text: str, room: int) -> str:
    """The longest cut of *text* that takes at most *room* bytes."""
    return shortening.longest(
        text, room, lambda whole, limit: cut(key, whole, limit), lambda made: len(made.encode())
    )


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


def end_safely(text: str) -> str:
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


def delimiter_name(delimiter: str) -> str:
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
        name: end_safely(clean(text, delimiter)[:limit].rstrip())
        for (name, limit), text in zip(HEADER.items(), texts, strict=True)
    }
    parts[_EVENT_ID] = parts[_EVENT_ID] or _NO_EVENT_ID
    return "|".join(("LEEF:2.0", *parts.values(), delimiter_name(delimiter), "")).encode()


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
    return delimiter.join([f"{key}={end_safely(text)}" for key, text in texts.items()]).encode()


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
