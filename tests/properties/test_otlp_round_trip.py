"""Google's protobuf library reads from a log record every value of the document that became it."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from typing import Any

import orjson
from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import (
    ExportLogsServiceRequest,
    ExportLogsServiceResponse,
)
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord

from connector.formats import json
from connector.formats.otlp import UID, Layout, LogsEncoder, read_response
from connector.model import Event, Feed, JsonObject, Record, Revision
from tests.support.examples import examples
from tests.support.otlp_collector import pairs

NOW = datetime(2026, 11, 18, 9, 41, 7, 123456, tzinfo=UTC)
SIGNED = range(-(1 << 63), 1 << 63)

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=200)
scalars = (
    st.none()
    | st.booleans()
    | st.integers(-(1 << 70), 1 << 70)
    | st.sampled_from([(1 << 63) - 1, 1 << 63, -(1 << 63), -(1 << 63) - 1, (1 << 64) - 1, 1 << 64])
    | st.floats(allow_nan=False, allow_infinity=False)
    | texts
)
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=20,
)
documents = st.dictionaries(texts.filter(lambda name: name not in {"message", "@timestamp", UID}), values)


def event(payload: bytes, *, time: datetime = NOW, severity: int = 8) -> Event:
    revision = Revision(Feed("account", "search"), Record("1", {"id": "1"}), "d" * 64, 1, NOW)
    return Event(revision, payload, time, severity, "email.malicious")


def record_of(sent: Event, layout: Layout) -> LogRecord:
    encoder = LogsEncoder({"service.name": "mail"}, ("connector", "1"), layout)
    request = ExportLogsServiceRequest.FromString(encoder.request([sent]))
    [resource] = request.resource_logs
    [scope] = resource.scope_logs
    record: LogRecord = scope.log_records[0]
    return record


def expected(value: Any) -> Any:
    """What OTLP can say of a JSON value."""
    if isinstance(value, dict):
        return {key: expected(inner) for key, inner in value.items() if inner is not None}
    if isinstance(value, list):
        return [expected(inner) for inner in value]
    if isinstance(value, int) and not isinstance(value, bool) and value not in SIGNED:
        return str(value)
    return value


def same(left: Any, right: Any) -> bool:
    """Equality that tells 1, 1.0 and True apart."""
    if type(left) is not type(right):
        return False
    if isinstance(left, dict):
        return left.keys() == right.keys() and all(same(left[key], right[key]) for key in left)
    if isinstance(left, list):
        return len(left) == len(right) and all(map(same, left, right))
    if isinstance(left, float):
        return math.copysign(1, left) == math.copysign(1, right) and left == right
    return bool(left == right)


def leaves(value: Any) -> list[str]:
    """Every value that is no object, as text: what flattening must keep."""
    if isinstance(value, dict) and value:
        return [text for inner in value.values() for text in leaves(inner)]
    if value is None:
        return []
    if isinstance(value, list):
        return [repr(expected(inner)) for inner in value]
    return [repr(expected(value))]


@settings(max_examples=examples(400))
@given(documents)
def test_every_value_is_read_back_nested(document: JsonObject) -> None:
    record = record_of(event(json.encode(document)), Layout("message", "nested"))

    found = pairs(record.attributes)
    assert found.pop(UID) == event(b"").revision.identity
    assert same(found, expected(document))


@settings(max_examples=examples(400))
@given(documents)
def test_no_value_is_lost_by_flattening(document: JsonObject) -> None:
    record = record_of(event(json.encode(document)), Layout("json", "flat"))

    found = pairs(record.attributes)
    assert orjson.loads(record.body.string_value) == orjson.loads(json.encode(document))
    del found[UID]
    kept = sorted(
        text
        for value in found.values()
        for text in ([repr(inner) for inner in value] if isinstance(value, list) else [repr(value)])
    )
    assert kept == sorted(leaves(document) if document else [])


@given(
    st.datetimes(datetime(1900, 1, 1), datetime(9999, 1, 1), timezones=st.just(UTC)),  # noqa: DTZ001
    st.integers(0, 10),
)
def test_the_envelope_is_read_back(time: datetime, severity: int) -> None:
    record = record_of(event(b'{"message": "hello"}', time=time, severity=severity), Layout())

    exact = (time - datetime(1970, 1, 1, tzinfo=UTC)).days * 86_400 * 10**9
    within = 0 <= exact < (1 << 64) - 86_400 * 10**9
    seconds = record.time_unix_nano / 10**9
    assert not within or abs(seconds - time.timestamp()) < 1e-3
    assert record.observed_time_unix_nano == 1_794_994_867_123_456_000
    assert 9 <= record.severity_number <= 18
    assert record.severity_text
    assert record.event_name == "email.malicious"
    assert record.body.string_value == "hello"


@given(st.integers(0, (1 << 63) - 1), texts)
def test_every_response_is_understood(rejected: int, message: str) -> None:
    response = ExportLogsServiceResponse()
    response.partial_success.rejected_log_records = rejected
    response.partial_success.error_message = message

    found = read_response(response.SerializeToString(), "application/x-protobuf")

    assert (found.rejected, found.message) == (rejected, message)
    text = orjson.dumps({"partialSuccess": {"rejectedLogRecords": str(rejected), "errorMessage": message}})
    assert read_response(text, "application/json") == found


@given(st.binary(max_size=200))
def test_no_response_crashes_the_reader(body: bytes) -> None:
    """Whatever is no message is a ``ValueError``; what is one, Google's library reads in the same way."""
    if body.lstrip()[:1] == b"{":
        return
    try:
        found = read_response(body, "application/x-protobuf")
    except ValueError:
        return
    try:
        response = ExportLogsServiceResponse.FromString(body)
    except Exception:  # noqa: BLE001, it checks more: unknown fields and the text's encoding
        return
    assert found.rejected == response.partial_success.rejected_log_records
