"""An account is taken out of the configuration and put back: its searches go on, and say what they skip."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

from connector.simulator import Simulator, running
from tests.support.process import ACCOUNT, TOKEN, command, environment

OTHER = "f" * 32
PROD = f'prod: {{account_id: {ACCOUNT}, api_token: "${{env:TOKEN}}", base_url: "%(url)s"}}'
LAB = f'lab: {{account_id: {OTHER}, api_token: "${{env:TOKEN}}", base_url: "%(url)s"}}'
CONFIG = """
accounts:
  {accounts}
searches:
  all: {{every: 1s, start: {start}, filters: {{detections_only: false}}, revisit: []}}
outputs:
  disk: {{type: file, path: events.ndjson, mapping: raw}}
state: {{directory: state}}
server: {{listen: null}}
"""


def test_an_absence_longer_than_start_is_a_gap_and_the_account_that_stayed_has_none(tmp_path: Path) -> None:
    environ = environment(TOKEN=TOKEN)

    def run(*accounts: str, start: str) -> None:
        text = CONFIG.format(accounts="\n  ".join(accounts), start=start) % {"url": url}
        (tmp_path / "connector.yaml").write_text(text)
        code, _, reported = command("run", "--once", environ=environ, cwd=tmp_path)
        assert code == 0, reported
        logs.append(reported)

    def feeds() -> dict[str, Any]:
        code, out, _ = command("state", "show", "--json", environ=environ, cwd=tmp_path)
        assert code == 0
        return {feed["account"]: feed for feed in json.loads(out)["feeds"]}

    logs: list[str] = []
    with running(Simulator(backlog=20)) as url:
        run(PROD, LAB, start="25h")
        read = feeds()[OTHER]["checkpoints"]["live"]
        run(PROD, start="25h")
        time.sleep(1.1)  # The absence has to be longer than the whole second that ``start`` means below.
        run(PROD, LAB, start="0s")
        after = feeds()

    assert after[ACCOUNT]["gaps"] == []
    (gap,) = after[OTHER]["gaps"]
    assert (gap["start"], gap["cause"]) == (read, "not configured")
    assert "email-connector backfill all --from" in logs[-1]
    ids = [json.loads(line)["id"] for line in (tmp_path / "events.ndjson").read_text().splitlines()]
    assert len(ids) == 40
