"""Log records: where a document's fields go, and which answers are export responses."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord, SeverityNumber

from connector.formats.otlp import (
    UID,
    Attributes,
    Body,
    ExportResponse,
    Layout,
    LogsEncoder,
    read_response,
    read_status,
)
from connector.model import Event, Feed, Record, Revision
from tests.support.otlp_collector import export_reply, pairs, status_reply

NOW = datetime(2026, 11, 18, 9, 41, 7, 123000, tzinfo=UTC)
REVISION = Revision(Feed("account", "search"), Record("1", {"id": "1"}), "d" * 64, 1, NOW)
DOCUMENT = {
    "@timestamp": "2026-11-18T09:41:07.123Z",
    "message": "MALICIOUS email",
    "event": {"severity": 8, "id": "a"},
    "email": {"attachments": [{"file": {"name": "a.exe"}}], "subject": None},
}


def read(payload: bytes, body: Body = "message", attributes: Attributes = "flat") -> LogRecord:
    encoder = LogsEncoder({"service.name": "mail"}, ("connector", "1.2"), Layout(body, attributes))
    sent = Event(REVISION, payload, NOW, 8, "email.malicious")
    request = ExportLogsServiceRequest.FromString(encoder.request([sent, sent]))
    [resource] = request.resource_logs
    assert pairs(resource.resource.attributes) == {"service.name": "mail"}
    [scope] = resource.scope_logs
    assert (scope.scope.name, scope.scope.version) == ("connector", "1.2")
    assert len(scope.log_records) == 2
    record: LogRecord = scope.log_records[1]
    return record


def test_fields_become_attributes_with_dotted_names() -> None:
    record = read(json.dumps(DOCUMENT).encode())

    assert record.body.string_value == "MALICIOUS email"
    assert pairs(record.attributes) == {
        UID: REVISION.identity,
        "event.severity": 8,
        "event.id": "a",
        "email.attachments": [{"file": {"name": "a.exe"}}],
    }
    assert (
        record.time_unix_nano
        == 1_795_081_267 * 10**9 - (1_795_081_267 * 10**9 - int(NOW.timestamp()) * 10**9) + 123_000_000
    )
    assert record.severity_number == SeverityNumber.SEVERITY_NUMBER_ERROR
    assert record.severity_text == "ERROR"


def test_nested_attributes_keep_the_document_as_it_is() -> None:
    found = pairs(read(json.dumps(DOCUMENT).encode(), attributes="nested").attributes)

    assert found["event"] == {"severity": 8, "id": "a"}
    assert found["email"] == {"attachments": [{"file": {"name": "a.exe"}}]}


def test_the_body_can_be_the_whole_event() -> None:
    payload = json.dumps(DOCUMENT).encode()

    record = read(payload, "json", "none")

    assert record.body.string_value.encode() == payload
    assert pairs(record.attributes) == {UID: REVISION.identity}


def test_a_document_without_a_message_is_its_own_body() -> None:
    record = read(b'{"id": 1}')

    assert record.body.string_value == '{"id": 1}'
    assert pairs(record.attributes)["id"] == 1


def test_a_line_of_text_is_a_body() -> None:
    record = read(b"CEF:0|Cloudflare|Email|")

    assert record.body.string_value == "CEF:0|Cloudflare|Email|"
    assert pairs(record.attributes) == {UID: REVISION.identity}


def test_names_that_become_equal_are_joined() -> None:
    found = pairs(read(b'{"a.b": 1, "a": {"b": [2, 3]}}').attributes)

    assert found["a.b"] == [1, 2, 3]


def test_a_mapping_may_name_records_itself() -> None:
    assert pairs(read(b'{"log": {"record": {"uid": "mine"}}}').attributes) == {UID: "mine"}


def test_what_is_nested_too_deeply_for_protobuf_readers_becomes_text() -> None:
    payload = b'{"a": ' + b"[" * 150 + b"1" + b"]" * 150 + b"}"

    value = pairs(read(payload).attributes)["a"]

    while isinstance(value, list):
        [value] = value
    assert isinstance(value, str)
    assert value.count("[") == 150 - 24


@pytest.mark.parametrize(
    ("body", "content_type", "expected"),
    [
        (b"", "", ExportResponse()),
        (export_reply(3, "too old").body, "application/x-protobuf", ExportResponse(3, "too old")),
        (export_reply(0, "slow down").body, "", ExportResponse(0, "slow down")),
        (b"\x12\x02ab", "application/x-protobuf", ExportResponse()),
        (b"{}", "application/json", ExportResponse()),
        (b'{"partialSuccess":{}}', "application/json", ExportResponse()),
        (b'{"partialSuccess":{"rejectedLogRecords":"2"}}', "application/json", ExportResponse(2)),
        (b'{"partial_success":{"rejected_log_records":2}}', "", ExportResponse(2)),
    ],
)
def test_an_export_response(body: bytes, content_type: str, expected: ExportResponse) -> None:
    assert read_response(body, content_type) == expected


@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        (b"<html><body>Sign in</body></html>", "text/html"),
        (b"<html><body>Sign in</body></html>", ""),
        (b"  \n", "text/plain"),
        (b"OK", "text/plain"),
        (b"ok", ""),
        (b'{"error": "sign in"}', "application/json"),
        (b'{"partialSuccess": [3]}', "application/json"),
        (b'{"partialSuccess": {"rejectedLogRecords": true}}', "application/json"),
        (b'{"partialSuccess": {"rejectedLogRecords": "many"}}', "application/json"),
        (b'{"partialSuccess": {"rejectedLogRecords": -1}}', "application/json"),
        (b'{"partialSuccess"', "application/json"),
        (export_reply(3, "too old").body[:-1], "application/x-protobuf"),
        (b"\x0a\x0b\x08" + b"\xff" * 9 + b"\x01", "application/x-protobuf"),
        (b"\x0a\x0b\x08" + b"\xff" * 10, "application/x-protobuf"),
    ],
)
def test_no_export_response(body: bytes, content_type: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        read_response(body, content_type)


def test_the_message_of_a_status() -> None:
    assert read_status(status_reply(400, "entry too far behind").body) == "entry too far behind"
    assert read_status(b"<html>") is None
    assert read_status(b"") is None
