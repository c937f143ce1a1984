"""Splits a page into records without decoding them: each is decoded when somebody asks for its body.

Most records that are read again are unchanged, byte by byte: a digest of the bytes tells that. Others are
compared by a few fields. What becomes a revision is decoded once, by the same decoders as any other page, and
its own bytes go into the journal.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, TypedDict, cast

import msgspec
import orjson

from connector.model import HEAD_FIELDS, Body, JsonObject, Quarantined, Record
from connector.source.decode import decode
from connector.source.pages import (
    MAX_DEPTH,
    PageSlice,
    decode_item,
    is_large,
    resolve_duplicates,
)
from connector.source.records import parse_row

_AT_ONCE = 2 << 20
"""Bytes up to which a page is split without estimating its objects: a page of 1000 records has 1.7 MB."""


class _Page(msgspec.Struct, gc=False):
    """The parts of an answer that are used; rows stay as they are."""

    result: list[msgspec.Raw]
    success: Any = None
    errors: Any = None
    messages: Any = None
    result_info: Any = None


_decode_page = msgspec.json.Decoder(_Page).decode


class _Listed(msgspec.Struct, gc=False):
    """What is asked of a record before it is known whether it was seen."""

    id: str
    scanned_at: str | None = None
    ts: str | None = None


_decode_listed = msgspec.json.Decoder(_Listed).decode

_MARK_BYTES = 8
"""Bytes of a mark. It tells versions of one record apart, and no sender can craft two with the same mark."""


@dataclass(frozen=True, slots=True)
class RawPage:
    """The items of a page as received."""

    document: JsonObject
    items: tuple[bytes, ...]
    splitter: PageSplitter

    def slice(self) -> PageSlice:
        """Make records of all items; what no record can be made of is quarantined."""
        return self.splitter.slice_of(self.items)

    def listed(self) -> list[Record] | None:
        """The records of all items, not checked yet; ``None`` where an item does not look like a record."""
        records = list(map(self.splitter.list_record, self.items))
        return None if None in records else cast("list[Record]", records)


class PageSplitter:
    """Splits pages.

    Args:
        compared: names of fields that comparisons look at; they can be read without decoding the record.
    """

    def __init__(self, compared: Iterable[str] = ()) -> None:
        watched = frozenset(compared)
        self.compared = watched - HEAD_FIELDS
        fields: dict[str, Any] = {
            "id": str,
            **dict.fromkeys(HEAD_FIELDS, str | None),
            **dict.fromkeys(self.compared, msgspec.Raw),
        }
        head: Any = TypedDict("head", fields, total=False)  # type: ignore[misc]
        self._decode_head = msgspec.json.Decoder(head).decode
        # Marks of a search that watches other fields mean nothing: what it said of them was not kept.
        self._salt = sha256(repr(sorted(watched)).encode()).digest()

    def split(self, body: bytes) -> RawPage | None:
        """Split *body*; ``None`` where it is not a page, or one that has to be decoded in slices."""
        if len(body) > _AT_ONCE and is_large(body):
            return None
        try:
            page = _decode_page(body)
        except (msgspec.MsgspecError, RecursionError):
            return None
        document = {
            "success": page.success,
            "errors": page.errors,
            "messages": page.messages,
            "result_info": page.result_info,
        }
        # Copied: a view would keep the whole page alive.
        return RawPage(document, tuple(map(bytes, page.result)), self)

    def slice_of(self, items: Sequence[bytes]) -> PageSlice:
        """Make records of *items*, in order."""
        listed = [self.list_record(item) for item in items]
        sound = [
            record if record is not None and _is_utf8(item) else None
            for item, record in zip(items, listed, strict=True)
        ]
        return _slice(zip(items, sound, strict=True))

    def check(self, records: Sequence[Record]) -> PageSlice:
        """Decode *records* that were listed; those that are no strict JSON are looked at closely."""
        items = [record.unread or b"" for record in records]
        sound = [record if record.text is not None else None for record in records]
        return _slice(zip(items, sound, strict=True))

    def list_record(self, item: bytes) -> Record | None:
        """The record of *item*, of which only id and time are read; ``None`` where it looks like none."""
        try:
            listed = _decode_listed(item)
        except (msgspec.MsgspecError, RecursionError):
            return None
        if not listed.id or listed.id.isspace():
            return None
        mark = sha256(self._salt + item).digest()[:_MARK_BYTES]
        return Record(listed.id, None, item, None, self, listed.scanned_at or listed.ts, mark)

    def decode_head(self, text: bytes) -> Mapping[str, Any] | None:
        """Some fields of the record *text*; ``None`` where they are of another type than usual."""
        try:
            return cast("Mapping[str, Any]", self._decode_head(text))
        except msgspec.MsgspecError:
            return None

    def decode_body(self, text: bytes) -> tuple[Body, bool]:
        """The record *text*, whose grammar is known to be sound, and whether it is strict JSON."""
        try:
            return cast("JsonObject", orjson.loads(text)), True
        except orjson.JSONDecodeError:  # a number that is too large
            return cast("JsonObject", decode(text).value), False


def _slice(items: Iterable[tuple[bytes, Record | None]]) -> PageSlice:
    """The records of *items*; those without a record are decoded alone, and perhaps quarantined."""
    records: list[Record] = []
    quarantined: list[Quarantined] = []
    is_lenient = False
    for item, record in items:
        # What closes is counted, not what is nested: an ordinary record has a few dozen, deep ones more.
        if record is not None and item.count(b"}") + item.count(b"]") <= MAX_DEPTH:
            records.append(record)
            continue
        row = decode_item(item)
        if isinstance(row, Quarantined):
            quarantined.append(row)
            continue
        is_lenient = is_lenient or row[1]
        records.append(parse_row(row[0]))
    kept, conflicting = resolve_duplicates(records)
    return PageSlice(kept, (*quarantined, *conflicting), is_lenient)


def _is_utf8(text: bytes) -> bool:
    if text.isascii():
        return True
    try:
        text.decode()
    except UnicodeDecodeError:
        return False
    return True
