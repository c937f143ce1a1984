"""The result of mapping one revision: document, time, severity, class and notes, before encoding."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

from connector.mapping.functions.values import Value
from connector.model import JsonObject

LOWEST, HIGHEST = 0, 10
_NO_SEVERITY = 1
_NO_CODE = "email.unknown"

TIME_OF_COLLECTION = "$time: no usable time in the record, the time of collection is used"
AFTER_COLLECTION = "later than its collection"

EARLIEST = "1990"
"""No email was scanned before: an earlier time, as text, is a placeholder."""

MAX_LEAD = timedelta(days=1)
"""How far the clocks of the API and of this host may differ before a time is held to be wrong."""


class MappingResult(NamedTuple):
    """A document with what outputs need beside it. *notes* name misfits, never values."""

    document: JsonObject
    time: datetime
    severity: int
    code: str
    notes: tuple[str, ...]


def severity_of(value: Value) -> int:
    """A severity from 0 to 10, whatever a mapping derived."""
    if type(value) is not int:
        return _NO_SEVERITY
    return int(value) if LOWEST <= value <= HIGHEST else max(LOWEST, min(HIGHEST, int(value)))


def code_of(value: Value) -> str:
    """The class of an event, whatever a mapping derived."""
    return value if type(value) is str else _NO_CODE


def put(document: JsonObject, path: Sequence[str], value: Value) -> None:
    """Set *value* in objects inside *document*, made where they are missing."""
    for step in path[:-1]:
        document = document.setdefault(step, {})
    document[path[-1]] = value
