"""A full pipe behind stderr stops neither collection nor delivery nor probes."""

from __future__ import annotations

import fcntl
import json
import os
import subprocess
import sys
import urllib.request
from pathlib import Path

from connector.simulator import Simulator, running
from tests.support.collectors import free_port
from tests.support.process import ACCOUNT, TOKEN, environment, until

CONFIG = """
accounts:
  prod: {{account_id: {account}, api_token: "${{env:TOKEN}}", base_url: "{base_url}"}}
searches:
  everything: {{every: 1s, start: 1h, filters: {{detections_only: false}}}}
outputs:
  disk: {{type: file, path: events.ndjson, mapping: raw}}
state: {{directory: state}}
server: {{listen: "127.0.0.1:{port}"}}
log: {{format: json, level: debug}}
"""
PIPE = 4096


def test_a_blocked_stderr_blocks_only_the_log(tmp_path: Path) -> None:
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    events = tmp_path / "events.ndjson"

    def delivered() -> int:
        return events.read_bytes().count(b"\n") if events.exists() else 0

    with running(Simulator(backlog=20, rate=50.0)) as base_url:
        config = CONFIG.format(account=ACCOUNT, base_url=base_url, port=port)
        (tmp_path / "connector.yaml").write_text(config)
        with subprocess.Popen(
            [sys.executable, "-m", "connector", "run"],
            env=environment(TOKEN=TOKEN), cwd=tmp_path, stderr=subprocess.PIPE,
        ) as process:  # fmt: skip
            assert process.stderr is not None
            fcntl.fcntl(process.stderr, fcntl.F_SETPIPE_SZ, PIPE)
            try:
                until(lambda: delivered() >= 20, "the first events")
                before = delivered()
                until(lambda: delivered() >= before + 200, "events although nobody reads the log")
                with urllib.request.urlopen(url + "/healthz", timeout=10) as answer:
                    assert answer.status == 200
            finally:
                process.terminate()
                text = os.read(process.stderr.fileno(), PIPE)
                while piece := process.stderr.read(1 << 16):
                    text += piece
    lines = [json.loads(line) for line in text.splitlines()]
    assert lines[-1]["event"] == "daemon_stopped"
    assert process.returncode == 0
