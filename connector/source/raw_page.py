"""Splits a page into records without decoding them: each is decoded when somebody asks for its body.

Most records that are read again are unchanged, and a few fields tell that. What becomes a revision is decoded
once, by the same decoders as any other page, and its own bytes go into the journal.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
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


@dataclass(frozen=True, slots=True)
class RawPage:
    """The items of a page as received."""

    document: JsonObject
    items: tuple[bytes, ...]
    splitter: PageSplitter

    def slice(self) -> PageSlice:
        """Make records of all items; what no record can be made of is quarantined."""
        return self.splitter.slice_of(self.items)


class PageSplitter:
    """Splits pages.

    Args:
        compared: names of fields that comparisons look at; they can be read without decoding the record.
    """

    def __init__(self, compared: Iterable[str] = ()) -> None:
        self.compared = frozenset(compared) - HEAD_FIELDS
        fields: dict[str, Any] = {
            "id": str,
            **dict.fromkeys(HEAD_FIELDS, str | None),
            **dict.fromkeys(self.compared, msgspec.Raw),
        }
        head: Any = TypedDict("head", fields, total=False)  # type: ignore[misc]
        self._decode_head = msgspec.json.Decoder(head).decode

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

    def slice_of(self, items: Iterable[bytes]) -> PageSlice:
        """Make records of *items*, in order."""
        quarantined: list[Quarantined] = []
        lenient: list[bytes] = []
        kept, conflicting = resolve_duplicates(tuple(self._records(items, quarantined, lenient)))
        return PageSlice(kept, (*quarantined, *conflicting), bool(lenient))

    def _records(
        self, items: Iterable[bytes], quarantined: list[Quarantined], lenient: list[bytes]
    ) -> Iterator[Record]:
        decode_head = self._decode_head
        for item in items:
            # What closes is counted, not what is nested: an ordinary record has a few dozen, deep ones more.
            if item.count(b"}") + item.count(b"]") <= MAX_DEPTH and _is_utf8(item):
                try:
                    head: Any = decode_head(item)
                    name = head["id"]
                    if name and not name.isspace():
                        yield Record(name, None, item, head, self)
                        continue
                except (msgspec.MsgspecError, KeyError):
                    pass
            row = decode_item(item)
            if isinstance(row, Quarantined):
                quarantined.append(row)
                continue
            if row[1]:
                lenient.append(item)
            yield parse_row(row[0])

    def decode_body(self, text: bytes) -> tuple[Body, bool]:
        """The record *text*, whose grammar is known to be sound, and whether it is strict JSON."""
        try:
            return cast("JsonObject", orjson.loads(text)), True
        except orjson.JSONDecodeError:  # a number that is too large
            return cast("JsonObject", decode(text).value), False


def _is_utf8(text: bytes) -> bool:
    if text.isascii():
        return True
    try:
        text.decode()
    except UnicodeDecodeError:
        return False
    return True
