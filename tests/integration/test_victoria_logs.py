"""A real VictoriaLogs stores what was sent, field by field, also when it is killed in between."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
import yaml

from connector import __version__
from tests.integration.killed_collector import BATCH, Delivered, Figures, deliver, figures
from tests.support.cef_parser import parse
from tests.support.process import ACCOUNT
from tests.support.victoria_logs import VictoriaLogs, flattened, victoria_logs

EXAMPLES = Path(__file__).parents[2] / "deploy" / "examples"
LEVELS = {
    "0": ("9", "INFO"),
    "1": ("9", "INFO"),
    "2": ("9", "INFO"),
    "3": ("10", "INFO2"),
    "4": ("13", "WARN"),
    "5": ("13", "WARN"),
    "6": ("13", "WARN"),
    "7": ("17", "ERROR"),
    "8": ("17", "ERROR"),
    "9": ("18", "ERROR2"),
    "10": ("18", "ERROR2"),
}
"""``SeverityNumber`` and name by an event's severity."""
FRACTION = re.compile(r"\d+\.\d+")


@pytest.fixture
def server(tmp_path: Path) -> Iterator[VictoriaLogs]:
    with victoria_logs(tmp_path / "victoria-logs") as running:
        yield running


def event_id(payload: bytes) -> str:
    return str(json.loads(payload)["event"]["id"])


def cef_id(payload: bytes) -> str:
    return parse(payload).extension["devicePayloadId"]


def extension_of(payload: bytes) -> dict[str, str]:
    """Return the extension as the server keeps it: without empty values, and the last value not unescaped."""
    extension = parse(payload).extension
    last = list(extension)[-1]
    extension[last] = payload.decode().rpartition(f" {last}=")[2]
    return {name: value for name, value in extension.items() if value}


def assert_fields(row: Mapping[str, str], expected: Mapping[str, Any]) -> None:
    """Assert that *row* has exactly the *expected* fields; a list is JSON text there."""
    assert row.keys() == expected.keys()
    for name, value in expected.items():
        stored = json.loads(_ESCAPE.sub(_as_json, row[name])) if isinstance(value, list) else row[name]
        assert stored == value or _rounded(stored) == _rounded(value), name


_ESCAPE = re.compile(r"\\(x[0-9a-f]{2}|U[0-9a-f]{8}|.)")


def _as_json(escape: re.Match[str]) -> str:
    """An escape of Go, with which the server writes lists of OTLP, as one of JSON."""
    text = escape[1]
    if text[0] in "xU" and len(text) > 1:
        return json.dumps(chr(int(text[1:], 16)))[1:-1]
    return {"a": "\\u0007", "v": "\\u000b"}.get(text, escape[0])


def _rounded(text: object) -> object:
    """Return a fraction without the error that the server's encoding of columns adds: 0.6900000000000001."""
    return round(float(text), 9) if isinstance(text, str) and FRACTION.fullmatch(text) else text


def assert_documents(run: Delivered, rows: list[dict[str, str]], prefix: str, **more: str) -> None:
    """Assert that every row has the fields of the document sent, below *prefix*, its time and *more*."""
    stored = {row[f"{prefix}event.id"]: row for row in rows}
    for identity, payload in run.sent.items():
        document = json.loads(payload)
        row = dict(stored[identity])
        assert datetime.fromisoformat(row.pop("_time")) == datetime.fromisoformat(document["@timestamp"])
        expected = flattened(document, prefix)
        expected["_msg"] = expected.pop(f"{prefix}message")
        if not prefix:
            del expected["@timestamp"]
        assert_fields(row, expected | more)


def test_splunk_hec(server: VictoriaLogs, tmp_path: Path) -> None:
    output = {
        "type": "splunk_hec",
        "url": server.url,
        "token": "any",
        "mapping": "ecs",
        "host": "connector.example",
    }

    run = deliver(tmp_path, server, output, event_id)
    rows = server.rows()

    count = len(run.sent)
    assert figures(run, [row["event.event.id"] for row in rows]) == Figures(count, count, 0, 0, 0)
    assert_documents(
        run,
        rows,
        "event.",
        host="connector.example",
        source="cloudflare:email_security",
        sourcetype="cloudflare:email:security",
    )


@pytest.mark.parametrize(
    "settings",
    [
        {"type": "http", "url": "/insert/jsonline", "gzip": True},
        {"type": "elasticsearch", "url": "/insert/elasticsearch/_bulk"},
    ],
    ids=["ndjson", "bulk"],
)
def test_json_over_http(server: VictoriaLogs, tmp_path: Path, settings: dict[str, Any]) -> None:
    query = "_time_field=@timestamp&_msg_field=message&_stream_fields=event.dataset"
    output = {**settings, "url": f"{server.url}{settings['url']}?{query}", "mapping": "ecs"}

    run = deliver(tmp_path, server, output, event_id)
    rows = server.rows()

    count = len(run.sent)
    assert figures(run, [row["event.id"] for row in rows]) == Figures(count, count, 0, 0, 0)
    assert_documents(run, rows, "")


def without_nulls(value: Any) -> Any:
    """*value* without the keys whose value is null."""
    if isinstance(value, dict):
        return {key: without_nulls(inner) for key, inner in value.items() if inner is not None}
    return [without_nulls(inner) for inner in value] if isinstance(value, list) else value


def test_opentelemetry(server: VictoriaLogs, tmp_path: Path) -> None:
    output = {
        "type": "otlp",
        "url": f"{server.url}/insert/opentelemetry",
        "mapping": "ecs",
        "resource": {"deployment.environment.name": "prod"},
    }

    run = deliver(tmp_path, server, output, event_id)
    rows = server.rows()

    count = len(run.sent)
    assert figures(run, [row["event.id"] for row in rows]) == Figures(count, count, 0, 0, 0)
    assert len({row["log.record.uid"] for row in rows}) == count
    for row in rows:
        del row["log.record.uid"]
        assert row.pop("event_name") == row["event.code"]
        assert (row.pop("severity_number"), row.pop("severity_text")) == LEVELS[row["event.severity"]]
    # OTLP says null by leaving the key out, also inside of lists.
    sent = {
        name: json.dumps(without_nulls(json.loads(payload))).encode() for name, payload in run.sent.items()
    }
    assert_documents(
        replace(run, sent=sent),
        rows,
        "",
        **{
            "service.name": "cloudflare-email-security",
            "deployment.environment.name": "prod",
            "scope.name": "cloudflare-email-connector",
            "scope.version": __version__,
        },
    )


def example(name: str, url: str) -> dict[str, Any]:
    """The output of ``deploy/examples/NAME.yaml``, sent to *url* without credentials."""
    loaded = yaml.safe_load((EXAMPLES / f"{name}.yaml").read_text())
    output: dict[str, Any] = loaded["outputs"][name]
    del output["auth"]
    return {**output, "url": url, "batch": {"events": BATCH}}


def test_loki(server: VictoriaLogs, tmp_path: Path) -> None:
    output = example("loki", f"{server.url}/insert/loki/api/v1/push?_msg_field=message")

    run = deliver(tmp_path, server, output, event_id)
    rows = server.rows()

    count = len(run.sent)
    assert figures(run, [row["event.id"] for row in rows]) == Figures(count, count, 0, 0, 0)
    for row in rows:
        time = row.pop("@timestamp")
        assert datetime.fromisoformat(time) == datetime.fromisoformat(row["_time"])
    assert_documents(run, rows, "", service_name="cloudflare-email-security", account="prod")


def test_datadog(server: VictoriaLogs, tmp_path: Path) -> None:
    """What the server does not parse, the event in ``message``, it stores byte by byte."""
    output = example("datadog", f"{server.url}/insert/datadog/api/v2/logs") | {"max_age": "2d"}

    run = deliver(tmp_path, server, output, event_id)
    rows = server.rows()

    count = len(run.sent)
    stored = {event_id(row["_msg"].encode()): row for row in rows}
    assert figures(run, [event_id(row["_msg"].encode()) for row in rows]) == Figures(count, count, 0, 0, 0)
    for identity, payload in run.sent.items():
        document, row = json.loads(payload), dict(stored[identity])
        assert datetime.fromisoformat(row.pop("_time")) == datetime.fromisoformat(document["@timestamp"])
        assert json.loads(row.pop("_msg")) == document
        assert row.pop("status") in {"critical", "high", "medium", "low", "informational"}
        assert row == {
            "ddsource": "cloudflare",
            "service": "email-security",
            "account": "prod",
            "search": "all",
            "hostname": ACCOUNT,
        }


@pytest.mark.parametrize(
    ("syslog_format", "framing"),
    [("rfc5424", "octet"), ("rfc3164", "lf")],
    ids=["rfc5424 by octets", "rfc3164 by line"],
)
def test_cef_over_syslog(server: VictoriaLogs, tmp_path: Path, syslog_format: str, framing: str) -> None:
    """A frozen server's operating system takes more than the default of ``resend``; see docs/outputs.md."""
    output = {
        "type": "syslog",
        "address": f"tcp://127.0.0.1:{server.syslog}",
        "mapping": "cef",
        "format": syslog_format,
        "framing": framing,
        "hostname": "connector.example",
        "max_message_bytes": "64KiB",
        "resend": "8MiB",
    }

    run = deliver(tmp_path, server, output, cef_id)
    rows = server.rows()

    whole = [row for row in rows if "cef.extension.devicePayloadId" in row]
    result = figures(run, [row["cef.extension.devicePayloadId"] for row in whole])
    assert (result.stored, result.refused, result.lost) == (result.sent, 0, 0)
    assert result.doubled <= run.before
    assert len(rows) - len(whole) <= (framing == "lf"), "at most the beginning of a line that broke off"
    stored = {row["cef.extension.devicePayloadId"]: row for row in whole}
    for identity, payload in run.sent.items():
        line, row = parse(payload), stored[identity]
        assert row["hostname"] == "connector.example"
        assert row["app_name"] == "cf-email-security"
        extension = {
            name.removeprefix("cef.extension."): value
            for name, value in row.items()
            if name.startswith("cef.extension.")
        }
        assert_fields(extension, extension_of(payload))
        assert row["cef.severity"] == line.header["severity"]
        assert row["cef.device_event_class_id"] == line.header["deviceEventClassId"]
        assert row["cef.name"] == line.header["name"]
