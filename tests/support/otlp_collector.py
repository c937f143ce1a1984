"""A collector of OpenTelemetry logs on a loopback socket; Google's protobuf library reads the requests."""

from __future__ import annotations

import contextlib
import gzip
import ssl
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import (
    ExportLogsServiceRequest,
    ExportLogsServiceResponse,
)
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord

from tests.support.scripted_http import Asked, Reply, ScriptedServer, scripted

PROTOBUF = "application/x-protobuf"


def status_reply(status: int, message: str, **headers: str) -> Reply:
    """An error as the specification wants it: a ``google.rpc.Status`` with *message* (field 2)."""
    text = message.encode()
    assert len(text) < 1 << 14
    length = bytes([len(text)]) if len(text) < 0x80 else bytes([len(text) & 0x7F | 0x80, len(text) >> 7])
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Reply(status, b"\x12" + length + text, {"content-type": PROTOBUF, **named})


def export_reply(rejected: int = 0, message: str = "") -> Reply:
    """A response to an export, full success by default."""
    response = ExportLogsServiceResponse()
    if rejected or message:
        response.partial_success.rejected_log_records = rejected
        response.partial_success.error_message = message
    return Reply(200, response.SerializeToString(), {"content-type": PROTOBUF})


def plain(value: AnyValue) -> Any:
    """*value* as JSON has it."""
    kind = value.WhichOneof("value")
    if kind is None:
        return None
    if kind == "array_value":
        return [plain(inner) for inner in value.array_value.values]
    if kind == "kvlist_value":
        return pairs(value.kvlist_value.values)
    return getattr(value, kind)


def pairs(attributes: Any) -> dict[str, Any]:
    """Attributes as a dictionary; their names must be unique."""
    found: list[KeyValue] = list(attributes)
    assert len({pair.key for pair in found}) == len(found)
    return {pair.key: plain(pair.value) for pair in found}


@dataclass
class OtlpCollector:
    """What the collector is like, and what it took.

    Args:
        server: where it listens.
        poison: a record with this text in its body is refused.
        counts: refuses by partial success, with a count; else the whole request by 400.
        faults: answers to the next requests, instead of taking them.
    """

    server: ScriptedServer
    poison: str | None = None
    counts: bool = False
    faults: list[Reply] = field(default_factory=list)
    requests: list[ExportLogsServiceRequest] = field(default_factory=list)
    records: list[LogRecord] = field(default_factory=list)

    @property
    def url(self) -> str:
        return self.server.url

    def answer(self, asked: Asked) -> Reply:
        """Take the records of one request."""
        if asked.method != "POST" or not asked.path.endswith("/v1/logs"):
            return Reply(404, b"no such page")
        if asked.headers.get("content-type") != PROTOBUF:
            return status_reply(415, "unsupported media type")
        if self.faults:
            return self.faults.pop(0)
        packed = asked.headers.get("content-encoding") == "gzip"
        request = ExportLogsServiceRequest.FromString(gzip.decompress(asked.body) if packed else asked.body)
        records = [
            record
            for resource in request.resource_logs
            for scope in resource.scope_logs
            for record in scope.log_records
        ]
        bad = [record for record in records if self.poison and self.poison in record.body.string_value]
        if bad and not self.counts:
            return status_reply(400, "malformed log record")
        self.requests.append(request)
        self.records += [record for record in records if record not in bad]
        return export_reply(len(bad), "malformed log record" if bad else "")


@contextlib.asynccontextmanager
async def otlp_collector(
    *, poison: str | None = None, counts: bool = False, tls: ssl.SSLContext | None = None
) -> AsyncIterator[OtlpCollector]:
    """Run a collector on a free port of 127.0.0.1."""
    collector: OtlpCollector | None = None

    def answer(asked: Asked) -> Reply:
        assert collector is not None
        return collector.answer(asked)

    async with scripted(answer, tls=tls) as server:
        collector = OtlpCollector(server, poison, counts)
        yield collector
