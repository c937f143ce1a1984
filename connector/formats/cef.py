"""CEF, version 0: one line per event that every known receiver reads the same way.

Nearly every value needs no care but for an equals sign, so the line is first written as if that were
so; what turns out to need more is written again, value by value.
"""

from __future__ import annotations

import math
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from types import MappingProxyType
from typing import TypeAlias

from connector.formats import cef_dictionary, shortening
from connector.formats.cef_dictionary import HEADER
from connector.formats.json import repair
from connector.formats.memo import Memo

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


cached_header = lru_cache(maxsize=512)(header)
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


HEADER_NAMES = tuple(cef_dictionary.HEADER)
"""The fields that become the header, in its order; everything else is the extension."""

_VENDOR, _PRODUCT, _VERSION, _CLASS_ID, _NAME, _SEVERITY = HEADER_NAMES
_KEY = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.]*")
_CONTROLS = bytes((*range(0x20), 0x7F))
_WITHOUT_CONTROLS = bytes.maketrans(_CONTROLS, b"?" * len(_CONTROLS))


_Plan: TypeAlias = tuple[str, int, str | None]
"""How a key is written: what stands before its value, the most characters, and what it is the label of.

A bare tuple, since the interpreter takes it apart several times faster than one with names.
"""

_SHORT_HEADER = 256
"""Characters of a header that is worth keeping; whoever writes the mail may choose how long others are."""
_IN_HEADER = ""
_NO_KEY = "?"


def encode(fields: Mapping[str, Value], *, max_bytes: int | None = None) -> tuple[bytes, tuple[str, ...]]:
    """Write *fields* as one line, in their order, and say what had to be shortened.

    Empty values are left out, as are labels of fields that have no value.

    Args:
        fields: header fields by the names of ``HEADER_NAMES``, and extension keys.
        max_bytes: the most the line may take; what matters least is shortened first, identifiers and
            the verdict never, so that a line may still be longer where it holds nothing else.
    """
    head = _header(fields)
    extension = _quick(fields)
    if extension is not None and (max_bytes is None or len(head) + len(extension) <= max_bytes):
        return head + extension, ()
    notes: list[str] = []
    texts = _texts(fields, notes)
    line = head + _extension(texts)
    if max_bytes is not None and len(line) > max_bytes:
        texts = shorten(texts, len(line) - max_bytes, notes)
        line = head + _extension(texts)
    return line, tuple(notes)


def _header(fields: Mapping[str, Value]) -> bytes:
    values = tuple(map(fields.get, HEADER_NAMES))
    *texts, severity = values
    try:
        short = type(severity) is int and len("".join(texts)) <= _SHORT_HEADER  # type: ignore[arg-type]
    except TypeError:  # not all of them are text
        short = False
    return (cached_header if short else header)(*values).encode()


def _quick(fields: Mapping[str, Value]) -> bytes | None:
    """The extension if every value stands in it as it is, escapes aside; else ``None``."""
    parts: list[str] = []
    last = ""
    for key, value in fields.items():
        prefix, limit, label_of = _KEY_PLANS[key]
        if value is None or not prefix:  # it stands in the header
            continue
        text = value if type(value) is str else text_of(value)
        if not text or len(text) > limit or (label_of is not None and label_of != last):
            return None
        if text.strip() != text or not (text.isascii() or text.isprintable()):
            return None
        last = prefix
        if "\\" in text:
            text = text.replace("\\", "\\\\")
        if "=" in text:
            text = text.replace("=", "\\=")
        parts.append(prefix + text)
    extension = " ".join(parts).encode()
    return extension if extension.translate(_WITHOUT_CONTROLS) == extension else None


def _texts(fields: Mapping[str, Value], notes: list[str]) -> dict[str, str]:
    """The extension's values, cleaned and within their limits, not yet escaped."""
    texts: dict[str, str] = {}
    for key, value in fields.items():
        prefix, limit, label_of = _KEY_PLANS[key]
        if prefix == _NO_KEY:
            notes.append(f"{key!a} left out: not a CEF key")
        if value is None or prefix in (_IN_HEADER, _NO_KEY):
            continue
        text = clean(value if type(value) is str else text_of(value))
        if not text or (label_of is not None and label_of[:-1] not in texts):
            continue
        if len(text) > limit and len(text) > (longest := _length(key)):
            notes.append(f"{key} cut from {len(text)} to {longest} characters")
            text = cut(key, text, longest)
        texts[key] = text
    return texts


def _extension(texts: Mapping[str, str]) -> bytes:
    return " ".join([f"{key}={escape(text)}" for key, text in texts.items()]).encode()


def _plan(key: str) -> _Plan:
    if key in cef_dictionary.HEADER:
        return _IN_HEADER, 0, None
    known = cef_dictionary.keys()
    base = key.removesuffix("Label")
    if key in known and base != key and base in known:
        return f"{key}=", _length(key), f"{base}="
    if key in known or _KEY.fullmatch(key):
        return f"{key}=", _length(key), None
    return _NO_KEY, -1, None


_KEY_PLANS: Memo[_Plan] = Memo(_plan)
"""Plans by key."""


def _length(key: str) -> int:
    """The most characters a text may have under *key*."""
    known = cef_dictionary.keys().get(key)
    return cef_dictionary.CUSTOM_LENGTH if known is None else known.max_length or sys.maxsize


_SEPARATORS: Mapping[str, str] = MappingProxyType(
    {"cat": ",", "cs4": ",", "cs6": "; ", "duser": ",", "fileHash": ",", "fname": ",", "reason": "; "}
)
"""Keys whose text is a list: whole items go."""

_ORDER = ("cs6", "reason", "duser", "cs4", "msg")
_CUSTOM = "CloudflareEmailSecurity"
_KEPT = frozenset(
    {"rt", "start", "end", "externalId", "devicePayloadId", "deviceExternalId", "cat", "act", "cs2"}
)
"""What Cloudflare says. The message id, cs1, is the sender's: kept, it could crowd out the whole event."""
_KEPT_ENDINGS = ("Id", "Revision")


def cut(key: str, text: str, limit: int) -> str:
    """*text* in at most *limit* characters: whole items of lists, a mark where anything else was cut.

    Identifiers get no mark: their beginning is worth more.
    """
    mark = "" if _kept(key) else shortening.MARK
    return shortening.cut(text, limit, separator=_SEPARATORS.get(key), mark=mark)


def shorten(texts: Mapping[str, str], excess: int, notes: list[str]) -> dict[str, str]:
    """*texts* with at least *excess* bytes fewer, what matters least taken first.

    Args:
        texts: cleaned values by key, labels included.
        excess: how many bytes the line is too long.
        notes: takes one line per key on what was done.
    """
    left = dict(texts)
    for key in _victims(texts):
        if excess <= 0:
            break
        size = _size(key, left[key])
        room = size - excess - len(key) - 2
        text = _fit(key, left[key], room) if _may_be_cut(key) else ""
        if text:
            notes.append(f"{key} cut from {len(left[key])} to {len(text)} characters: the line was too long")
            left[key] = text
            return left
        notes.append(f"{key} left out: the line was too long")
        del left[key]
        excess -= size
        label = f"{key}Label"
        if label in left:
            excess -= _size(label, left.pop(label))
    kept = [key for key in left if _kept(key)]
    shortening.curtail(left, kept, excess, notes, size=_size, fit=_fit)
    return left


def _victims(texts: Mapping[str, str]) -> Iterator[str]:
    yield from (key for key in reversed(list(texts)) if key.startswith(_CUSTOM) and not _kept(key))
    yield from (key for key in _ORDER if key in texts)
    rest = [
        key
        for key in texts
        if not (_kept(key) or key in _ORDER or key.startswith(_CUSTOM) or key.endswith("Label"))
    ]
    yield from sorted(rest, key=lambda key: len(texts[key]), reverse=True)


def _kept(key: str) -> bool:
    return key in _KEPT or (key.startswith(_CUSTOM) and key.endswith(_KEPT_ENDINGS))


def _may_be_cut(key: str) -> bool:
    """Texts of the dictionary; half a number or address would be a lie, custom keys go whole."""
    known = cef_dictionary.keys().get(key)
    return known is not None and known.type == "string"


def _size(key: str, text: str) -> int:
    """Bytes of the pair and the blank before it."""
    return len(key) + 2 + len(escape(text).encode())


def _fit(key: str, text: str, room: int) -> str:
    """The longest cut of *text* whose escaped form takes at most *room* bytes."""
    return shortening.longest(
        text, room, lambda whole, limit: cut(key, whole, limit), lambda made: len(escape(made).encode())
    )
