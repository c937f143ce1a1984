"""The ``_bulk`` API: encoding requests and reading responses event by event. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import orjson

from connector.formats.framing import lines
from connector.model import Event, JsonObject

_CREATED = {200, 201}
_CONFLICT = 409
_OVERLOADED = 429
_BUSY = {408, 425, _OVERLOADED}
_HOLD_STATUSES = {401, 403, 404}
# Errors with status 400 that concern the index, so that they would affect every event.
_INDEX_ERRORS = frozenset(
    {"index_closed_exception", "invalid_index_name_exception", "invalid_alias_name_exception"}
    | {"validation_exception", "cluster_block_exception", "index_not_found_exception"}
)
_TYPE = re.compile(r"[a-z][a-z0-9_]{0,79}")
_FIELD = r"\[[\w@.*-]{1,200}\]"
_NO_DOCUMENT_ID = "Document ID is not supported"
# What errors mean that a full or blocked cluster answers, by type of Elasticsearch and of OpenSearch.
_CAUSES = {
    "es_rejected_execution_exception": "the write queue is full",
    "rejected_execution_exception": "the write queue is full",
    "circuit_breaking_exception": "the memory circuit breaker tripped",
}
# Error reasons quote the offending values, and those are text of a message. Only parts that match one of
# these patterns are shown: names of fields and types, and numbers.
_SAFE = re.compile(
    "|".join(
        [
            rf"failed to parse field {_FIELD} of type {_FIELD}",
            rf"mapper {_FIELD} cannot be changed from type {_FIELD} to {_FIELD}",
            rf"object mapping for {_FIELD} tried to parse field {_FIELD} as object",
            r"Limit of total fields \[\d+\] has been exceeded",
            rf"Limit of mapping depth \[\d+\] has been exceeded( due to object field {_FIELD})?",
            r"The depth of the field has exceeded the allowed limit of \[\d+\]",
            rf"can't merge a non object mapping {_FIELD} with an object mapping",
            rf"[Cc]ould not dynamically add mapping for field {_FIELD}",
            r"field name cannot (be an empty string|contain only (the character \[\.\]|whitespace))",
            r"object field cannot contain only whitespace",
            rf"object field starting or ending with a \[\.\] makes object resolution ambiguous: {_FIELD}",
            r"Can't get text on a [A-Z_]+",
            rf"mapping set to strict, dynamic introduction of {_FIELD} within {_FIELD} is not allowed",
            r"data stream timestamp field \[@timestamp\] (is missing|encountered multiple values)",
            r"documents must contain a single-valued timestamp field '@timestamp'",
            r'immense term in field="[\w@.*-]{1,200}"',
            r"The number of nested documents has exceeded the allowed limit of \[\d+\]",
            rf"no write index is defined for alias {_FIELD}",
            rf"pipeline with id {_FIELD} does not exist",
            r"this action would add \[\d+\] (total )?shards, but this cluster currently has \[\d+\]/\[\d+\]",
            rf"no such index {_FIELD}",
            rf"is unauthorized for (API key id|user|service account) {_FIELD}",
            r"blocked by: \[[A-Z_]+/\d+/(index (read-only|write|closed)|disk usage exceeded)",
        ]
    )
)


@dataclass(frozen=True, slots=True)
class BulkOutcome:
    """The result of a request, event by event.

    Args:
        rejected: index of an event to why it can never be accepted.
        retry: indexes of events to send again.
        conflicts: indexes of events that existed already.
        hold: why an operator has to act, if so.
        busy: why events of *retry* were refused, if so.
        overloaded: every event in *retry* was refused because the cluster has too much to do (429).
        diverted: how many events went to the failure store instead of the index.
    """

    rejected: Mapping[int, str]
    retry: frozenset[int]
    conflicts: frozenset[int]
    hold: str | None
    busy: str | None = None
    diverted: int = 0
    overloaded: bool = False


def body(
    events: Sequence[Event],
    *,
    document_id: bool = True,
    index: str | None = None,
    ids: Sequence[str] | None = None,
) -> bytes:
    """Encode a request that creates each event.

    Args:
        events: to create.
        document_id: send their identities as ``_id``, so that a repetition is a conflict.
        ids: replace the identities.
        index: names the index in every action, for a URL that does not.
    """
    named = b'"_index":%b' % orjson.dumps(index) if index is not None else b""
    if not document_id:
        actions = [b'{"create":{%b}}' % named] * len(events)
    else:
        named += b"," if named else b""
        identities = [event.revision.identity for event in events] if ids is None else ids
        actions = [b'{"create":{%b"_id":"%b"}}' % (named, identity.encode()) for identity in identities]
    pairs = zip(actions, [event.payload for event in events], strict=True)
    return lines([part for pair in pairs for part in pair])


def outcome(answer: bytes, size: int) -> BulkOutcome | None:
    """Read the response to *size* events; ``None`` if it does not report on each of them."""
    try:
        document = orjson.loads(answer)
    except orjson.JSONDecodeError:
        return None
    items = document.get("items") if isinstance(document, dict) else None
    if not isinstance(items, list) or len(items) != size:
        return None
    rejected: dict[int, str] = {}
    retry: set[int] = set()
    conflicts: set[int] = set()
    diverted = 0
    hold: str | None = None
    busy: str | None = None
    overloaded = True
    for index, item in enumerate(items):
        result = next(iter(item.values()), None) if isinstance(item, dict) else None
        status = result.get("status") if isinstance(result, dict) else None
        if not isinstance(result, dict) or not isinstance(status, int):
            return None
        error = result.get("error")
        if status in _CREATED:
            diverted += result.get("failure_store") == "used"
            continue
        if status == _CONFLICT:
            conflicts.add(index)
        elif status >= 500 or status in _BUSY:  # noqa: PLR2004
            retry.add(index)
            overloaded = overloaded and status == _OVERLOADED
            busy = busy or f"{status} {describe(error)}"
        elif status in _HOLD_STATUSES or _type(error) in _INDEX_ERRORS or _lacks_ids(error):
            hold = hold or f"{status} {describe(error)}"
        else:
            rejected[index] = f"{status} {describe(error)}"
    return BulkOutcome(rejected, frozenset(retry), frozenset(conflicts), hold, busy, diverted, overloaded)


def describe(error: object) -> str:
    """An error and its causes in words, without any text of the document concerned."""
    causes: list[str] = []
    while isinstance(error, dict) and len(causes) < 3:  # noqa: PLR2004, deeper causes repeat the others
        safe = _SAFE.search(str(error.get("reason", "")))
        causes.append((_type(error) or "error") + (f": {safe[0]}" if safe else "") + _cause(error))
        error = error.get("caused_by")
    return ", caused by ".join(dict.fromkeys(causes)) or "no reason given"


def _cause(error: JsonObject) -> str:
    """What a full or blocked cluster lacks, and what to do."""
    reason = str(error.get("reason", ""))
    if "flood-stage" in reason or "disk usage exceeded" in reason:
        return " (disk flood-stage watermark exceeded: free disk space, the cluster then lifts the block)"
    if "index read-only / allow delete" in reason:
        return (
            " (read-only block: usually the disk flood-stage watermark; free disk space, or remove "
            "index.blocks.read_only_allow_delete)"
        )
    if _lacks_ids(error):
        return " (the collection takes no document IDs: set document_id: false)"
    cause = _CAUSES.get(_type(error) or "")
    return f" ({cause})" if cause else ""


def _lacks_ids(error: object) -> bool:
    # Time series collections of OpenSearch Serverless.
    return isinstance(error, dict) and _NO_DOCUMENT_ID in str(error.get("reason", ""))


def describe_response(answer: bytes) -> str:
    """The error of a whole request, likewise; empty if the response holds none."""
    try:
        document = orjson.loads(answer)
    except orjson.JSONDecodeError:
        return ""
    error = document.get("error") if isinstance(document, dict) else None
    return describe(error) if isinstance(error, dict) else ""


def _type(error: object) -> str | None:
    kind = error.get("type") if isinstance(error, dict) else None
    return kind if isinstance(kind, str) and _TYPE.fullmatch(kind) else None
