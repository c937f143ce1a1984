"""Requests of the HTTP Event Collector: events in envelopes, or lines as they are. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Literal
from urllib.parse import urlencode

import orjson

from connector.formats.framing import line
from connector.model import Event, JsonObject

Endpoint = Literal["auto", "event", "raw"]


@dataclass(frozen=True, slots=True)
class Metadata:
    """What Splunk is told of every event. Where *index* is missing, the token's own is taken.

    *indexes* maps globs of event codes to indexes; the first that fits wins over *index*.
    """

    host: str
    source: str
    sourcetype: str
    index: str | None = None
    fields: Mapping[str, str] = field(default_factory=dict)
    indexes: Mapping[str, str] = field(default_factory=dict)

    def index_for(self, code: str) -> str | None:
        """The index that *code* has by a pattern of its own; ``None`` where it shares everybody's."""
        return next((index for glob, index in self.indexes.items() if fnmatchcase(code, glob)), None)

    def named(self) -> dict[str, str]:
        """Those of them that both endpoints know."""
        named = {"host": self.host, "source": self.source, "sourcetype": self.sourcetype}
        return named if self.index is None else {**named, "index": self.index}


@dataclass(frozen=True, slots=True)
class Request:
    """What to post, and where below ``/services/collector``."""

    path: str
    body: bytes


class RequestEncoder:
    """Writes requests with the same labels.

    Args:
        labels: for every event.
        endpoint: ``auto`` sends JSON documents in envelopes and anything else as lines. Fields and indexes
            by event need an envelope, so with them text is sent in one, too.
    """

    def __init__(self, metadata: Metadata, endpoint: Endpoint) -> None:
        self._endpoint = endpoint
        self._metadata = metadata
        self._enveloped = bool(metadata.fields or metadata.indexes)
        self._raw = f"/raw?{urlencode(metadata.named())}"
        self._middles: dict[str, bytes] = {}
        last: JsonObject = {"fields": dict(metadata.fields)} if metadata.fields else {}
        self._end = b"," + orjson.dumps(last)[1:] if last else b"}"

    def routed(self, events: Sequence[Event]) -> bool:
        """Whether any of *events* goes to an index of its own."""
        return any(self._metadata.index_for(event.code) is not None for event in events)

    def request(self, events: Sequence[Event]) -> Request:
        """Write the request for *events*."""
        if self._is_raw(events):
            return Request(self._raw, b"".join(line(event.payload) for event in events))
        return Request("/event", b"\n".join(self._wrapped(event) for event in events))

    def _is_raw(self, events: Sequence[Event]) -> bool:
        if self._endpoint != "auto":
            return self._endpoint == "raw"
        return not self._enveloped and not all(event.payload[:1] == b"{" for event in events)

    def _wrapped(self, event: Event) -> bytes:
        # A line break between tokens of JSON means nothing here: envelopes follow each other without any.
        document = event.payload
        if document[:1] != b"{":
            document = orjson.dumps(document.decode("utf-8", "replace"))
        time = b'{"time":%.3f' % event.time.timestamp()
        return time + self._middle(event.code) + document + self._end

    def _middle(self, code: str) -> bytes:
        """What stands between an event's time and its document; codes are few."""
        index = self._metadata.index_for(code)
        key = index or ""
        if key not in self._middles:
            named = self._metadata.named() if index is None else {**self._metadata.named(), "index": index}
            self._middles[key] = b"," + orjson.dumps(named)[1:-1] + b',"event":'
        return self._middles[key]
