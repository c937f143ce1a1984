"""A long rate limit: bounded, visible after a restart, ended by ``resume`` and ``state forget``."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from connector.simulator import Fault, Simulator, running
from tests.support.process import ACCOUNT, TOKEN, Daemon, command, daemon, environment, until

CONFIGURATION = """\
accounts: {{prod: {{account_id: {account}, api_token: "${{env:TOKEN}}", base_url: "{url}"}}}}
searches: {{all: {{filters: {{detections_only: false}}, start: 1h, revisit: [], every: 1s, settle: 1s}}}}
outputs: {{out: {{type: file, path: events.ndjson}}}}
state: {{directory: state}}
server: {{listen: "127.0.0.1:0"}}
"""


def paused_until(it: Daemon) -> datetime | None:
    text = it.status()["accounts"][0]["rate_limited_until"]
    return datetime.fromisoformat(text) if text else None


def delivered(tmp_path: Path) -> bool:
    events = tmp_path / "events.ndjson"
    return events.exists() and events.read_bytes().count(b"\n") == 5


def resume(tmp_path: Path, environ: dict[str, str]) -> str:
    code, _, err = command("resume", "prod", environ=environ, cwd=tmp_path)
    assert code == 0
    return err


def forget(tmp_path: Path, environ: dict[str, str]) -> str:
    code, out, err = command("state", "forget", "all", "--yes", environ=environ, cwd=tmp_path)
    assert code == 0, err
    return out + err


@pytest.mark.parametrize("end", [resume, forget])
def test_an_epoch_as_retry_after(tmp_path: Path, end: Callable[[Path, dict[str, str]], str]) -> None:
    simulator = Simulator(backlog=5, span=timedelta(minutes=30))
    far = int(time.time()) + 366 * 86_400
    environ = environment(TOKEN=TOKEN)
    with running(simulator) as url:
        (tmp_path / "connector.yaml").write_text(CONFIGURATION.format(account=ACCOUNT, url=url))
        with daemon(tmp_path, environ) as it:
            until(lambda: delivered(tmp_path), "the first events")
            simulator.behaviour.script([Fault("rate_limited", retry_after=far)])
            until(lambda: paused_until(it) is not None, "the pause in the status")
            end_of_pause = paused_until(it)
            assert end_of_pause is not None
            assert end_of_pause < datetime.now(UTC) + timedelta(hours=1, seconds=5)
            until(lambda: "retry_after_capped" in "".join(it.logs), "the capped wait in the log")
            assert b'retry_after_capped_total{account="' in it.get("/metrics")
            it.terminate()

        code, out, err = command("check", "--offline", environ=environ, cwd=tmp_path)
        assert "a rate limit of the API stops all requests until" in out + err, (code, out, err)

        with daemon(tmp_path, environ) as it:
            until(lambda: paused_until(it) is not None, "the pause in the status of the next process")
            requests = len(simulator.ledger.requests)
            end(tmp_path, environ)
            until(lambda: paused_until(it) is None, "the end of the pause in the status")
            until(lambda: len(simulator.ledger.requests) > requests, "a request")
            it.terminate()


def test_an_unknown_name_is_refused_with_a_suggestion(tmp_path: Path) -> None:
    environ: dict[str, Any] = environment(TOKEN=TOKEN)
    with running(Simulator()) as url:
        (tmp_path / "connector.yaml").write_text(CONFIGURATION.format(account=ACCOUNT, url=url))
        with daemon(tmp_path, environ) as it:
            assert it.url
            code, _, err = command("resume", "prd", environ=environ, cwd=tmp_path)
            assert (code, "did you mean prod?" in err) == (1, True)
            code, _, err = command("resume", environ=environ, cwd=tmp_path)
            assert code == 0
            assert "resumed prod/all" in err
            it.terminate()
