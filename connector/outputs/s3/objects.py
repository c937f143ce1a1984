"""What becomes of a batch: objects with their keys. The same batch name always makes the same keys."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC

from connector.model import BatchName, Event
from connector.outputs.shared.gzip_stream import gzip_lines


@dataclass(frozen=True, slots=True)
class StoredObject:
    """One object of a batch: *key* below the bucket, what it holds, and the indexes of its events."""

    key: str
    body: bytes
    content_type: str
    events: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Objects:
    """The objects of a batch, and the events that can be in none, by index, with the reason."""

    objects: tuple[StoredObject, ...]
    rejected: Mapping[int, str] = field(default_factory=dict)


def file_name(batch: BatchName) -> str:
    """Name of an object: when the batch was formed, so that a listing is in order, and its id."""
    return f"{batch.formed.astimezone(UTC):%Y%m%dT%H%M%SZ}-{batch.id}"


def ndjson(prefix: str) -> Callable[[BatchName, Sequence[Event]], Objects]:
    """One gzip object with a line per event, below ``year=/month=/day=`` of the batch."""

    def make(batch: BatchName, events: Sequence[Event]) -> Objects:
        day = f"{batch.formed.astimezone(UTC):year=%Y/month=%m/day=%d}"
        key = f"{prefix}{day}/{file_name(batch)}.ndjson.gz"
        body = gzip_lines(event.payload for event in events)
        return Objects((StoredObject(key, body, "application/gzip", tuple(range(len(events)))),))

    return make
