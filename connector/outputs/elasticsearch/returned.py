"""Tells a record that returned to an earlier state from a duplicate, after the journal was lost.

A document's ``_id`` is the identity of a record in one state. While the journal remembers a record, a return
to an earlier state gets an identity of its own (``Revision.occurrence``). A new journal does not know that
the record ever left the state: the event then conflicts with the old document, although the cluster shows a
later state. So conflicts are compared with the newest document of the record: if that shows another state
and was collected earlier, the event is created once more, under an identity derived from that document.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from datetime import datetime

import orjson

from connector.errors import DeliveryError, Retryable
from connector.model import Event, JsonObject
from connector.outputs.elasticsearch.node import ClusterNode, document

# Where the ecs mapping puts the record's id and the time of collection.
_ID, _COLLECTED = "event.id", "event.created"
# Parts of a document that differ between deliveries of the same state.
_VOLATILE = (("event", "created"), ("tags",), ("cloudflare", "email_security", "revision"))
_VOLATILE_CHANGE = ("cloudflare", "email_security", "change")
# Documents per search: 500 of the usual 3 kB stay far below the longest response that is read.
_CHUNK = 500


class NotComparable(Exception):
    """Stored documents cannot be read or lack what identifies a record; *reason* says which."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


async def returned(node: ClusterNode, target: str, events: Sequence[Event]) -> Mapping[int, str]:
    """Which of *events*, all of them conflicts, are returns: by index, the ``_id`` to create each under.

    Raises ``NotComparable``, or ``Retryable`` if the cluster cannot answer now.
    """
    documents = [orjson.loads(event.payload) for event in events]
    if not all(_at(each, ("event", "id")) and _at(each, ("event", "created")) for each in documents):
        raise NotComparable(f"the mapping does not set {_ID} and {_COLLECTED}")
    ids: dict[int, str] = {}
    for start in range(0, len(events), _CHUNK):
        chunk = documents[start : start + _CHUNK]
        newest = await _newest(node, target, [each["event"]["id"] for each in chunk])
        for index, each in enumerate(chunk, start):
            hit = newest.get(each["event"]["id"])
            # Not found: stored so recently that searches do not show it yet, thus a repetition.
            if hit is not None and _is_later(each, hit["_source"]) and not _same_state(each, hit["_source"]):
                derived = f"{events[index].revision.identity}|{hit['_id']}"
                ids[index] = hashlib.sha256(derived.encode()).hexdigest()
    return ids


async def _newest(node: ClusterNode, target: str, ids: Sequence[str]) -> Mapping[str, JsonObject]:
    """The newest document of each record, by the record's id."""
    answer = await node.request(
        "POST",
        f"/{target}/_search",
        {
            "size": len(ids),
            "query": {"terms": {_ID: list(ids)}},
            "collapse": {"field": _ID},
            "sort": [{_COLLECTED: "desc"}],
        },
    )
    error = node.classify(answer)
    if isinstance(error, Retryable):
        raise error
    if isinstance(error, DeliveryError):
        raise NotComparable(error.reason)
    outer = document(answer).get("hits")
    hits = outer.get("hits") if isinstance(outer, dict) else None
    return {
        hit["_source"]["event"]["id"]: hit
        for hit in (hits if isinstance(hits, list) else [])
        if isinstance(hit, dict)
        and isinstance(hit.get("_source"), dict)
        and _at(hit["_source"], ("event", "id"))
    }


def _is_later(ours: JsonObject, stored: JsonObject) -> bool:
    """Whether *ours* was collected after *stored*; an event repeated after a crash was not."""
    try:
        times = [datetime.fromisoformat(str(_at(each, ("event", "created")))) for each in (ours, stored)]
        return times[0] > times[1]
    except (ValueError, TypeError):
        return False


def _same_state(ours: JsonObject, stored: JsonObject) -> bool:
    """Whether *stored* holds everything that *ours* does; ingest pipelines may have added to it."""
    return _contains(_stable(stored), _stable(ours))


def _stable(whole: JsonObject) -> JsonObject:
    copy: JsonObject = orjson.loads(orjson.dumps(whole))
    for path in (*_VOLATILE, _VOLATILE_CHANGE):
        parent = _at(copy, path[:-1]) if len(path) > 1 else copy
        if isinstance(parent, dict):
            parent.pop(path[-1], None)
    return copy


def _contains(stored: object, ours: object) -> bool:
    if isinstance(ours, dict):
        return isinstance(stored, dict) and all(
            key in stored and _contains(stored[key], value) for key, value in ours.items()
        )
    return stored == ours


def _at(value: object, path: Sequence[str]) -> object:
    for key in path:
        value = value.get(key) if isinstance(value, dict) else None
    return value
