"""Deduplicates records: new, changed, repeated, or another message under the same id? Pure functions.

A record's *state* is its watched fields. Empty values (null, "", [], {}) are equal, and lists compare as
sets, since the API promises no order. A field that one side lacks is not compared: the API adds and retires
fields, and that is no change of a message.
"""

from __future__ import annotations

import hashlib
import math
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from functools import lru_cache
from struct import Struct
from typing import Any

import orjson

from connector.model import Body, Feed, JsonObject, Record, Revision, Seen, Window
from connector.moments import known_moment, parse_moment
from connector.values import dataclass

WATCHED: tuple[str, ...] = (
    "final_disposition",
    "is_quarantined",
    "delivery_status",
    "post_delivery_operations",
    "is_phish_submission",
    "threat_categories",
    "properties",
)
"""The fields whose change is worth an update, unless a search says otherwise."""

SLACK = timedelta(hours=1)
"""How far a row's last window may lag behind the truth, so that re-reading rarely writes."""

ENRICHMENT_PENDING = "$unenriched"
"""In a row's state, and no part of it: which endpoints did not answer, and when they were asked."""

_LEFT = "$left"
"""In a row's state, and no part of it: the record was asked for after it had left its search."""

_DEPTH = 50
_WIDEST = 53
"""Nesting and bits of integers up to which all JSON libraries agree."""

PAD = timedelta(seconds=2)
"""Requests ask one second beyond both ends; a record that far outside is as asked."""


@dataclass(slots=True)
class Comparison:
    """The outcome for a record: a revision to deliver, a row to store, both or neither.

    *completes*: the revision adds enrichment that was missing; the state is the same. *again*: it was
    delivered before, and is delivered once more because a backfill asked for everything. Nobody changes one;
    it is not frozen because one is made for every record.
    """

    revision: Revision | None = None
    seen: Seen | None = None
    completes: bool = False
    again: bool = False

    @property
    def new(self) -> bool:
        """Whether the record was never seen before."""
        return self.revision is not None and self.revision.number == 1 and not self.again

    @property
    def changed(self) -> bool:
        """Whether the record was seen before in another state."""
        return self.revision is not None and self.revision.number > 1 and not (self.completes or self.again)


UNCHANGED = Comparison()
"""A known record in its known state: nothing to deliver, nothing to store."""


def state_of(body: Body, watched: Sequence[str] = WATCHED) -> JsonObject:
    """The canonical state of a record: its watched fields, where it has them."""
    return {name: _canonical(body[name]) for name in watched if name in body}


_OTHER = "\x1f"
"""Separates the API's id from a message's checksums where another message has the same id: no id of the API
holds a control character."""


def message_of(head: Body) -> bytes:
    """Four bytes per field that tells one message from another; zeros where a record's *head* lacks it.

    None of them ever changes. Where both sides have one and it differs, they are two messages.
    """
    value = head.get
    return _CHECKSUMS.pack(
        _time_checksum(value("scanned_at")),
        _time_checksum(value("ts")),
        _checksum(value("from")),
        _checksum(value("subject")),
    )


def is_other_message(known: bytes, found: bytes) -> bool:
    """Whether two results of :func:`message_of` belong to different messages."""
    if known == found:
        return False
    pairs = ((known[at : at + 4], found[at : at + 4]) for at in range(0, min(len(known), len(found)), 4))
    return any(one != other and _ABSENT not in {one, other} for one, other in pairs)


def under_own_id(record: Record, message: bytes) -> Record:
    """*record*, under an id of its own because another message has its id."""
    return record.renamed(f"{record.id}{_OTHER}{message.hex()}")


def api_id(record_id: str) -> str:
    """The id by which the API knows a record."""
    return record_id.partition(_OTHER)[0]


def shares_its_id(record_id: str) -> bool:
    """Whether another message has the same id at the API."""
    return _OTHER in record_id


_ABSENT = bytes(4)
_CHECKSUMS = Struct(">4I")


def _checksum(value: object) -> int:
    # Not cryptographic: both messages come from the API, and a collision needs the same id as well.
    if value is None or value == "":
        return 0
    text = value if isinstance(value, str) else repr(value)
    return zlib.crc32(text.encode("utf-8", "surrogatepass")) or 1


def _time_checksum(value: object) -> int:
    return _text_time_checksum(value) if type(value) is str else _checksum(value)


@lru_cache(maxsize=4096)
def _text_time_checksum(text: str) -> int:
    return _checksum(_to_the_second(text))


def _to_the_second(value: object) -> object:
    """A time in one notation, since another notation of the same second is the same time."""
    if isinstance(value, str) and value[4:17:3] == "--T::" and value[19:] in _UTC:  # what the API sends
        return f"{value[:19]}+00:00"
    moment = parse_moment(value)
    return value if moment is None else moment.isoformat(timespec="seconds")


_UTC = ("Z", "")
"""What follows the seconds of a time in UTC; the retired ``ts`` came without a zone."""


def digest_of(state: Body) -> str:
    """The state's digest: 32 hexadecimal digits, equal for equal states."""
    text = orjson.dumps(state, option=orjson.OPT_SORT_KEYS)
    return hashlib.blake2b(text, digest_size=16).hexdigest()


def without_marks(state: Body) -> Body:
    """*state* without what is only remembered in its place."""
    if ENRICHMENT_PENDING not in state and _LEFT not in state:
        return state
    return {name: value for name, value in state.items() if name not in {ENRICHMENT_PENDING, _LEFT}}


def has_left(row: Seen) -> bool:
    """Whether the record was asked for after it had left its search, and has not come back since."""
    return _LEFT in row.state


def mark_left(row: Seen) -> Seen:
    """*row*, remembering that its record left its search; :func:`compare` forgets it when it comes back."""
    return row if has_left(row) else replace(row, state={**row.state, _LEFT: True}, mark=b"")


def time_of(record: Record, fallback: datetime) -> datetime:
    """When the message was scanned: ``scanned_at``, else the retired ``ts``, else *fallback*."""
    return known_time_of(record) or fallback


def known_time_of(record: Record) -> datetime | None:
    """When the message was scanned; ``None`` where the record does not say, or says a zero value."""
    said = record.scanned
    moment = known_moment(said) if isinstance(said, str) else None
    if moment is None:
        said = record.head.get("ts")
        moment = known_moment(said) if isinstance(said, str) else None
    return moment


def compare(
    record: Record,
    known: Seen | None,
    *,
    feed: Feed,
    window: Window,
    collected: datetime,
    watched: Sequence[str] = WATCHED,
    message: bytes = b"",
) -> Comparison:
    """Say what *record*, returned for *window*, is against the row *known* of its id.

    First sight is revision 1, a changed state the next one. A state that returns counts up again, also
    that of a record reported as gone. Whichever of its timestamps the API goes by, a record lies in
    every window that returns it, so its row's time is kept inside all of them. *message* is what
    :func:`message_of` says of the record, where the caller knows it.
    """
    message = message or message_of(record.head)
    state, digest = _judged(record, watched)
    if known is None:
        return _first(record, state, digest, feed, window, collected, message)
    time, until = _within(window, known.time), max(known.until, window.end)
    is_worth_writing = time != known.time or not known.message or until - known.until > SLACK
    if not is_worth_writing and digest == known.digest and _GONE not in known.state and not has_left(known):
        return UNCHANGED
    mark = b"" if ENRICHMENT_PENDING in known.state else record.mark
    row = replace(known, time=time, until=until, message=known.message or message, mark=mark)
    changed = {
        name: known.state[name] for name in state if name in known.state and known.state[name] != state[name]
    }
    if changed or _GONE in known.state:
        merged = {name: value for name, value in without_marks(known.state).items() if name != _GONE} | state
        return _change(record, row, merged, changed, feed, window, collected)
    merged = {**known.state, **state}
    merged.pop(_LEFT, None)
    if len(merged) == len(known.state):
        return Comparison(seen=row if is_worth_writing else None)
    digest = digest_of(without_marks(merged))
    return Comparison(
        seen=replace(
            row,
            state=merged,
            digest=digest,
            occurrences={**known.occurrences, digest: max(1, known.occurrences.get(digest, 0))},
        )
    )


def disappearance(known: Seen, *, feed: Feed, window: Window, collected: datetime) -> Comparison:
    """The revision that reports, once, that the API no longer knows the record."""
    if known.state.get(_GONE):
        return Comparison()
    watched = without_marks(known.state)
    state = {**watched, _GONE: True}
    body = {"id": api_id(known.id), "scanned_at": known.time.isoformat(), **watched}
    comparison = _change(Record(known.id, body), known, state, {}, feed, window, collected)
    return replace(
        comparison, revision=replace(comparison.revision, gone=True) if comparison.revision else None
    )


def redelivery(
    record: Record, known: Seen, comparison: Comparison, *, feed: Feed, collected: datetime
) -> Comparison:
    """*comparison*, which found nothing new in *record*, with a revision: under the identity of its state."""
    row = comparison.seen or known
    occurrence = row.occurrences.get(row.digest, 1)
    revision = Revision(feed, record, row.digest, row.number, collected, occurrence=occurrence)
    return replace(comparison, revision=revision, again=True)


_GONE = "$gone"


def _judged(record: Record, watched: Sequence[str]) -> tuple[JsonObject, str]:
    """The state of *record* and its digest."""
    said = record.fields(watched)
    try:
        return _judged_text(orjson.dumps(said))
    except TypeError:  # what this encoder refuses, another JSON library wrote
        state = state_of(said, watched)
        return state, digest_of(state)


@lru_cache(maxsize=512)
def _judged_text(said: bytes) -> tuple[JsonObject, str]:
    # Millions of records share a few hundred states: each is worked out once, and never changed.
    fields = orjson.loads(said)
    state = state_of(fields, tuple(fields))
    return state, digest_of(state)


def _first(
    record: Record,
    state: JsonObject,
    digest: str,
    feed: Feed,
    window: Window,
    collected: datetime,
    message: bytes,
) -> Comparison:
    return Comparison(
        Revision(feed, record, digest, 1, collected),
        Seen(
            record.id,
            _within(window, time_of(record, window.start)),
            state,
            digest,
            {digest: 1},
            1,
            window.end,
            message,
            record.mark,
        ),
    )


def _within(window: Window, moment: datetime) -> datetime:
    """*moment*, or the nearest in *window*: the API may window by another timestamp than this one."""
    if window.start - PAD <= moment <= window.end + PAD:
        return moment
    return window.start if moment < window.start else max(window.start, window.end - timedelta(seconds=1))


def _change(
    record: Record,
    known: Seen,
    state: Mapping[str, Any],
    previous: Body,
    feed: Feed,
    window: Window,
    collected: datetime,
) -> Comparison:
    digest = digest_of(state)
    occurrence = known.occurrences.get(digest, 0) + 1
    number = known.number + 1
    return Comparison(
        Revision(feed, record, digest, number, collected, previous=previous, occurrence=occurrence),
        replace(
            known,
            state=state,
            digest=digest,
            occurrences={**known.occurrences, digest: occurrence},
            number=number,
            until=max(known.until, window.end),
            mark=record.mark,
        ),
    )


def _canonical(value: Any, depth: int = _DEPTH) -> Any:
    """*value* as every encoder can write it and every decoder reads it back the same."""
    kind = value.__class__
    if kind is str:
        return _text(value) or None
    if kind is not list and kind is not dict:
        return _number(value)
    if depth == 0:
        return "(nested too deep)"
    if kind is dict:
        inner = {_text(key): _canonical(item, depth - 1) for key, item in value.items()}
        return {key: item for key, item in inner.items() if item is not None} or None
    return _as_set([_canonical(item, depth - 1) for item in value])


def _as_set(items: list[Any]) -> list[Any] | None:
    if all(item.__class__ is str for item in items):
        return sorted(set(items)) or None
    distinct = {orjson.dumps(item, option=orjson.OPT_SORT_KEYS): item for item in items}
    return [distinct[key] for key in sorted(distinct)]


def _number(value: Any) -> Any:
    if value.__class__ is int and value.bit_length() > _WIDEST:
        return hex(value)
    return str(value) if value.__class__ is float and not math.isfinite(value) else value


def _text(text: str) -> str:
    """*text*, with what is no character written out."""
    return text if text.isascii() else text.encode("utf-8", "backslashreplace").decode("utf-8")
