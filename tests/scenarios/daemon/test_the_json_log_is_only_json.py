"""A log in JSON holds nothing but JSON lines, whatever the connector has to say."""

from __future__ import annotations

import json
from pathlib import Path

from connector.simulator import Simulator, running
from tests.support.process import ACCOUNT, TOKEN, command, daemon, environment, until

CONFIG = """
accounts:
  prod: {{account_id: {account}, api_token: "${{env:TOKEN}}", base_url: "{base_url}"}}
searches:
  everything: {{every: 1s, start: 25h, filters: {{detections_only: false}}}}
outputs:
  console: {{type: stdout, mapping: raw}}
  nowhere: {{type: syslog, address: "tcp://127.0.0.1:{port}", mapping: cef}}
state: {{directory: state}}
server: {{listen: "127.0.0.1:0"}}
log: {{format: json}}
drain: 1s
"""
NOBODY_LISTENS = 9


def test_every_line_of_the_daemon_and_of_run_once_is_a_json_object(tmp_path: Path) -> None:
    environ = environment(TOKEN=TOKEN)
    with running(Simulator(backlog=20)) as base_url:
        config = CONFIG.format(account=ACCOUNT, base_url=base_url, port=NOBODY_LISTENS)
        (tmp_path / "connector.yaml").write_text(config)
        with daemon(tmp_path, environ) as connector:
            until(lambda: len(connector.events()) >= 20, "events on stdout")
            connector.terminate()
        code, _, once = command("run", "--once", "--timeout", "2s", environ=environ, cwd=tmp_path)

    lines = [json.loads(line) for line in "".join(connector.logs).splitlines()]
    assert [line["endpoint"] for line in lines if line["event"] == "daemon_started"] == [connector.url]
    assert code == 1
    assert [line["level"] for line in map(json.loads, once.splitlines()) if line["event"] == "run_incomplete"]
