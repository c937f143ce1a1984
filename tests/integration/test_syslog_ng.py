"""A real syslog-ng, strict where rsyslog is lenient: one framing per port, octets counted exactly."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import pytest

from connector.formats.syslog import severity
from connector.outputs.syslog.output import SyslogSettings
from tests.support.cef_parser import parse
from tests.support.collectors import unobserved
from tests.support.hostile_day import hostile_day
from tests.support.syslog_daemons import syslog_ng


@pytest.mark.parametrize(
    ("port", "transport", "more"),
    [
        ("tcp", "tcp", {"profile": "syslog_ng"}),
        ("tls", "tls", {"profile": "syslog_ng"}),
        ("lines", "tcp", {"framing": "lf", "max_message_bytes": "32KiB"}),
        ("udp", "udp", {"max_message_bytes": "32KiB"}),
    ],
    ids=["tcp by octets", "tls by octets", "tcp by line", "udp"],
)
async def test_syslog_ng_stores_what_was_sent(
    tmp_path: Path, port: str, transport: str, more: dict[str, str]
) -> None:
    sent = hostile_day("cef")
    with syslog_ng(tmp_path) as server:
        given = {
            "address": f"{transport}://127.0.0.1:{server.ports[port]}",
            "hostname": "connector.example",
            **({"tls": server.tls} if transport == "tls" else {}),
            **more,
        }
        output = SyslogSettings.model_validate(given).build("siem", unobserved)
        for index in range(0, len(sent), 50):
            receipt = await output.send(sent[index : index + 50])
            assert not receipt.rejected
        await output.close()
        stored = server.lines(len(sent))

    assert len(stored) == len(sent)
    by_id = {parse(line["message"].encode()).extension["devicePayloadId"]: line for line in stored}
    for event in sent:
        line = by_id[event.revision.record.id]
        assert line["message"] == event.payload.decode()
        assert line["host"] == "connector.example"
        assert line["app"] == "cf-email-security"
        assert line["msgid"] == event.code[:32]
        assert int(line["severity"]) == severity(event.severity)
        assert datetime.fromisoformat(line["time"]).replace(microsecond=0) == event.time.replace(
            microsecond=0
        )
