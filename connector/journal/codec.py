"""How revisions become bytes and come back: JSON, many in one compressed blob.

Any JSON body survives. What orjson refuses (lone surrogates, integers beyond 64 bits, deep nesting) is
written by a slower, tolerant encoder, and the blob is marked so that the matching decoder reads it.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any

import msgspec
import orjson

from connector.model import Feed, Record, Revision
from connector.values import dataclass

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_SECOND = 1_000_000
_MICROSECOND = timedelta(microseconds=1)


@lru_cache(maxsize=4096)  # mail comes in bursts, and a page has one end
def to_micros(moment: datetime) -> int:
    """*moment*, which must be aware, as microseconds since 1970."""
    return (moment - _EPOCH) // _MICROSECOND


@lru_cache(maxsize=4096)
def to_moment(micros: int) -> datetime:
    """The moment, in UTC, that :func:`to_micros` was given. Raises ValueError beyond the years 1 to 9999."""
    try:
        return _EPOCH + timedelta(microseconds=micros)
    except OverflowError as error:
        raise ValueError(f"{micros} is not a time") from error


UNREADABLE = (TypeError, ValueError, KeyError, IndexError, AttributeError, RecursionError, zlib.error)
"""What decoding a row raises that the connector never wrote. Not OverflowError: that is a caller's number."""


@contextmanager
def decode_errors() -> Iterator[list[Exception]]:
    """Collect the error of decoding a damaged row, instead of raising it."""
    errors: list[Exception] = []
    try:
        yield errors
    except UNREADABLE as error:
        errors.append(error)


def whole_seconds(earliest: int, latest: int) -> tuple[int, int]:
    """The shortest half-open range of whole seconds that holds both, in microseconds."""
    return earliest // _SECOND * _SECOND, (latest // _SECOND + 1) * _SECOND


_DEPTH = 200
"""Levels of nesting that are kept: as many as a record may have (``source.pages.MAX_DEPTH``)."""

_WIDEST = 10_000
"""Bits beyond which an integer is kept as hexadecimal text: Python refuses to print longer ones."""


@dataclass(frozen=True, slots=True)
class Text:
    """One value as JSON. *tolerant*: only the tolerant decoder reads it without loss."""

    data: bytes
    tolerant: bool


@dataclass(frozen=True, slots=True)
class Blob:
    """*count* JSON values as one compressed array; *raw* is its size before compression."""

    data: bytes
    tolerant: bool
    count: int
    raw: int


def to_text(value: object) -> Text:
    """Write *value* as JSON; never raises for anything that a JSON document can hold."""
    try:
        return Text(orjson.dumps(value, default=_plain), tolerant=False)
    except (TypeError, RecursionError):
        return Text(json.dumps(_tame(value, _DEPTH), separators=(",", ":")).encode(), tolerant=True)


def from_text(text: Text) -> object:
    """Read what :func:`to_text` wrote."""
    value: object = json.loads(text.data) if text.tolerant else orjson.loads(text.data)
    return value


def revision_text(revision: Revision) -> Text:
    """Write one revision."""
    return to_text(_row(revision, to_micros(revision.collected), revision.record.body))


def _row(revision: Revision, collected: int, body: object) -> tuple[object, ...]:
    return (
        revision.feed.account,
        revision.feed.search,
        revision.record.id,
        revision.digest,
        revision.number,
        collected,
        revision.previous,
        revision.enrichment,
        revision.occurrence,
        revision.gone,
        body,
    )


def quick_blob(
    revisions: Sequence[Revision], most_bytes: int, compress: Callable[[bytes], bytes]
) -> Blob | None:
    """*revisions* as one blob, encoded in one call: their records are there as received.

    ``None`` where that is not so, where one takes the tolerant encoder, or where they exceed *most_bytes*.
    """
    rows = []
    collected, micros = None, 0
    for revision in revisions:
        received = revision.record.text
        if received is None:
            return None
        if revision.collected is not collected:  # one page has one time
            collected, micros = revision.collected, to_micros(revision.collected)
        rows.append(_row(revision, micros, orjson.Fragment(received)))
    try:
        data = orjson.dumps(rows, default=_plain)
    except (TypeError, RecursionError):
        return None
    if len(data) > most_bytes:
        return None
    return Blob(compress(data), tolerant=False, count=len(rows), raw=len(data))


def portions(texts: Iterable[Text], most: int, most_bytes: int) -> Iterator[list[Text]]:
    """Cut *texts* into runs of at most *most* values and about *most_bytes*; none is empty."""
    portion: list[Text] = []
    size = 0
    for text in texts:
        if portion and (len(portion) >= most or size + len(text.data) > most_bytes):
            yield portion
            portion, size = [], 0
        portion.append(text)
        size += len(text.data)
    if portion:
        yield portion


def to_blob(texts: list[Text], compress: Callable[[bytes], bytes]) -> Blob:
    """Join *texts* to one array and compress it."""
    data = b"[" + b",".join([text.data for text in texts]) + b"]"
    return Blob(compress(data), any(text.tolerant for text in texts), len(texts), len(data))


def from_blob(data: bytes, *, tolerant: bool) -> tuple[tuple[Revision, ...], int]:
    """Read the revisions of a blob; also says how large it was before compression.

    Raises ValueError for a damaged blob.
    """
    try:
        raw = zlib.decompress(data)
    except zlib.error as error:
        raise ValueError(str(error)) from error
    rows = json.loads(raw) if tolerant else _split_rows(raw)
    feeds: dict[tuple[str, str], Feed] = {}
    revisions = []
    for account, search, key, digest, number, collected, previous, extra, occurrence, gone, body in rows:
        feed = feeds.get((account, search)) or feeds.setdefault((account, search), Feed(account, search))
        revisions.append(
            Revision(
                feed,
                Record(key, body) if tolerant else Record(key, None, bytes(body)),
                digest,
                number,
                to_moment(collected),
                previous,
                extra,
                occurrence,
                gone,
            )
        )
    return tuple(revisions), len(raw)


def _split_rows(raw: bytes) -> Any:
    """The rows of an array, their records not decoded: each is when somebody asks for its body."""
    try:
        return _decode_rows(raw)
    except msgspec.MsgspecError as error:
        raise ValueError(str(error)) from error


_decode_rows = msgspec.json.Decoder(
    list[tuple[str, str, str, str, int, int, Any, Any, int, bool, msgspec.Raw]]
).decode


def choose_compression() -> tuple[str, Callable[[bytes], bytes]]:
    """The fastest compressor at hand, by name. Everything it writes is read with zlib."""
    try:
        from isal import isal_zlib  # noqa: PLC0415, absent where it has no wheel
    except ImportError:
        return "zlib", _zlib
    sample = b"".join(b"%d %x;" % (number, number * number) for number in range(2000))

    def compress(data: bytes) -> bytes:
        return bytes(isal_zlib.compress(data, 1))

    return ("isal", compress) if zlib.decompress(compress(sample)) == sample else ("zlib", _zlib)


def printable(text: str) -> str:
    """*text* as the database can keep it: lone surrogates replaced."""
    return text.encode("utf-8", "replace").decode("utf-8")


def _zlib(data: bytes) -> bytes:
    return zlib.compress(data, 1)


def _plain(value: object) -> object:
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, (set, frozenset)):
        return list(value)
    return str(value)


def _tame(value: object, depth: int) -> object:
    """*value* as the standard library can write and read it, containers below *depth* left out."""
    if isinstance(value, (str, float, bool)) or value is None:
        return value
    if isinstance(value, int):
        return value if value.bit_length() <= _WIDEST else hex(value)
    if not isinstance(value, (Mapping, list, tuple, set, frozenset)):
        return str(value)
    if depth == 0:
        return "(nested too deep)"
    if isinstance(value, Mapping):
        return {str(key): _tame(item, depth - 1) for key, item in value.items()}
    return [_tame(item, depth - 1) for item in value]
