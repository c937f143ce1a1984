"""A search whose source changes would go on at the checkpoint of another list: every command refuses it."""

from __future__ import annotations

from pathlib import Path

import pytest

from connector.simulator import Simulator, running
from tests.support.process import ACCOUNT, TOKEN, command, daemon, environment, until

CONFIG = """
accounts:
  prod: {account_id: %s, api_token: "${env:TOKEN}", base_url: "%s"}
searches:
  reports: {start: 25h, %s}
outputs:
  disk: {type: file, path: events.ndjson, mapping: raw}
state: {directory: state}
server: {listen: "127.0.0.1:0"}
"""
MESSAGES, SUBMISSIONS = "source: investigate", "source: submissions"
WRONG = "connector.yaml:5:33: searches.reports.source: reports on prod has read submissions so far"


@pytest.mark.slow
def test_every_command_refuses_another_source_until_the_search_is_forgotten(tmp_path: Path) -> None:
    environ = environment(TOKEN=TOKEN)

    def configure(search: str) -> None:
        (tmp_path / "connector.yaml").write_text(CONFIG % (ACCOUNT, url, search))

    def run(*arguments: str, code: int) -> str:
        got, out, err = command(*arguments, environ=environ, cwd=tmp_path)
        assert got == code, out + err
        assert "Traceback" not in err
        return out + err

    with running(Simulator(backlog=20)) as url:
        configure(SUBMISSIONS)
        run("run", "--once", code=0)
        configure(MESSAGES)
        refused = [
            run("run", "--once", code=2),
            run("run", code=2),
            run("backfill", "reports", "--from", "2d", "--yes", code=2),
            run("check", "--offline", code=1),
        ]
        configure(SUBMISSIONS)
        with daemon(tmp_path, environ) as started:
            until(started.ready, "the daemon")
            configure(MESSAGES)
            refused += [run("reload", code=2), run("check", "--offline", code=1)]
            assert started.ready()
        for text in refused:
            assert WRONG in text
            assert "email-connector state forget reports" in text

        run("state", "forget", "reports", "--yes", code=0)
        run("check", "--offline", code=0)
        run("run", "--once", code=0)
    assert '"final_disposition"' in (tmp_path / "events.ndjson").read_text()
