"""CEF, version 0: one line per event that every known receiver reads the same way.

Nearly every value needs no care but for an equals sign, so the line is first written as if that were
so; what turns out to need more is written again, value by value.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping
from typing import TypeAlias

from connector.formats import cef_dictionary
from connector.formats.cef_shorten import cut, shorten
from connector.formats.cef_text import Value, clean, escape, header, kept_header, text_of
from connector.formats.memo import Memory

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
    return (kept_header if short else header)(*values).encode()


def _quick(fields: Mapping[str, Value]) -> bytes | None:
    """The extension if every value stands in it as it is, escapes aside; else ``None``."""
    parts: list[str] = []
    last = ""
    for key, value in fields.items():
        prefix, limit, label_of = _PLANS[key]
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
        prefix, limit, label_of = _PLANS[key]
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


_PLANS: Memory[_Plan] = Memory(_plan)
"""Plans by key."""


def _length(key: str) -> int:
    """The most characters a text may have under *key*."""
    known = cef_dictionary.keys().get(key)
    return cef_dictionary.CUSTOM_LENGTH if known is None else known.max_length or sys.maxsize
