"""A real rsyslog receives what the syslog output sends; what it stored is compared field by field."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from pydantic import TypeAdapter

from connector.mapping import Library, build_mapper
from connector.model import Event, Feed, Record, Revision
from connector.outputs import settings_class
from connector.simulator import Recipe, Simulator
from tests.support.cef_parser import parse
from tests.support.collectors import free_port, unobserved

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
COUNT = 200
CONFIG = """
global(workDirectory="{directory}" maxMessageSize="64k")
module(load="imtcp")
module(load="imudp")
input(type="imtcp" port="{tcp}" address="127.0.0.1")
input(type="imudp" port="{udp}" address="127.0.0.1")
template(name="record" type="list" option.jsonf="on") {{
  property(outname="message" name="msg" format="jsonf")
  property(outname="host" name="hostname" format="jsonf")
  property(outname="app" name="app-name" format="jsonf")
  property(outname="msgid" name="msgid" format="jsonf")
  property(outname="time" name="timereported" dateFormat="rfc3339" format="jsonf")
  property(outname="severity" name="syslogseverity" format="jsonf")
  property(outname="facility" name="syslogfacility-text" format="jsonf")
}}
template(name="line" type="subtree" subtree="$!")
action(type="omfile" file="{directory}/stored.ndjson" template="record" asyncWriting="off" flushOnTXEnd="on")
"""


@dataclass
class Rsyslog:
    """A running rsyslogd on loopback ports."""

    tcp: int
    udp: int
    stored: Path

    def lines(self, count: int) -> list[dict[str, Any]]:
        """What was stored, once it is *count* messages."""
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            lines = self.stored.read_bytes().splitlines() if self.stored.exists() else []
            if len(lines) >= count:
                return [json.loads(line) for line in lines]
            time.sleep(0.05)
        raise AssertionError(f"{len(lines)} of {count} messages were stored")


@contextmanager
def rsyslog(directory: Path) -> Iterator[Rsyslog]:
    program = shutil.which("rsyslogd") or shutil.which("rsyslogd", path="/usr/sbin:/sbin")
    if program is None:
        if os.environ.get("CI"):
            pytest.fail("CI runs without rsyslogd")
        pytest.skip("rsyslogd is not installed")
    tcp, udp = free_port(), free_port()
    config = directory / "rsyslog.conf"
    config.write_text(CONFIG.format(directory=directory, tcp=tcp, udp=udp))
    process = subprocess.Popen(
        [program, "-n", "-f", str(config), "-i", str(directory / "pid")], stderr=subprocess.DEVNULL
    )
    try:
        _wait_for(tcp)
        yield Rsyslog(tcp, udp, directory / "stored.ndjson")
    finally:
        process.terminate()
        process.wait(10)


def _wait_for(port: int) -> None:
    for _ in range(200):
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            time.sleep(0.05)
        else:
            return
    raise AssertionError("rsyslogd does not listen")


def events() -> list[Event]:
    simulator = Simulator(seed=11, backlog=COUNT, recipe=Recipe(hostile=0.3))
    mapper = build_mapper(Library().load("cef"))
    feed = Feed("a" * 32, "everything")
    made = []
    for issued in simulator.ledger.issued():
        body = simulator.ledger.body(issued)
        event = mapper(Revision(feed, Record(issued, body), "d", 1, NOW))
        assert event is not None
        made.append(event)
    return made


@pytest.mark.parametrize(
    ("transport", "more"),
    [("tcp", {"framing": "lf"}), ("tcp", {"framing": "octet"}), ("udp", {})],
    ids=["tcp by line", "tcp by octets", "udp"],
)
async def test_rsyslog_stores_what_was_sent(tmp_path: Path, transport: str, more: dict[str, str]) -> None:
    with rsyslog(tmp_path) as server:
        port = server.tcp if transport == "tcp" else server.udp
        settings = TypeAdapter(settings_class("syslog")).validate_python(
            {
                "type": "syslog",
                "address": f"{transport}://127.0.0.1:{port}",
                "hostname": "connector.example",
                "max_message_bytes": "32KiB",
                **more,
            }
        )
        output = settings.build("siem", unobserved)
        sent = events()
        await output.open()
        for index in range(0, len(sent), 50):
            receipt = await output.send(sent[index : index + 50])
            assert not receipt.rejected
        await output.close()
        stored = server.lines(len(sent))

    assert len(stored) == len(sent)
    by_id = {parse(line["message"].strip().encode()).extension["devicePayloadId"]: line for line in stored}
    for event in sent:
        line = by_id[event.revision.record.id]
        assert line["message"].strip() == event.payload.decode()
        assert line["host"] == "connector.example"
        assert line["app"] == "cf-email-security"
        assert line["facility"] == "local0"
        assert datetime.fromisoformat(line["time"]) == event.time
