"""OTLP logs: encodes an export request as protobuf, and reads the response. Pure.

Written by hand: the encoding has three wire types that matter here (varint, 64 bits, length-delimited), and
the protobuf library would be the largest dependency of the connector. Sources: field numbers by
``opentelemetry/proto/{common,resource,logs,collector/logs}/v1`` of opentelemetry-proto 1.x; the encoding by
https://protobuf.dev/programming-guides/encoding/; responses by the OTLP specification, section OTLP/HTTP.
"""

from __future__ import annotations

import json as standard_json
import re
import struct
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Literal, TypeAlias

import orjson

from connector.formats import json
from connector.formats.memo import Memo
from connector.formats.syslog import severity as syslog_severity
from connector.model import Event, JsonObject

Body: TypeAlias = Literal["message", "json"]
Attributes: TypeAlias = Literal["flat", "nested", "none"]
Scalar: TypeAlias = str | bool | int | float

UID = "log.record.uid"
"""Attribute with the event's identity: log records with the same one are duplicates, by the semantic
conventions for logs (registry, ``log.record.uid``)."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_MOST_NANOSECONDS = 1 << 64

# Syslog severity to SeverityNumber and its short name: logs data model, appendix B and "Displaying Severity".
_SEVERITIES = {6: (9, "INFO"), 5: (10, "INFO2"), 4: (13, "WARN"), 3: (17, "ERROR"), 2: (18, "ERROR2")}

_DEEPEST = 24
"""Levels of objects and lists in one attribute. Most protobuf readers stop at 100 nested messages; a level
takes up to three, and an attribute begins in the sixth."""

_LONG_NUMBER = re.compile(rb"[:,\[ -][0-9]{19}")
"""What may be an integer beyond 64 bits, of which orjson would make a float. With what stands before a
number, the search is six times as fast."""
_SIGNED = range(-(1 << 63), 1 << 63)
_SHORTEST_LONG = 20

_MOST_VARINT = 10
"""Bytes of the longest varint, one of 64 bits."""


@dataclass(frozen=True, slots=True)
class Layout:
    """What becomes the body of a log record, and what its attributes.

    Args:
        body: ``message``: the document's ``message``, or all of it as JSON where it has none; ``json``: all.
        attributes: ``flat``: one per field, with dotted names; ``nested``: one per top-level field; ``none``.
    """

    body: Body = "message"
    attributes: Attributes = "flat"


@dataclass(frozen=True, slots=True)
class ExportResponse:
    """What a collector says of a request: how many records it rejected, and why or a warning."""

    rejected: int = 0
    message: str = ""


class LogsEncoder:
    """Encodes ``ExportLogsServiceRequest`` messages of one resource and scope.

    Args:
        resource: attributes of the resource.
        scope: name and version of the instrumentation scope.
        layout: where a document's fields go.
    """

    def __init__(self, resource: Mapping[str, Scalar], scope: tuple[str, str], layout: Layout) -> None:
        name, version = scope
        attributes = b"".join(_field(b"\x0a", _key_value(key, item)) for key, item in resource.items())
        # ResourceLogs: resource = 1, scope_logs = 2. ScopeLogs: scope = 1, log_records = 2.
        self._resource = _field(b"\x0a", attributes)
        self._scope = _field(b"\x0a", _text(b"\x0a", name) + _text(b"\x12", version))
        self._layout = layout
        self._keys = Memo(_key)

    def request(self, events: Sequence[Event]) -> bytes:
        """Encode a request with *events*, in order."""
        records = b"".join(_field(b"\x12", self._record(event)) for event in events)
        return _field(b"\x0a", self._resource + _field(b"\x12", self._scope + records))

    def _record(self, event: Event) -> bytes:
        number, name = _SEVERITIES[syslog_severity(event.severity)]
        body, fields = self._content(event)
        # A mapping may set its own; names must be unique.
        attributes = {UID: event.revision.identity, **fields}
        return b"".join(
            (
                b"\x09" + _nanoseconds(event.time),  # time_unix_nano = 1
                b"\x10" + _varint(number),  # severity_number = 2
                _text(b"\x1a", name),  # severity_text = 3
                _field(b"\x2a", _value(body)),  # body = 5
                *(self._attribute(key, item) for key, item in attributes.items() if item is not None),
                b"\x59" + _nanoseconds(event.revision.collected),  # observed_time_unix_nano = 11
                _text(b"\x62", event.code),  # event_name = 12
            )
        )

    def _attribute(self, name: str, item: object) -> bytes:
        # attributes = 6; KeyValue: key = 1, value = 2. This is the inner loop: calls are inlined.
        key = self._keys[name]
        value = _value(item)
        size = len(value)
        length = _SHORT[size] if size < _SHORTS else _varint_of(size)
        size += len(key) + 1 + len(length)
        total = _SHORT[size] if size < _SHORTS else _varint_of(size)
        return b"\x32" + total + key + b"\x12" + length + value

    def _content(self, event: Event) -> tuple[str, JsonObject]:
        """The body and the attributes of *event*; a line of text is a body alone."""
        text = event.payload.decode("utf-8", "replace")
        if self._layout.attributes == "none" or event.payload[:1] != b"{":
            return text, {}
        document = decode(event.payload)
        if document.get("@timestamp") == json.instant(event.time):
            del document["@timestamp"]  # it is the record's own time
        if self._layout.body == "message":
            message = document.get("message")
            if isinstance(message, str) and message:
                text = message
                del document["message"]
        if self._layout.attributes == "nested":
            return text, document
        flat: JsonObject = {}
        _flatten(document, "", flat)
        return text, flat


def decode(payload: bytes) -> JsonObject:
    """The JSON object *payload*. Integers beyond 64 bits become text: OTLP has no number for them."""
    document: JsonObject
    if _LONG_NUMBER.search(payload):
        document = standard_json.loads(payload, parse_int=_integer)
    else:
        document = orjson.loads(payload)
    return document


def read_response(body: bytes, content_type: str) -> ExportResponse:
    """Read an ``ExportLogsServiceResponse``: protobuf, or JSON as some collectors answer whatever was sent.

    Raises ``ValueError`` for anything else, such as the page of a proxy.
    """
    if body.lstrip()[:1] == b"{":
        return _json_response(body)
    if body and content_type.lower().startswith("text/"):
        raise ValueError("text instead of an export response")
    rejected, message = 0, ""
    for number, item in _fields(body):
        # The field 1 is partial_success.
        if number != 1 or not isinstance(item, bytes):
            continue
        for inner, content in _fields(item):
            # rejected_log_records = 1, error_message = 2
            if inner == 1 and isinstance(content, int):
                rejected = content
            elif inner == 2 and isinstance(content, bytes):  # noqa: PLR2004
                message = content.decode("utf-8", "replace")
    return _checked(rejected, message)


def read_status(body: bytes) -> str | None:
    """The message of a ``google.rpc.Status``, with which collectors answer errors; ``None`` if it is none."""
    try:
        found = [item for number, item in _fields(body) if number == 2]  # noqa: PLR2004, Status: message = 2
    except ValueError:
        return None
    return found[-1].decode("utf-8", "replace") if found and isinstance(found[-1], bytes) else None


def _json_response(body: bytes) -> ExportResponse:
    document = orjson.loads(body)
    if not document:
        return ExportResponse()
    partial = document.get("partialSuccess", document.get("partial_success"))
    if not isinstance(partial, dict):
        raise ValueError("JSON that is no export response")  # noqa: TRY004, the caller knows ValueError
    # 64-bit integers are texts in the JSON encoding; numbers are allowed.
    rejected = partial.get("rejectedLogRecords", partial.get("rejected_log_records", 0))
    message = partial.get("errorMessage", partial.get("error_message", ""))
    if isinstance(rejected, bool) or not isinstance(rejected, int | str):
        raise ValueError("the number of rejected records is none")  # noqa: TRY004, as above
    return _checked(int(rejected), str(message))


def _checked(rejected: int, message: str) -> ExportResponse:
    if rejected not in range(1 << 63):
        raise ValueError("a negative number of rejected records")
    return ExportResponse(rejected, message)


def _fields(message: bytes) -> Iterator[tuple[int, int | bytes]]:
    """The fields of an encoded message, by number. Raises ``ValueError`` if it is none."""
    position = 0
    while position < len(message):
        tag, position = _read_varint(message, position)
        number, kind = tag >> 3, tag & 7
        if not number:
            raise ValueError("a field with the number 0")
        if kind == 0:
            item: int | bytes
            item, position = _read_varint(message, position)
            yield number, item
            continue
        if kind == 2:  # noqa: PLR2004, LEN
            length, position = _read_varint(message, position)
        elif kind in {1, 5}:
            length = 8 if kind == 1 else 4
        else:
            raise ValueError(f"wire type {kind}")
        end = position + length
        if end > len(message):
            raise ValueError("the message ends within a field")
        yield number, message[position:end]
        position = end


def _read_varint(message: bytes, position: int) -> tuple[int, int]:
    number = 0
    for index, byte in enumerate(message[position : position + _MOST_VARINT]):
        number |= (byte & 0x7F) << (7 * index)
        if byte < 0x80:  # noqa: PLR2004, the continuation bit
            return number, position + index + 1
    raise ValueError("a varint without an end")


def _flatten(document: Mapping[str, Any], prefix: str, flat: JsonObject) -> None:
    """Add the fields of *document* to *flat* under dotted names.

    Attribute names must be unique: values whose names become equal (``{"a.b": 1, "a": {"b": 2}}``) are
    joined in a list.
    """
    for key, item in document.items():
        name = f"{prefix}{key}"
        if isinstance(item, dict) and item:
            _flatten(item, f"{name}.", flat)
        elif name not in flat:
            flat[name] = item
        elif item is not None:
            flat[name] = [*_as_list(flat[name]), *_as_list(item)]


def _as_list(item: Any) -> list[Any]:
    if item is None:
        return []
    return item if isinstance(item, list) else [item]


def _integer(digits: str) -> int | str:
    if len(digits) > _SHORTEST_LONG:
        return digits
    number = int(digits)
    return number if number in _SIGNED else digits


def _value(item: object, depth: int = 0) -> bytes:  # noqa: PLR0911, one return per kind
    """Encode an ``AnyValue``; nothing at all for ``None``, which is how it says null."""
    if isinstance(item, str):
        content = item.encode()  # string_value = 1
        size = len(content)
        return b"\x0a" + (_SHORT[size] if size < _SHORTS else _varint_of(size)) + content
    if isinstance(item, bool):
        return b"\x10\x01" if item else b"\x10\x00"  # bool_value = 2
    if isinstance(item, int):
        # int_value = 3, in two's complement; 2**63 to 2**64 - 1 is what orjson still reads as an integer.
        return b"\x18" + _varint(item & 0xFFFFFFFFFFFFFFFF) if item in _SIGNED else _text(b"\x0a", str(item))
    if isinstance(item, float):
        return b"\x21" + struct.pack("<d", item)  # double_value = 4
    if item is None:
        return b""
    if depth >= _DEEPEST:
        return _text(b"\x0a", orjson.dumps(item).decode())
    if isinstance(item, dict):
        # kvlist_value = 6; KeyValueList: values = 1. A missing key is how objects say null.
        pairs = (_key_value(key, inner, depth + 1) for key, inner in item.items() if inner is not None)
        return _field(b"\x32", b"".join(_field(b"\x0a", pair) for pair in pairs))
    if isinstance(item, list):
        # The field array_value is 5, values of an ArrayValue 1.
        return _field(b"\x2a", b"".join(_field(b"\x0a", _value(inner, depth + 1)) for inner in item))
    raise TypeError(f"{type(item).__name__} is no JSON value")


def _key_value(key: str, item: object, depth: int = 0) -> bytes:
    return _key(key) + _field(b"\x12", _value(item, depth))


def _key(name: str) -> bytes:
    return _text(b"\x0a", name)


def _text(tag: bytes, text: str) -> bytes:
    content = text.encode()
    return tag + _varint(len(content)) + content


def _field(tag: bytes, content: bytes) -> bytes:
    return tag + _varint(len(content)) + content


def _nanoseconds(moment: datetime) -> bytes:
    """*moment* as fixed64; 0, which means unknown, outside of 1970 to 2554."""
    nanoseconds = (moment - _EPOCH) // _MICROSECOND * 1000
    return struct.pack("<Q", nanoseconds if 0 <= nanoseconds < _MOST_NANOSECONDS else 0)


def _varint_of(number: int) -> bytes:
    encoded = bytearray()
    while number > 0x7F:  # noqa: PLR2004, seven bits per byte
        encoded.append(number & 0x7F | 0x80)
        number >>= 7
    encoded.append(number)
    return bytes(encoded)


_SHORTS = 1024
_SHORT = tuple(_varint_of(number) for number in range(_SHORTS))
"""Varints of nearly all lengths."""


def _varint(number: int) -> bytes:
    return _SHORT[number] if number < _SHORTS else _varint_of(number)
