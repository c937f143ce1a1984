"""Splits a page into records without decoding them.

Most records that are read again are unchanged, byte by byte: a digest of the bytes tells that. Others are
decoded to see whether they are strict JSON, and only the few fields are kept that comparisons look at. Their
own bytes go into the journal and to the outputs, which decode them one by one.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from hashlib import sha256
from typing import Any, cast

import msgspec

from connector.model import HEAD_FIELDS, JsonObject, Quarantined, Record
from connector.source.pages import (
    MAX_DEPTH,
    PageSlice,
    decode_item,
    is_large,
    resolve_duplicates,
)
from connector.source.records import parse_row
from connector.values import dataclass

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
        compared: names of fields that comparisons look at.
    """

    def __init__(self, compared: Iterable[str] = ()) -> None:
        watched = frozenset(compared)
        self._kept = watched | HEAD_FIELDS
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
        return self._slice([(item, self.list_record(item)) for item in items])

    def check(self, records: Sequence[Record]) -> PageSlice:
        """Look closely at *records* that were listed; those that are no strict JSON are decoded leniently."""
        return self._slice([(record.text or b"", record) for record in records])

    def list_record(self, item: bytes) -> Record | None:
        """The record of *item*, of which only id and time are read; ``None`` where it looks like none."""
        try:
            listed = _decode_listed(item)
        except (msgspec.MsgspecError, RecursionError):
            return None
        if not listed.id or listed.id.isspace():
            return None
        mark = sha256(self._salt + item).digest()[:_MARK_BYTES]
        return Record(listed.id, None, item, None, listed.scanned_at or listed.ts, mark)

    def _slice(self, items: Iterable[tuple[bytes, Record | None]]) -> PageSlice:
        """The records of *items*; those without a record are decoded alone, and perhaps quarantined."""
        records: list[Record] = []
        quarantined: list[Quarantined] = []
        is_lenient = False
        for item, record in items:
            if record is not None and _closes(item) <= MAX_DEPTH and record.check(self._kept):
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


def _closes(item: bytes) -> int:
    """How many brackets close in *item*: an ordinary record has a few dozen, one that nests deeply more."""
    # Replacing jumps from one to the next, while counting looks at every byte.
    return 2 * len(item) - len(item.replace(b"}", b"")) - len(item.replace(b"]", b""))
