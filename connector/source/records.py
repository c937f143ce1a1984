"""Rows of a page as records. No row is dropped: one without an id gets an id derived from its content."""

from __future__ import annotations

import hashlib
import json
from typing import cast
from urllib.parse import quote

import orjson

from connector.model import Body, JsonObject, Record

NOT_AN_OBJECT = "not_an_object"
"""Key of a row that is not an object, so that it can be delivered like any other record."""

_GENERATED = "sha256:"


def parse_row(row: object) -> Record:
    """Return one row of a page as a record, whatever its type."""
    if isinstance(row, dict):
        return parse_record(cast("JsonObject", row))
    return parse_record({NOT_AN_OBJECT: row})


def parse_record(row: Body) -> Record:
    """Return one object as a record."""
    identity = row.get("id")
    if isinstance(identity, int) and not isinstance(identity, bool):
        identity = str(identity)
    if isinstance(identity, str) and identity.strip():
        return Record(identity, row)
    return Record(_GENERATED + _digest(row), row)


def has_generated_id(record_id: str) -> bool:
    """Whether an id was derived from a record's content, so that the API does not know it."""
    return record_id.startswith(_GENERATED)


def path_segment(record_id: str) -> str:
    """Return an id as one segment of a URL path; a hostile id cannot leave its segment."""
    return "%2E" * len(record_id) if not record_id.strip(".") else quote(record_id, safe=":")


def _digest(body: Body) -> str:
    try:
        canonical = orjson.dumps(body, option=orjson.OPT_SORT_KEYS)
    except TypeError:
        # Deeper than orjson writes, or an integer beyond 64 bits.
        canonical = json.dumps(body, sort_keys=True, separators=(",", ":")).encode()
    return hashlib.sha256(canonical).hexdigest()
