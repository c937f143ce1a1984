"""CEF version 0 encoder: fields to one ``CEF:0|...`` line that every known receiver parses the same way.

Source: ArcSight Common Event Format, Implementation Standard (revision 25). Most values need no escape but
for an equals sign, so ``encode`` first writes the line as if that were true (``_encode_fast``), and only
otherwise cleans, cuts and escapes value by value.
"""

from __future__ import annotations

import math
import re
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from operator import itemgetter
from typing import TypeAlias

from connector.formats import cef_dictionary
from connector.formats.cef_dictionary import HEADER
from connector.formats.json import repair
from connector.formats.memo import Memo
from connector.formats.shortening import ShorteningPolicy

Scalar: TypeAlias = str | int | float | bool | datetime | None
Value: TypeAlias = Scalar | Sequence[Scalar]

_HEADER_CONTROLS = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]+")
_NOT_IN_CLASS_ID = re.compile(r"[^A-Za-z0-9._-]+")
_SEVERITIES = frozenset({"Unknown", "Low", "Medium", "High", "Very-High"})
_HIGHEST = 10
"""CEF severities are 0 to 10 (Implementation Standard, "Severity")."""

# Python converts integers of this size without its limit of 4300 digits getting in the way.
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
    """*text* without control characters and surrounding spaces; every kind of line break becomes LF or CR."""
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
    """*value* as text: lists joined by commas, times as Unix milliseconds, no value as an empty text."""
    if type(value) is str:
        return value
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
    except ValueError:  # Python converts at most 4300 digits
        return hex(int(value))


HEADER_NAMES = tuple(cef_dictionary.HEADER)
"""The fields that form the header, in its order; all others form the extension."""
_header_values = itemgetter(*HEADER_NAMES)

_VENDOR, _PRODUCT, _VERSION, _CLASS_ID, _NAME, _SEVERITY = HEADER_NAMES
_KEY = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.]*")
_CONTROLS = bytes((*range(0x20), 0x7F))
_WITHOUT_CONTROLS = bytes.maketrans(_CONTROLS, b"?" * len(_CONTROLS))


def has_controls(line: bytes) -> bool:
    """Whether *line* has control characters of ASCII."""
    return line.translate(_WITHOUT_CONTROLS) != line


_KeyPlan: TypeAlias = tuple[str, int, str | None, set[str] | None]
"""How a key is written: the prefix of its value, the most characters, the prefix of the key it labels, and
texts known to need no escape and no check; ``None`` where texts under the key rarely repeat.

A plain tuple: unpacking it is several times faster than a named one, once per field of every event.
"""

_MOST_USUAL = 16
"""Texts under a key from which on it is taken for one whose texts do not repeat."""
_LONGEST_USUAL = 128

_HEADERS: dict[tuple[Value, ...], bytes] = {}
"""Headers by the values in them: they repeat (few verdicts, one vendor)."""
_MOST_HEADERS = 512
_LONGEST_HEADER = 256
"""In bytes: the sender of a message controls how long others get."""
_IN_HEADER = ""
_NO_KEY = "?"


def encode(fields: Mapping[str, Value], *, max_bytes: int | None = None) -> tuple[bytes, tuple[str, ...]]:
    """Write *fields* as one line in their order; return it with one note per value that was shortened.

    Empty values are left out, and so are labels of fields without a value.

    Args:
        fields: header fields by the names of ``HEADER_NAMES``, and extension keys.
        max_bytes: size limit of the line. The least important values are shortened first; identifiers and
            the verdict keep at least ``shortening.LEAST`` bytes each, so such a line may still be longer.
    """
    head = _header(fields)
    extension = _encode_fast(fields)
    if extension is not None and (max_bytes is None or len(head) + len(extension) <= max_bytes):
        return head + extension, ()
    notes: list[str] = []
    texts = _texts(fields, notes)
    line = head + _extension(texts)
    if max_bytes is not None and len(line) > max_bytes:
        texts = _SHORTENING.shorten(texts, len(line) - max_bytes, notes)
        line = head + _extension(texts)
    return line, tuple(notes)


def _header(fields: Mapping[str, Value]) -> bytes:
    try:
        values = _header_values(fields)
        known = _HEADERS.get(values) if type(values[-1]) is int else None  # 1, 1.0 and true are one key
    except (KeyError, TypeError):  # one is missing, or a list or an object
        values = (*map(fields.get, HEADER_NAMES),)
        known = None
    if known is None:
        known = header(*values).encode()
        *texts, severity = values
        texts_alone = type(severity) is int and all(type(text) is str for text in texts)
        if texts_alone and len(known) <= _LONGEST_HEADER:
            if len(_HEADERS) >= _MOST_HEADERS:
                _HEADERS.clear()
            _HEADERS[values] = known
    return known


def _encode_fast(fields: Mapping[str, Value]) -> bytes | None:
    """The extension if no value needs cleaning or cutting; ``None`` otherwise."""
    parts: list[str] = []
    last = ""
    for key, value in fields.items():
        prefix, limit, label_of, usual = _KEY_PLANS[key]
        if value is None or not prefix:  # a header field
            continue
        if label_of is not None and label_of != last:
            return None
        last = prefix
        text = value if type(value) is str else text_of(value)
        if usual is None or text not in usual:
            if not text or len(text) > limit or text.strip() != text:
                return None
            if not (text.isascii() or text.isprintable()):
                return None
            if "=" in text or "\\" in text:
                text = text.replace("\\", "\\\\").replace("=", "\\=")
            elif usual is not None:
                _remember(key, text, usual)
        parts.append(prefix)
        parts.append(text)
    extension = "".join(parts)[1:].encode()
    return None if has_controls(extension) else extension


def _remember(key: str, text: str, usual: set[str]) -> None:
    if len(usual) < _MOST_USUAL and len(text) <= _LONGEST_USUAL:
        usual.add(text)
    else:
        prefix, limit, label_of, _ = _KEY_PLANS[key]
        _KEY_PLANS[key] = prefix, limit, label_of, None


def _texts(fields: Mapping[str, Value], notes: list[str]) -> dict[str, str]:
    """The extension's values: cleaned, within the limits of their keys, not yet escaped."""
    texts: dict[str, str] = {}
    for key, value in fields.items():
        prefix, limit, label_of, _ = _KEY_PLANS[key]
        if prefix == _NO_KEY:
            notes.append(f"{key!a} left out: not a CEF key")
        if value is None or prefix in (_IN_HEADER, _NO_KEY):
            continue
        text = clean(value if type(value) is str else text_of(value))
        if not text or (label_of is not None and label_of[1:-1] not in texts):
            continue
        if len(text) > limit:
            notes.append(f"{key} cut from {len(text)} to {limit} characters")
            text = _SHORTENING.cut(key, text, limit)
        texts[key] = text
    return texts


def _extension(texts: Mapping[str, str]) -> bytes:
    return " ".join([f"{key}={escape(text)}" for key, text in texts.items()]).encode()


def _plan(key: str) -> _KeyPlan:
    if key in cef_dictionary.HEADER:
        return _IN_HEADER, 0, None, None
    known = cef_dictionary.keys()
    base = key.removesuffix("Label")
    if key in known and base != key and base in known:
        return f" {key}=", _length(key), f" {base}=", set()
    if key in known or _KEY.fullmatch(key):
        return f" {key}=", _length(key), None, set()
    return _NO_KEY, -1, None, None


_KEY_PLANS: Memo[_KeyPlan] = Memo(_plan)


def _length(key: str) -> int:
    """The most characters a text may have under *key*."""
    known = cef_dictionary.keys().get(key)
    return cef_dictionary.CUSTOM_LENGTH if known is None else known.max_length or sys.maxsize


_REQUIRED = frozenset(
    {"rt", "start", "end", "externalId", "devicePayloadId", "deviceExternalId", "cat", "act", "cs2"}
)
"""Cloudflare's own statements. Not the message ID (cs1): the sender could crowd out the event with it."""
_OVERFLOW = "CloudflareEmailSecurity"
_REQUIRED_ENDINGS = ("Id", "Revision")


def _is_required(key: str) -> bool:
    return key in _REQUIRED or (key.startswith(_OVERFLOW) and key.endswith(_REQUIRED_ENDINGS))


def _can_cut(key: str) -> bool:
    """Text of the dictionary; half a number or address would be wrong, custom keys are dropped whole."""
    known = cef_dictionary.keys().get(key)
    return known is not None and known.type == "string"


_SHORTENING = ShorteningPolicy(
    separators={
        "cat": ",",
        "cs4": ",",
        "cs6": "; ",
        "duser": ",",
        "CloudflareEmailSecurityFileHashes": ",",
        "fname": ",",
        "reason": "; ",
    },
    order=("cs6", "reason", "duser", "cs4", "msg"),
    overflow=_OVERFLOW,
    is_required=_is_required,
    can_cut=_can_cut,
    written=escape,
    label_suffix="Label",
)
