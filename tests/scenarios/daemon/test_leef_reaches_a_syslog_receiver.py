"""LEEF over syslog, with less room than some mail takes: every record arrives, whole or shortened."""

from __future__ import annotations

from pathlib import Path

from connector.simulator import Recipe, Simulator, running
from tests.support.leef_parser import escaping_fields, gateway_fields, parse
from tests.support.process import ACCOUNT, TOKEN, command, environment
from tests.support.receivers import line_receiver

ROOM = 1024
CONFIG = """
accounts:
  prod: {{account_id: {account}, api_token: "${{env:TOKEN}}", base_url: "{base_url}"}}
searches:
  everything: {{every: 1s, start: 25h, filters: {{detections_only: false}}}}
outputs:
  siem: {{type: syslog, address: "tcp://127.0.0.1:{port}", mapping: leef, max_message_bytes: 1KiB}}
state: {{directory: {state}}}
server: {{listen: "127.0.0.1:0"}}
"""


def test_every_record_arrives_as_a_line_that_fits(tmp_path: Path) -> None:
    simulator = Simulator(seed=5, backlog=400, recipe=Recipe(hostile=0.7, surrogates=True))
    with running(simulator) as base_url, line_receiver() as siem:
        (tmp_path / "connector.yaml").write_text(
            CONFIG.format(account=ACCOUNT, base_url=base_url, port=siem.port, state=tmp_path / "state")
        )
        code, _, log = command("run", "--once", environ=environment(TOKEN=TOKEN), cwd=tmp_path)
        expected = simulator.ledger.ids({"detections_only": False})

    assert code == 0, log
    lines = [line[line.index(b"LEEF:") :].rstrip(b"\n") for line in siem.lines]
    read = [parse(line).attributes for line in lines]
    assert sorted(fields["investigateId"] for fields in read) == sorted(expected)
    assert max(map(len, siem.lines)) <= ROOM + 1
    assert any(len(line) > ROOM - 200 for line in siem.lines), "nothing had to be shortened"
    for line, fields in zip(lines, read, strict=True):
        assert gateway_fields(line) == escaping_fields(line) == fields
        assert {"cat", "sev", "devTime", "dispositionRaw", "accountName"} <= fields.keys()
