"""Recipes for tables and searches: the documented shape, limits of a request, values exactly as they were."""

from __future__ import annotations

import json
import re
from pathlib import Path

from connector.mapping import Library
from connector.ops.sentinel_schema import columns
from tests.scenarios.recipes.running import SECRET, accepted, run_recipe, unpacked
from tests.support.log_ingestion import TENANT
from tests.support.scripted_http import Asked, Reply, json_reply


async def test_sentinel_gets_arrays_of_rows_of_declared_columns(tmp_path: Path) -> None:
    """The Logs Ingestion API: an array of at most 1 MB, a Bearer token of the scope of Azure Monitor, 204."""
    declared = {column.name for column in columns(Library(), Library().load("asim"))}
    issued: list[str] = []

    def answer(asked: Asked) -> Reply:
        if asked.path == f"/{TENANT}/oauth2/v2.0/token":
            issued.append(asked.body.decode())
            return json_reply({"token_type": "Bearer", "expires_in": 3599, "access_token": f"t{len(issued)}"})
        return Reply(204 if asked.headers["authorization"] == f"Bearer t{len(issued)}" else 401)

    urls = {
        "CONNECTOR_OUTPUTS__SENTINEL__URL": "",
        "CONNECTOR_OUTPUTS__SENTINEL__AUTH__AUTHORITY": "",
    }
    run = await run_recipe("sentinel", tmp_path, answer, urls)

    calls = [request for request in run.requests if "token" not in request.path]
    assert len(issued) == 1
    assert "scope=https%3A%2F%2Fmonitor.azure.com%2F%2F.default" in issued[0]
    assert f"client_secret={SECRET}" in issued[0]
    rows = {}
    for call in calls:
        body = unpacked(call)
        assert call.path.endswith("/streams/Custom-CloudflareEmailSecurity_CL")
        assert call.headers["content-type"] == "application/json"
        assert call.headers["content-encoding"] == "gzip"
        assert len(body) <= 1_000_000
        rows.update({row["EventUid"]: row for row in json.loads(body)})
    assert set(rows) == {one.identity for one in run.wanted}
    for one in run.wanted:
        row = rows[one.identity]
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", row["TimeGenerated"])
        assert row.keys() <= declared
        assert row["EventOriginalUid"] == one.record.id
        assert all(len(json.dumps(value, ensure_ascii=False)) <= 64 << 10 for value in row.values())


async def test_datadog_gets_arrays_of_entries(tmp_path: Path) -> None:
    """The logs intake v2: at most 1000 entries and 5 MB before compression, 202."""
    urls = {"CONNECTOR_OUTPUTS__DATADOG__URL": "/api/v2/logs"}
    run = await run_recipe("datadog", tmp_path, accepted(202), urls)

    entries = []
    for request in run.requests:
        assert request.path == "/api/v2/logs"
        assert request.headers["dd-api-key"] == SECRET
        assert len(unpacked(request)) <= 5_000_000
        assert 1 <= len(json.loads(unpacked(request))) <= 1000
        entries += json.loads(unpacked(request))
    assert [json.loads(entry["message"])["event"]["id"] for entry in entries] == [
        one.record.id for one in run.wanted
    ]
    for entry in entries:
        assert (entry["ddsource"], entry["service"]) == ("cloudflare", "email-security")
        assert entry["ddtags"] == "account:prod,search:detections"
        assert all(isinstance(value, str) for name, value in entry.items() if name != "timestamp")
        assert isinstance(entry["timestamp"], int)
        assert entry["status"] in {"critical", "high", "medium", "low", "informational"}


async def test_loki_gets_streams_of_lines(tmp_path: Path) -> None:
    """The push API: labels and lines are text, so is the time in nanoseconds; 204."""
    urls = {"CONNECTOR_OUTPUTS__LOKI__URL": "/loki/api/v1/push"}
    run = await run_recipe("loki", tmp_path, accepted(204, b""), urls)

    lines = []
    for request in run.requests:
        assert request.headers["content-type"] == "application/json"
        for stream in json.loads(unpacked(request))["streams"]:
            assert stream["stream"] == {"service_name": "cloudflare-email-security", "account": "prod"}
            for time, line in stream["values"]:
                assert re.fullmatch(r"\d{19}", time)
                lines.append(json.loads(line))
    assert [line["event"]["id"] for line in lines] == [one.record.id for one in run.wanted]


async def test_google_secops_gets_udm_events_by_line(tmp_path: Path) -> None:
    """UDM: required fields, enumerations, types; a webhook feed splits a request by lines, 4 MB at most."""
    run = await run_recipe("google-secops", tmp_path, accepted())

    events = []
    for request in run.requests:
        assert request.headers["x-goog-api-key"] == request.headers["x-webhook-access-key"] == SECRET
        assert len(unpacked(request)) <= 4_000_000
        events += [json.loads(line) for line in unpacked(request).splitlines()]
    assert [event["metadata"]["product_log_id"] for event in events] == [one.identity for one in run.wanted]
    for event in events:
        metadata, [result] = event["metadata"], event["security_result"]
        assert (metadata["vendor_name"], metadata["product_name"]) == ("Cloudflare", "Email Security")
        assert metadata["event_type"] in {"EMAIL_TRANSACTION", "GENERIC_EVENT"}
        assert (metadata["event_type"] == "EMAIL_TRANSACTION") == bool(event.get("principal"))
        assert "email" not in event.get("principal", {})
        assert set(result["action"]) <= {"QUARANTINE", "ALLOW", "BLOCK", "UNKNOWN_ACTION"}
        assert set(result.get("category", ())) <= {"MAIL_PHISHING", "MAIL_SPOOFING", "MAIL_SPAM"}
        assert result["severity"] in {"CRITICAL", "HIGH", "MEDIUM", "LOW", "INFORMATIONAL", "NONE",
                                      "UNKNOWN_SEVERITY"}  # fmt: skip
        assert result["alert_state"] in {"ALERTING", "NOT_ALERTING"}
        email = event.get("network", {}).get("email", {})
        assert all(isinstance(email.get(key, []), list) for key in ("to", "subject"))
        assert all(isinstance(email.get(key, ""), str) for key in ("from", "reply_to", "mail_id"))
