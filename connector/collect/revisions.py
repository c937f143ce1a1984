"""What makes a record new or changed: pure comparison of its state with what was seen.

A record's *state* is its watched fields. Values that say nothing (null, "", [], {}) are alike, and lists
compare as sets, since the API promises no order. A field that one side lacks is not compared: the API
adds and retires fields, and that is no news about a mail.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson

from connector.model import Body, Feed, JsonObject, Record, Revision, Seen, Window

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

PAD = timedelta(seconds=2)
"""Requests ask one second beyond both ends; a record that far outside is as asked."""


@dataclass(frozen=True, slots=True)
class Finding:
    """What a record turned out to be: a revision to deliver, a row to store, both or neither."""

    revision: Revision | None = None
    seen: Seen | None = None

    @property
    def new(self) -> bool:
        """Whether the record was never seen before."""
        return self.revision is not None and self.revision.number == 1


def state_of(body: Body, watched: Sequence[str] = WATCHED) -> JsonObject:
    """The canonical state of a record: its watched fields, where it has them."""
    return {name: _canonical(body[name]) for name in watched if name in body}


def digest_of(state: Body) -> str:
    """The state's digest: 32 hexadecimal digits, equal for equal states."""
    text = orjson.dumps(state, option=orjson.OPT_SORT_KEYS)
    return hashlib.blake2b(text, digest_size=16).hexdigest()


def time_of(record: Record, fallback: datetime) -> datetime:
    """When the message was scanned: ``scanned_at``, else the retired ``ts``, else *fallback*."""
    for name in ("scanned_at", "ts"):
        moment = _moment(record.body.get(name))
        if moment is not None:
            return moment
    return fallback


def compare(
    record: Record,
    known: Seen | None,
    *,
    feed: Feed,
    window: Window,
    collected: datetime,
    watched: Sequence[str] = WATCHED,
) -> Finding:
    """Say what *record*, returned for *window*, is against the row *known* of its id.

    First sight is revision 1; a changed state the next; a state that comes back counts up again.
    """
    state = state_of(record.body, watched)
    if known is None:
        return _first(record, state, feed, window, collected)
    changed = {
        name: known.state[name] for name in state if name in known.state and known.state[name] != state[name]
    }
    merged = {**known.state, **state}
    if changed:
        return _change(record, known, merged, changed, feed, window, collected)
    until = max(known.until, window.end)
    if len(merged) == len(known.state):
        return Finding(seen=replace(known, until=until) if until - known.until > SLACK else None)
    digest = digest_of(merged)
    return Finding(
        seen=replace(
            known,
            state=merged,
            digest=digest,
            occurrences={**known.occurrences, digest: max(1, known.occurrences.get(digest, 0))},
            until=until,
        )
    )


def vanish(known: Seen, *, feed: Feed, window: Window, collected: datetime) -> Finding:
    """The revision that tells that the API no longer knows the record; told once."""
    if known.state.get(_GONE):
        return Finding()
    state = {**known.state, _GONE: True}
    body = {"id": known.id, "scanned_at": known.time.isoformat(), **known.state}
    finding = _change(Record(known.id, body), known, state, {}, feed, window, collected)
    return replace(finding, revision=replace(finding.revision, gone=True) if finding.revision else None)


_GONE = "$gone"


def _first(record: Record, state: JsonObject, feed: Feed, window: Window, collected: datetime) -> Finding:
    digest = digest_of(state)
    return Finding(
        Revision(feed, record, digest, 1, collected),
        Seen(
            record.id,
            _within(window, time_of(record, window.start)),
            state,
            digest,
            {digest: 1},
            1,
            window.end,
        ),
    )


def _within(window: Window, moment: datetime) -> datetime:
    """*moment*, or the nearest in *window*: the API may window by another timestamp than this one."""
    if window.start - PAD <= moment <= window.end + PAD:
        return moment
    return window.start if moment < window.start else max(window.start, window.end - timedelta(seconds=1))


def _change(  # noqa: PLR0917, one private caller each way
    record: Record,
    known: Seen,
    state: Mapping[str, Any],
    previous: Body,
    feed: Feed,
    window: Window,
    collected: datetime,
) -> Finding:
    digest = digest_of(state)
    occurrence = known.occurrences.get(digest, 0) + 1
    number = known.number + 1
    return Finding(
        Revision(feed, record, digest, number, collected, previous=previous, occurrence=occurrence),
        replace(
            known,
            state=state,
            digest=digest,
            occurrences={**known.occurrences, digest: occurrence},
            number=number,
            until=max(known.until, window.end),
        ),
    )


def _canonical(value: Any) -> Any:
    if isinstance(value, Mapping):
        inner = {key: _canonical(item) for key, item in value.items()}
        return {key: item for key, item in inner.items() if item is not None} or None
    if isinstance(value, list):
        items = {orjson.dumps(_canonical(item), option=orjson.OPT_SORT_KEYS) for item in value}
        return [orjson.loads(item) for item in sorted(items)] or None
    return None if value == "" else value


def _moment(value: object) -> datetime | None:
    if not isinstance(value, str):
        return None
    try:
        moment = datetime.fromisoformat(value)
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except (ValueError, OverflowError):
        return None
