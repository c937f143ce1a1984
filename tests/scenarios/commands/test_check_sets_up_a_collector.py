"""``check --setup`` installs the index template, then finds it; without it nothing is changed."""

from __future__ import annotations

import asyncio
from pathlib import Path

from connector.simulator import Simulator, running
from tests.support.bulk_collector import API_KEY, ENCODED, bulk_collector
from tests.support.process import ACCOUNT, TOKEN, command, environment

CONFIG = f"""
accounts:
  prod: {{account_id: {ACCOUNT}, api_token: "${{env:TOKEN}}", base_url: "${{env:BASE}}"}}
searches:
  detections: {{every: 60s}}
outputs:
  lake: {{type: elasticsearch, url: "${{env:LAKE}}", api_key: "${{env:KEY}}", mapping: ecs}}
state: {{directory: state}}
"""


async def test_the_template_is_installed_on_request_only(tmp_path: Path) -> None:
    (tmp_path / "connector.yaml").write_text(CONFIG)
    with running(Simulator(backlog=10)) as base_url:
        async with bulk_collector(authorization=f"ApiKey {ENCODED}") as lake:
            environ = environment(TOKEN=TOKEN, BASE=base_url, LAKE=lake.url, KEY=API_KEY)
            _, before, _ = await asyncio.to_thread(command, "check", environ=environ, cwd=tmp_path)
            assert lake.templates == {}

            code, out, err = await asyncio.to_thread(
                command, "check", "--setup", environ=environ, cwd=tmp_path
            )

            assert len(lake.templates) == 1
    assert code == 0
    assert "ok    setup lake: installed the index template" in out
    assert "setup" not in before
    assert API_KEY not in before + out + err
