"""HEC requests: events in JSON envelopes (``/event``), or plain lines (``/raw``). Pure."""

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
    """Metadata of all events. Without *index*, Splunk uses the token's default index.

    *indexes* maps globs of event codes to indexes; the first match overrides *index*.
    """

    host: str
    source: str
    sourcetype: str
    index: str | None = None
    fields: Mapping[str, str] = field(default_factory=dict)
    indexes: Mapping[str, str] = field(default_factory=dict)

    def index_for(self, code: str) -> str | None:
        """The index of the first glob that matches *code*; ``None`` if none does."""
        return next((index for glob, index in self.indexes.items() if fnmatchcase(code, glob)), None)

    def common(self) -> dict[str, str]:
        """The metadata that both endpoints accept."""
        common = {"host": self.host, "source": self.source, "sourcetype": self.sourcetype}
        return common if self.index is None else {**common, "index": self.index}


@dataclass(frozen=True, slots=True)
class Request:
    """A body, and its path below ``/services/collector``."""

    path: str
    body: bytes


class RequestEncoder:
    """Encodes requests with the same metadata.

    Args:
        labels: for every event.
        endpoint: ``auto`` sends JSON documents in envelopes and anything else as lines. Fields and indexes
            by event need an envelope, so with them text is sent in one, too.
    """

    def __init__(self, metadata: Metadata, endpoint: Endpoint) -> None:
        self._endpoint = endpoint
        self._metadata = metadata
        self._enveloped = bool(metadata.fields or metadata.indexes)
        self._raw = f"/raw?{urlencode(metadata.common())}"
        self._middles: dict[str, bytes] = {}
        last: JsonObject = {"fields": dict(metadata.fields)} if metadata.fields else {}
        self._end = b"," + orjson.dumps(last)[1:] if last else b"}"

    def routed(self, events: Sequence[Event]) -> bool:
        """Whether any of *events* has an index of its own."""
        return any(self._metadata.index_for(event.code) is not None for event in events)

    def request(self, events: Sequence[Event]) -> Request:
        """Encode the request for *events*."""
        if self._is_raw(events):
            return Request(self._raw, b"".join(line(event.payload) for event in events))
        return Request("/event", b"\n".join(self._wrapped(event) for event in events))

    def _is_raw(self, events: Sequence[Event]) -> bool:
        if self._endpoint != "auto":
            return self._endpoint == "raw"
        return not self._enveloped and not all(event.payload[:1] == b"{" for event in events)

    def _wrapped(self, event: Event) -> bytes:
        # Line breaks in the payload need no care: whitespace between JSON tokens is insignificant.
        document = event.payload
        if document[:1] != b"{":
            document = orjson.dumps(document.decode("utf-8", "replace"))
        time = b'{"time":%.3f' % event.time.timestamp()
        return time + self._middle(event.code) + document + self._end

    def _middle(self, code: str) -> bytes:
        """The bytes between an event's time and its document, cached by index."""
        index = self._metadata.index_for(code)
        key = index or ""
        if key not in self._middles:
            common = self._metadata.common() if index is None else {**self._metadata.common(), "index": index}
            self._middles[key] = b"," + orjson.dumps(common)[1:-1] + b',"event":'
        return self._middles[key]
