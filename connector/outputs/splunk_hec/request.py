"""HEC requests: events in JSON envelopes (``/event``), or plain lines (``/raw``). Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Literal, TypeAlias
from urllib.parse import urlencode

import orjson

from connector.formats.framing import lines
from connector.model import Event, JsonObject

Endpoint = Literal["auto", "event", "raw"]
Compressed: TypeAlias = Callable[[bytes], tuple[bytes, Mapping[str, str]]]

# The source types of the add-on in deploy/splunk, which has search-time extractions for each.
_SOURCETYPE = "cloudflare:email:security"
_CEF_SOURCETYPE = f"{_SOURCETYPE}:cef"
JSON, TEXT = "application/json", "text/plain; charset=utf-8"


@dataclass(frozen=True, slots=True)
class Metadata:
    """Metadata of all events. Without *index*, Splunk uses the token's default index.

    Without *sourcetype*, events have the add-on's source type for their format.
    *indexes* maps globs of event codes to indexes; the first match overrides *index*.
    """

    host: str
    source: str
    sourcetype: str | None = None
    index: str | None = None
    fields: Mapping[str, str] = field(default_factory=dict)
    indexes: Mapping[str, str] = field(default_factory=dict)

    def index_for(self, code: str) -> str | None:
        """The index of the first glob that matches *code*; ``None`` if none does."""
        return next((index for glob, index in self.indexes.items() if fnmatchcase(code, glob)), None)

    def sourcetype_for(self, payload: bytes) -> str:
        """The source type of an event with *payload*."""
        return self.sourcetype or (_CEF_SOURCETYPE if payload.startswith(b"CEF:") else _SOURCETYPE)

    def common(self, sourcetype: str, index: str | None = None) -> dict[str, str]:
        """The metadata that both endpoints accept. *index* overrides that of all events."""
        index = index or self.index
        common = {"host": self.host, "source": self.source, "sourcetype": sourcetype}
        return common if index is None else {**common, "index": index}


@dataclass(frozen=True, slots=True)
class HecRequest:
    """A body with its media type, and its path below ``/services/collector``.

    *encoding*: headers of a compressed body; queries for acknowledgements are small and sent as they are.
    """

    path: str
    body: bytes
    content_type: str
    encoding: Mapping[str, str] = field(default_factory=dict)


class RequestEncoder:
    """Encodes requests with the same metadata.

    Args:
        metadata: of all events.
        endpoint: ``auto`` and ``event`` send envelopes, also for text: an envelope carries the event's time,
            and a receiver cannot merge or split it as it may do with lines. ``raw`` sends lines.
        compressed: what ``HttpSettingsBase.compressed`` does; by default nothing.
    """

    def __init__(
        self, metadata: Metadata, endpoint: Endpoint, compressed: Compressed = lambda body: (body, {})
    ) -> None:
        self._compressed = compressed
        self._raw = endpoint == "raw"
        self._metadata = metadata
        self._middles: dict[tuple[str, str | None], bytes] = {}
        last: JsonObject = {"fields": dict(metadata.fields)} if metadata.fields else {}
        self._end = (b"," + orjson.dumps(last)[1:] if last else b"}") + b"\n"

    def routed(self, events: Sequence[Event]) -> bool:
        """Whether any of *events* has an index of its own."""
        index_for = self._metadata.index_for
        return bool(self._metadata.indexes) and any(index_for(event.code) is not None for event in events)

    def request(self, events: Sequence[Event]) -> HecRequest:
        """Encode the request for *events*, which are at least one."""
        if self._raw:
            query = urlencode(self._metadata.common(self._metadata.sourcetype_for(events[0].payload)))
            body, encoding = self._compressed(lines([event.payload for event in events]))
            return HecRequest(f"/raw?{query}", body, TEXT, encoding)
        # Line breaks in a payload need no care: whitespace between JSON tokens is insignificant.
        parts: list[bytes] = []
        for event in events:
            parts += (
                b'{"time":%.3f' % event.time.timestamp(), self._middle(event), _document(event), self._end,
            )  # fmt: skip
        parts[-1] = self._end[:-1]
        body, encoding = self._compressed(b"".join(parts))
        return HecRequest("/event", body, JSON, encoding)

    def _middle(self, event: Event) -> bytes:
        """The bytes between an event's time and its document, cached: there are few combinations."""
        metadata = self._metadata
        index = metadata.index_for(event.code) if metadata.indexes else None
        key = (metadata.sourcetype_for(event.payload), index)
        middle = self._middles.get(key)
        if middle is None:
            middle = b"," + orjson.dumps(metadata.common(*key))[1:-1] + b',"event":'
            self._middles[key] = middle
        return middle


def _document(event: Event) -> bytes:
    """The event as a JSON value."""
    payload = event.payload
    return payload if payload[:1] == b"{" else orjson.dumps(payload.decode("utf-8", "replace"))
