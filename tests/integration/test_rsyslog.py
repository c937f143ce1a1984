"""A real rsyslog receives what the syslog output sends; what it stored is compared field by field."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from connector.errors import Hold, Retryable
from connector.formats.syslog import severity
from connector.model import Event
from connector.outputs.syslog.output import SyslogSettings
from tests.support.cef_parser import parse
from tests.support.collectors import unobserved
from tests.support.hostile_day import fitted, hostile_day
from tests.support.syslog_daemons import Daemon, rsyslog


async def deliver(
    server: Daemon, transport: str, events: Sequence[Event], **more: Any
) -> tuple[list[Event], list[dict[str, Any]]]:
    """Send everything in batches; return what was sent, shortened where it had to be, and what was stored."""
    given = {
        "type": "syslog",
        "address": f"{transport}://127.0.0.1:{server.ports[transport]}",
        "hostname": "connector.example",
        **({"tls": server.tls} if transport == "tls" else {}),
        **more,
    }
    output = SyslogSettings.model_validate(given).build("siem", unobserved)
    assert output.limits.event_bytes is not None
    sent = fitted(events, output.limits.event_bytes)
    try:
        await output.open()
        for index in range(0, len(sent), 50):
            receipt = await output.send(sent[index : index + 50])
            assert not receipt.rejected
    finally:
        await output.close()
    return sent, server.lines(len(sent))


@pytest.mark.parametrize(
    ("transport", "more"),
    [
        ("tcp", {"framing": "lf"}),
        ("tcp", {"framing": "octet"}),
        ("tls", {"framing": "lf"}),
        ("tls", {"framing": "octet"}),
        ("udp", {}),
    ],
    ids=["tcp by line", "tcp by octets", "tls by line", "tls by octets", "udp"],
)
async def test_rsyslog_stores_what_was_sent(tmp_path: Path, transport: str, more: dict[str, str]) -> None:
    more = {"max_message_bytes": "32KiB", **more}
    with rsyslog(tmp_path, tls=transport == "tls") as server:
        sent, stored = await deliver(server, transport, hostile_day("cef"), **more)

    assert len(stored) == len(sent)
    by_id = {parse(line["message"].strip().encode()).extension["devicePayloadId"]: line for line in stored}
    for event in sent:
        line = by_id[event.revision.record.id]
        assert line["message"].strip() == event.payload.decode()
        assert line["host"] == "connector.example"
        assert line["app"] == "cf-email-security"
        assert line["msgid"] == event.code[:32]
        assert line["facility"] == "local0"
        assert int(line["severity"]) == severity(event.severity)
        assert datetime.fromisoformat(line["time"]) == event.time


@pytest.mark.parametrize("profile", ["rsyslog", "sentinel_ama"])
@pytest.mark.parametrize("transport", ["tcp", "udp"])
async def test_a_profile_arrives_whole(tmp_path: Path, profile: str, transport: str) -> None:
    """Also what had to be shortened: it is one message, ends where it should, and its cuts are marked."""
    with rsyslog(tmp_path) as server:
        sent, stored = await deliver(server, transport, hostile_day("cef", 40), profile=profile)

    assert len(stored) == len(sent)
    assert sorted(line["raw"].partition("CEF:")[2] for line in stored) == sorted(
        event.payload.decode().removeprefix("CEF:") for event in sent
    )
    if profile == "sentinel_ama":
        assert {line["tag"] for line in stored} == {"CEF:"}


async def test_rsyslog_refuses_a_stranger_and_nothing_is_mistaken_for_delivered(tmp_path: Path) -> None:
    """The daemon asks for a certificate of a name that it permits; an output without one holds or waits."""
    with rsyslog(tmp_path, tls=True) as server:
        given = {
            "address": f"tls://127.0.0.1:{server.ports['tls']}",
            "tls": {"ca_file": server.tls["ca_file"]},
            "timeout": "5s",
        }
        output = SyslogSettings.model_validate(given).build("siem", unobserved)
        with pytest.raises((Hold, Retryable)):
            await output.send(hostile_day("cef", 3))
        await output.close()
        _, stored = await deliver(server, "tls", hostile_day("cef", 5))
        assert len(stored) == 5
