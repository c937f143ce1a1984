"""Decodes the page of a search in slices, so that memory depends on the slice and not on the page.

A page of ordinary size is decoded in one step. A large one is first scanned without building any object: the
scan finds where each slice of items starts and ends; slices are decoded one at a time. An item that no record
can be made of is quarantined with its bytes, so that one hostile message never costs its page.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator, Sequence
from typing import cast

import orjson

from connector.errors import SearchIncomplete
from connector.model import JsonObject, Quarantined, Record
from connector.source.decode import Undecodable, decode
from connector.source.records import parse_row
from connector.values import dataclass

_ENCODER_DEPTH = 254
"""Levels of nesting that orjson writes."""

MAX_DEPTH = 200
"""Levels of nesting of a record: events wrap it in a few levels of their own, and the encoder has a limit."""

ANSWER_TOO_LARGE = "answer_too_large"
"""Reason of ``SearchIncomplete`` for a response beyond the HTTP client's limit, or one that takes too much
memory when it is decoded."""

MAX_ROWS = 20_000
"""Rows of one page. The API's documented maximum is 1000, its changelog once said 10,000."""

_WHOLE_PAGE = 32 << 20
"""Estimated bytes of objects up to which a page is decoded at once; 1000 ordinary records take a third."""

_SLICE_BYTES = 2 << 20
_SLICE_ROWS = 1000
"""Size of a slice: decoded, even the least favourable JSON of this size takes less than ``_WHOLE_PAGE``."""

_ITEM = 64 << 20
"""Estimated bytes of objects of a single item beyond which it is quarantined instead of decoded."""

_YIELD_AFTER = 0.02
"""Seconds of scanning after which other tasks run."""

_BRACKET = re.compile(rb'(?:[^"{}\[\]]++|"[^"\\]*+(?:\\.[^"\\]*+)*+")*+([{}\[\]])', re.DOTALL)
_MEMBER = re.compile(rb'[\s,]*+"((?:[^"\\]|\\.)*+)"\s*+:\s*+', re.DOTALL)
_SCALAR = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"|[^\s,\[\]{}"]++', re.DOTALL)
_BETWEEN = re.compile(rb"[\s,]*+")


@dataclass(frozen=True, slots=True)
class Span:
    """*rows* consecutive items of a page: bytes ``[start, end)`` of its body."""

    start: int
    end: int
    rows: int


@dataclass(frozen=True, slots=True)
class Layout:
    """A scanned page: its document without the items, and where the items are."""

    document: JsonObject
    spans: tuple[Span, ...]

    @property
    def rows(self) -> int:
        """The number of items."""
        return sum(span.rows for span in self.spans)


@dataclass(frozen=True, slots=True)
class PageSlice:
    """Decoded items of a page. *lenient*: at least one took the lenient decoder."""

    records: tuple[Record, ...]
    quarantined: tuple[Quarantined, ...] = ()
    lenient: bool = False


def is_large(body: bytes) -> bool:
    """Whether decoding *body* in one step might take too much memory."""
    return _estimate(body, 0, len(body)) > _WHOLE_PAGE


def too_large() -> SearchIncomplete:
    """The error for a response that takes too much memory when it is decoded."""
    return SearchIncomplete(ANSWER_TOO_LARGE, hint="decoded, the response would take too much memory")


async def scan(body: bytes) -> Layout | None:
    """Scan the JSON object *body*, letting other tasks run; ``None`` where ``result`` is not an array.

    Raises ``Undecodable`` for a body that ends early or is not a JSON object, ``SearchIncomplete`` for a page
    with more rows than any page has, or with too much beside them.
    """
    loop = asyncio.get_running_loop()
    pause = loop.time() + _YIELD_AFTER
    spans: list[Span] | None = None
    members: list[bytes] = []
    beside = 0
    at = _skip_to(body, body.find(b"{"), b"{")
    while not _ends(body, at, b"}"):
        member = _MEMBER.match(body, at)
        if member is None:
            raise Undecodable("the body is not complete JSON")
        at = member.end()
        if member[1] != b"result" or body[at : at + 1] != b"[":
            end = _end_of_value(body, at)
            beside += _estimate(body, at, end)
            if beside > _WHOLE_PAGE:
                raise too_large()
            members.append(b'"' + member[1] + b'":' + body[at:end])
            at = end
            continue
        spans, at = [], at + 1
        start = end = at
        rows = total = 0
        while not _ends(body, at, b"]"):
            first = _after_separators(body, at)
            at = _end_of_value(body, first)
            if rows and (rows >= _SLICE_ROWS or at - start > _SLICE_BYTES):
                spans.append(Span(start, end, rows))
                start, rows = first, 0
            start = first if rows == 0 else start
            end, rows, total = at, rows + 1, total + 1
            if total > MAX_ROWS:
                raise SearchIncomplete("too_many_rows", hint=f"expected at most {MAX_ROWS} rows in a page")
            if total % 64 == 0 and loop.time() > pause:
                await asyncio.sleep(0)
                pause = loop.time() + _YIELD_AFTER
        if rows:
            spans.append(Span(start, end, rows))
        at = _after_separators(body, at) + 1
    document = decode(b"{" + b",".join(members) + b"}").value
    return None if spans is None else Layout(cast("JsonObject", document), tuple(spans))


def decode_span(body: bytes, span: Span) -> PageSlice:
    """Decode the items of *span*: together if possible, one by one if any of them is odd."""
    data = body[span.start : span.end]
    if _estimate(data, 0, len(data)) <= _ITEM:
        try:
            rows = orjson.loads(b"[" + data + b"]")
        except orjson.JSONDecodeError:
            rows = None
        if rows is not None and is_encodable(rows):
            return slice_of(rows)
    records: list[Record] = []
    quarantined: list[Quarantined] = []
    lenient = False
    for raw in _items(data):
        row = decode_item(raw)
        if isinstance(row, Quarantined):
            quarantined.append(row)
        else:
            lenient = lenient or row[1]
            records.append(parse_row(row[0]))
    kept, conflicting = resolve_duplicates(records)
    return PageSlice(kept, (*quarantined, *conflicting), lenient)


def decode_record(raw: bytes) -> Record | Quarantined:
    """The record that the bytes of one item make, or why they make none."""
    row = decode_item(raw)
    return row if isinstance(row, Quarantined) else parse_row(row[0])


def slice_of(rows: Sequence[object], *, lenient: bool = False) -> PageSlice:
    """Make records of decoded *rows* that are known to be encodable."""
    kept, conflicting = resolve_duplicates([parse_row(row) for row in rows])
    return PageSlice(kept, conflicting, lenient)


def is_encodable(rows: Sequence[object]) -> bool:
    """Whether every row can be written as JSON again, at most ``MAX_DEPTH`` levels deep."""
    # Lists around the rows use up the encoder's own limit, which checks faster than any walk in Python.
    wrapped: object = rows
    for _ in range(_ENCODER_DEPTH - MAX_DEPTH - 1):
        wrapped = [wrapped]
    try:
        orjson.dumps(wrapped)
    except TypeError:
        return False
    return True


def resolve_duplicates(records: Sequence[Record]) -> tuple[tuple[Record, ...], tuple[Quarantined, ...]]:
    """Keep one state of a record that one page shows in several; quarantine the others.

    Which one is kept depends on the content alone: if it depended on the order of the page, every poll could
    find "another" state, and one message would flood every output. Records with different senders, subjects
    or times under one id are different messages and all kept.
    """
    by_id: dict[str, Record] = {record.id: record for record in records}
    if len(by_id) == len(records):
        return tuple(records), ()
    kept: dict[tuple[object, ...], tuple[bytes, Record]] = {}
    conflicting: list[Quarantined] = []
    order: list[tuple[object, ...]] = []
    for record in records:
        key = (record.id, *(_identity(record.head.get(name)) for name in _IDENTITY))
        text = orjson.dumps(record.body, option=orjson.OPT_SORT_KEYS)
        known = kept.get(key)
        if known is None:
            order.append(key)
            kept[key] = (text, record)
        elif known[0] != text:
            larger, smaller = max(known[0], text), min(known[0], text)
            kept[key] = (text, record) if text == larger else known
            conflicting.append(Quarantined(smaller, "conflicting_duplicate"))
    return tuple(kept[key][1] for key in order), tuple(conflicting)


_IDENTITY = ("scanned_at", "from", "subject")
"""What never changes about a message: fields that differ here belong to another message."""


def _identity(value: object) -> object:
    return value if isinstance(value, (str, int, float, type(None))) else repr(value)


def _estimate(body: bytes, start: int, end: int) -> int:
    """Estimate the memory of decoded JSON, generously: 64 bytes per value, 240 per object."""
    return end - start + 64 * body.count(b",", start, end) + 240 * body.count(b"{", start, end)


def decode_item(raw: bytes) -> tuple[object, bool] | Quarantined:
    """Return the value and whether it took the lenient decoder, or what makes it unusable."""
    if _estimate(raw, 0, len(raw)) > _ITEM:
        return Quarantined(raw, "too_large")
    if _depth(raw) > MAX_DEPTH:
        return Quarantined(raw, "nested_too_deeply")
    try:
        decoded = decode(raw)
    except Undecodable:
        return Quarantined(raw, "undecodable")
    return (
        (decoded.value, decoded.lenient) if is_encodable([decoded.value]) else Quarantined(raw, "undecodable")
    )


def _depth(raw: bytes) -> int:
    deepest = depth = 0
    for bracket in _BRACKET.finditer(raw):
        depth += 1 if bracket[1] in b"{[" else -1
        deepest = max(deepest, depth)
    return deepest


def _items(data: bytes) -> Iterator[bytes]:
    """Yield the items of *data*, the inside of an array."""
    at = _after_separators(data, 0)
    while at < len(data):
        end = _end_of_value(data, at)
        yield data[at:end]
        at = _after_separators(data, end)


def _end_of_value(body: bytes, at: int) -> int:
    """Return where the JSON value that starts at *at* ends; raises ``Undecodable`` where it does not."""
    if body[at : at + 1] not in {b"{", b"["}:
        scalar = _SCALAR.match(body, at)
        if scalar is None:
            raise Undecodable("the body is not complete JSON")
        return scalar.end()
    depth = 0
    while True:
        bracket = _BRACKET.match(body, at)
        if bracket is None:
            raise Undecodable("the body is not complete JSON")
        at = bracket.end()
        depth += 1 if bracket[1] in b"{[" else -1
        if depth == 0:
            return at


def _after_separators(body: bytes, at: int) -> int:
    separators = _BETWEEN.match(body, at)
    return separators.end() if separators else at


def _ends(body: bytes, at: int, bracket: bytes) -> bool:
    at = _after_separators(body, at)
    if at >= len(body):
        raise Undecodable("the body is not complete JSON")
    return body[at : at + 1] == bracket


def _skip_to(body: bytes, at: int, bracket: bytes) -> int:
    if at < 0 or body[:at].strip(b"\xef\xbb\xbf \t\r\n"):
        raise Undecodable("the body is empty" if not body.strip() else "the body is not a JSON object")
    return at + len(bracket)
