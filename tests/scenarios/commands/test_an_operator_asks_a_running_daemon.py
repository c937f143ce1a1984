"""``status``, ``config show`` and ``check`` beside a running daemon; nothing tells the token."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from connector.simulator import Access, Simulator, running
from tests.support.process import ACCOUNT, TOKEN, command, daemon, environment, until

CONFIG = f"""
accounts:
  prod: {{account_id: {ACCOUNT}, api_token: "${{env:TOKEN}}", base_url: "${{env:BASE}}"}}
searches:
  detections: {{every: 1s}}
outputs:
  disk: {{type: file, path: events.ndjson, mapping: ecs}}
state: {{directory: state}}
server: {{listen: "127.0.0.1:0"}}
"""


def test_status_check_and_configuration(tmp_path: Path) -> None:
    simulator = Simulator(backlog=50, access=Access(tokens=frozenset({TOKEN})))
    (tmp_path / "connector.yaml").write_text(CONFIG)
    with running(simulator) as base_url:
        environ = environment(TOKEN=TOKEN, BASE=base_url)
        with daemon(tmp_path, environ) as connector:
            until(connector.ready, "readiness")
            until(lambda: connector.status()["outputs"][0]["sent"] > 0, "delivery")
            code, table, _ = command("status", environ=environ, cwd=tmp_path)
            json_code, text, _ = command("status", "--json", environ=environ, cwd=tmp_path)
            health, silence, _ = command("status", "--health", environ=environ, cwd=tmp_path)
            checked, verdicts, _ = command("check", environ=environ, cwd=tmp_path)
            metrics = connector.get("/metrics").decode()
            twice, _, in_use = command("run", "--once", environ=environ, cwd=tmp_path)
            assert connector.terminate() == 0
        shown, configuration, _ = command("config", "show", environ=environ, cwd=tmp_path)

    assert (code, json_code, health, checked, shown) == (0, 0, 0, 0, 0)
    assert "detections" in table
    assert "fresh" in table
    assert "disk" in table
    status = json.loads(text)
    assert status["ready"]
    assert status["feeds"][0]["account_name"] == "prod"
    assert silence == ""
    assert "account prod permission" in verdicts
    assert "FAIL" not in verdicts
    assert 'email_connector_events_sent_total{output="disk"}' in metrics
    assert twice == 1
    assert "in use by process" in in_use
    assert "api_token" in configuration
    everything = table + text + verdicts + metrics + in_use + configuration + "".join(connector.logs)
    assert TOKEN not in everything


def test_without_a_daemon_status_says_so_and_fails(tmp_path: Path) -> None:
    (tmp_path / "connector.yaml").write_text(CONFIG)

    code, out, err = command(
        "status", environ=environment(TOKEN=TOKEN, BASE="http://127.0.0.1:1/client/v4"), cwd=tmp_path
    )

    assert (code, out) == (1, "")
    assert "no daemon is running on the state directory" in err
    assert len(err.splitlines()) == 1


def test_a_wrong_token_is_a_failed_check_with_what_to_do(tmp_path: Path) -> None:
    simulator = Simulator(access=Access(tokens=frozenset({"another"})))
    (tmp_path / "connector.yaml").write_text(CONFIG)
    with running(simulator) as base_url:
        code, out, err = command("check", environ=environment(TOKEN=TOKEN, BASE=base_url), cwd=tmp_path)

    assert code == 1
    failed = [line for line in out.splitlines() if line.startswith("FAIL")]
    assert failed
    assert all("account prod" in line for line in failed)
    assert "Cloud Email Security: Read" in out
    assert TOKEN not in out + err


def test_a_refused_token_makes_the_daemon_unready_and_heals_when_it_is_accepted(tmp_path: Path) -> None:
    access = Access(tokens=frozenset({"another"}))
    simulator = Simulator(backlog=20, access=access)
    (tmp_path / "connector.yaml").write_text(CONFIG)
    with (
        running(simulator) as base_url,
        daemon(tmp_path, environment(TOKEN=TOKEN, BASE=base_url)) as connector,
    ):
        until(lambda: "denied" in "".join(connector.logs), "the refusal in the log")
        assert not connector.ready()
        access.tokens = frozenset({TOKEN})
        until(connector.ready, "readiness after the token was accepted")
        assert TOKEN not in "".join(connector.logs)


def test_a_probe_of_a_container_reads_no_configuration_and_loads_next_to_nothing(tmp_path: Path) -> None:
    probe = (
        "import sys; from connector.cli import group; sys.argv[1:] = ['status', '--health']\n"
        "try: group.main(standalone_mode=False)\n"
        "except Exception as error: print(type(error).__name__)\n"
        "print(sorted({'pydantic', 'httpx', 'yaml', 'rich', 'uvicorn'} & sys.modules.keys()))"
    )
    done = subprocess.run(
        [sys.executable, "-c", probe],
        env=environment(CONNECTOR_STATE__DIRECTORY=str(tmp_path), CONNECTOR_CONFIG="/no/such/file"),
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )

    assert done.stdout.splitlines() == ["NoDaemon", "[]"]
