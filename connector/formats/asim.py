"""Rows for Log Analytics: JSON objects whose columns fit into its limit. Pure.

Azure Monitor cuts a longer value without a word, in the middle of a JSON text if need be, which makes an
object an unreadable string. So the encoder shortens first, by whole items, and notes each column.
"""

from __future__ import annotations

from connector.formats import json
from connector.model import JsonObject

COLUMN_BYTES = 64 << 10
"""Most bytes of a value: learn.microsoft.com/azure/azure-monitor/service-limits, Logs Ingestion API."""

_ROOM = 1 << 10
"""Left free in a shortened value, in bytes: the limit may count a character as two bytes of UTF-16."""


def encode(row: JsonObject) -> tuple[bytes, tuple[str, ...]]:
    """Write *row* as JSON; return it with a note for each column that was shortened."""
    payload = json.encode(row)
    if len(payload) <= COLUMN_BYTES // 2:
        return payload, ()
    notes: list[str] = []
    fitting = {name: _fitted(name, value, notes) for name, value in row.items()}
    return (json.encode(fitting), tuple(notes)) if notes else (payload, ())


def _fitted(name: str, value: object, notes: list[str]) -> object:
    if _size(value) <= COLUMN_BYTES - _ROOM:
        return value
    notes.append(f"{name}: shortened to {COLUMN_BYTES >> 10} KiB")
    return _shortened(value, COLUMN_BYTES - _ROOM)


def _shortened(value: object, room: int) -> object:
    """The part of *value* whose size is at most *room*: whole items of an object or list while they fit."""
    if isinstance(value, str):
        return _cut(value, room)
    if isinstance(value, dict):
        kept: JsonObject = {}
        # The smallest first, so that one enormous item costs itself alone.
        for key, item in sorted(value.items(), key=lambda pair: _size(pair[1])):
            left = room - _size(kept) - _size(key) - _PUNCTUATION
            part = item if _size(item) <= left else _shortened(item, left)
            if _size(part) <= left and part not in (None, "", [], {}):
                kept[key] = part
        return {key: kept[key] for key in value if key in kept}
    if isinstance(value, list):
        taken = 0
        for index, item in enumerate(value):
            taken += _size(item) + _PUNCTUATION
            if taken > room:
                return value[:index]
    return value


_PUNCTUATION = 4
"""Bytes for quotes, colon and comma of one item, at most."""


def _cut(text: str, room: int) -> str:
    """The beginning of *text* whose size is at most *room*."""
    if room <= _PUNCTUATION:
        return ""
    short = text[:room]
    while short and _size(short) > room:
        short = short[: min(len(short) - 1, len(short) * room // _size(short))]
    return short


def _size(value: object) -> int:
    """Bytes of *value* as Log Analytics may count them: UTF-16 code units twice, or JSON in UTF-8."""
    if isinstance(value, str):
        return max(2 * len(value), len(value.encode("utf-8", "surrogatepass")))
    return len(json.encode({"": value}))
