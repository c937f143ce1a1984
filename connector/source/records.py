"""Rows of an answer to records. Nothing is ever left out: what has no id gets one made of its content."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import cast
from urllib.parse import quote

import orjson

from connector.model import Body, JsonObject, Record

NOT_AN_OBJECT = "not_an_object"
"""Key under which a row that is no object is kept, so that it can be delivered like any other."""

_GENERATED = "sha256:"


def parse_records(rows: Sequence[object]) -> tuple[tuple[Record, ...], int]:
    """Return the records of *rows*, and how many of them had no id of their own."""
    records = tuple(_record(row) for row in rows)
    return records, sum(has_generated_id(record.id) for record in records)


def parse_record(row: Body) -> Record:
    """Return one object as a record."""
    identity = row.get("id")
    if isinstance(identity, int) and not isinstance(identity, bool):
        identity = str(identity)
    if isinstance(identity, str) and identity.strip():
        return Record(identity, row)
    return Record(_GENERATED + _digest(row), row)


def has_generated_id(record_id: str) -> bool:
    """Whether an id was made of a record's content, so that the API cannot know it."""
    return record_id.startswith(_GENERATED)


def path_segment(record_id: str) -> str:
    """An id as one step of a path; a hostile one cannot lead anywhere else."""
    return "%2E" * len(record_id) if not record_id.strip(".") else quote(record_id, safe=":")


def _record(row: object) -> Record:
    if isinstance(row, dict):
        return parse_record(cast("JsonObject", row))
    return parse_record({NOT_AN_OBJECT: row})


def _digest(body: Body) -> str:
    canonical = orjson.dumps(body, option=orjson.OPT_SORT_KEYS)
    return hashlib.sha256(canonical).hexdigest()
