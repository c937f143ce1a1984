"""Outputs with a heartbeat send one at once, in their own format, beside the mail; the others send none."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from connector.simulator import Simulator, running
from tests.support.cef_parser import parse
from tests.support.process import ACCOUNT, TOKEN, Daemon, daemon, environment, until
from tests.support.receivers import http_receiver, line_receiver

CONFIG = """
accounts:
  prod: {{account_id: {account}, api_token: "${{env:TOKEN}}", base_url: "{base_url}"}}
searches:
  everything: {{every: 1s, start: 25h, filters: {{detections_only: false}}}}
outputs:
  console: {{type: stdout, mapping: ecs}}
  siem: {{type: syslog, address: "tcp://127.0.0.1:{port}", mapping: cef, heartbeat: 10s}}
  lake: {{type: http, url: "{url}", body: ndjson, mapping: ecs, heartbeat: 10s}}
state: {{directory: {state}}}
server: {{listen: "127.0.0.1:0"}}
"""


def lake_of(connector: Daemon) -> dict[str, Any]:
    """The status of the output lake."""
    [found] = [one for one in connector.status()["outputs"] if one["output"] == "lake"]
    status: dict[str, Any] = found
    return status


def test_heartbeats_come_beside_the_mail(tmp_path: Path) -> None:
    simulator = Simulator(backlog=50)
    with running(simulator) as base_url, http_receiver() as lake, line_receiver() as siem:
        (tmp_path / "connector.yaml").write_text(
            CONFIG.format(
                account=ACCOUNT, base_url=base_url, port=siem.port, url=lake.url, state=tmp_path / "state"
            )
        )
        with daemon(tmp_path, environment(TOKEN=TOKEN)) as connector:
            expected = simulator.ledger.ids({"detections_only": False})
            until(lambda: len(lake.events) > len(expected), "mail and a heartbeat over HTTP")
            until(lambda: len(siem.lines) > len(expected), "mail and a heartbeat over syslog")
            until(lambda: len(connector.events()) >= len(expected), "mail on stdout")
            until(lambda: lake_of(connector)["sent"] == len(expected), "the status that counts mail alone")
            assert lake_of(connector)["dead_letters"] == 0
            assert connector.terminate() == 0

    beats = [event for event in lake.events if event["event"]["action"] == "heartbeat"]
    assert {beat["cloudflare"]["email_security"]["heartbeat"]["output"] for beat in beats} == {"lake"}
    mail = [event["event"]["id"] for event in lake.events if event not in beats]
    assert sorted(mail) == sorted(expected)
    lines = [parse(line[line.index(b"CEF:") :]).extension for line in siem.lines if b"heartbeat" in line]
    assert lines
    assert all(line["cs1"] == "siem" for line in lines)
    assert all(event["event"]["action"] != "heartbeat" for event in connector.events())
