"""Three outputs, one of them blocked in the middle of a send: the others reach the head of the journal."""

from __future__ import annotations

from pathlib import Path

from connector.simulator import Simulator, running
from tests.support.cef_parser import parse
from tests.support.process import ACCOUNT, TOKEN, daemon, environment, until
from tests.support.receivers import http_receiver, line_receiver

CONFIG = """
accounts:
  prod: {{account_id: {account}, api_token: "${{env:TOKEN}}", base_url: "{base_url}"}}
searches:
  everything: {{every: 1s, start: 25h, filters: {{detections_only: false}}}}
outputs:
  console: {{type: stdout, mapping: ecs}}
  siem: {{type: syslog, address: "tcp://127.0.0.1:{port}", mapping: cef}}
  lake: {{type: http, url: "{url}", body: ndjson, mapping: ecs, gzip: true}}
state: {{directory: {state}}}
server: {{listen: "127.0.0.1:0"}}
"""


def test_the_others_reach_the_head_and_then_it_catches_up(tmp_path: Path) -> None:
    simulator = Simulator(backlog=1500)
    with running(simulator) as base_url, http_receiver() as lake, line_receiver() as siem:
        lake.gate.clear()
        (tmp_path / "connector.yaml").write_text(
            CONFIG.format(
                account=ACCOUNT, base_url=base_url, port=siem.port, url=lake.url, state=tmp_path / "state"
            )
        )
        with daemon(tmp_path, environment(TOKEN=TOKEN)) as connector:
            expected = simulator.ledger.ids({"detections_only": False})
            assert lake.waiting.wait(60), "the HTTP output never sent"
            until(lambda: len(siem.lines) >= len(expected), "all lines over syslog")
            until(lambda: len(connector.events()) >= len(expected), "all events on stdout")
            assert lake.events == []

            lake.gate.set()
            until(lambda: len(lake.events) >= len(expected), "all events over HTTP")
            assert connector.terminate() == 0

    assert sorted(event["event"]["id"] for event in connector.events()) == sorted(expected)
    assert sorted(event["event"]["id"] for event in lake.events) == sorted(expected)
    payloads = [line[line.index(b"CEF:") :] for line in siem.lines]
    assert sorted(parse(line).extension["devicePayloadId"] for line in payloads) == sorted(expected)
