"""The example of an output in a distribution of its own: built, installed apart, used, and checked."""

from __future__ import annotations

import importlib.util
import json
import shutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

from connector.simulator import Simulator, running
from tests.support.process import ACCOUNT, ROOT, TOKEN, command, daemon, environment, until

pytestmark = pytest.mark.slow

EXAMPLE = ROOT / "examples" / "redis-stream-output"
PASSWORD = "canary-9d21c4"
CONFIG = """
accounts:
  prod: {{account_id: {account}, api_token: "${{env:TOKEN}}", base_url: "{base_url}"}}
searches:
  everything: {{every: 1s, start: 25h, filters: {{detections_only: false}}}}
outputs:
  soar:
    type: redis_stream
    address: "127.0.0.1:{port}"
    password: ${{env:REDIS_PASSWORD}}
    heartbeat: 10m
state: {{directory: {state}}}
server: {{listen: "127.0.0.1:0"}}
"""


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the example is installed: a directory of its own, without its dependencies."""
    source, target = tmp_path_factory.mktemp("source") / "example", tmp_path_factory.mktemp("installed")
    shutil.copytree(EXAMPLE, source)
    offline = ["--no-deps", "--no-build-isolation", "--no-index", "--disable-pip-version-check", "--quiet"]
    subprocess.run(
        [sys.executable, "-m", "pip", "install", *offline, "--target", str(target), str(source)],
        check=True,
        capture_output=True,
        timeout=100,
    )
    return target


@pytest.fixture(scope="module")
def redis() -> ModuleType:
    """The stand-in for Redis that the example brings along."""
    spec = importlib.util.spec_from_file_location("fake_redis", EXAMPLE / "fake_redis.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_it_is_installed_apart_and_known_by_its_entry_point(installed: Path, tmp_path: Path) -> None:
    assert not (installed / "connector").exists()
    environ = environment(PYTHONPATH=f"{ROOT}:{installed}")

    code, out, _ = command("schema", "config", environ=environ, cwd=tmp_path)
    assert code == 0
    assert "redis_stream" in out
    code, out, _ = command("schema", "config", environ=environment(), cwd=tmp_path)
    assert "redis_stream" not in out


def test_a_daemon_delivers_to_it(installed: Path, redis: ModuleType, tmp_path: Path) -> None:
    simulator = Simulator(backlog=200)
    poison = sorted(simulator.ledger.ids({"detections_only": False}))[7].encode()

    def verdict(event: bytes) -> str | None:
        return f"ERR cannot take {poison.decode()}" if poison in event else None

    with running(simulator) as base_url, redis.fake_redis(PASSWORD, verdict) as server:
        (tmp_path / "connector.yaml").write_text(
            CONFIG.format(account=ACCOUNT, base_url=base_url, port=server.port, state=tmp_path / "state")
        )
        environ = environment(TOKEN=TOKEN, REDIS_PASSWORD=PASSWORD, PYTHONPATH=f"{ROOT}:{installed}")
        code, out, err = command("check", environ=environ, cwd=tmp_path)
        assert code == 0, out + err
        assert "reached redis at 127.0.0.1" in out
        assert server.entries == []

        with daemon(tmp_path, environ) as connector:
            expected = simulator.ledger.ids({"detections_only": False})
            until(lambda: len(server.entries) >= len(expected), "all events but one, and a heartbeat")
            code, out, _ = command("deadletters", "list", "--json", environ=environ, cwd=tmp_path)
            assert connector.terminate() == 0
            logs = "".join(connector.logs)

    events = [json.loads(entry) for entry in server.entries]
    beats = [event for event in events if event["event"]["action"] == "heartbeat"]
    mail = [event["event"]["id"] for event in events if event not in beats]
    assert len(beats) == 1
    assert sorted(mail) == sorted(set(expected) - {poison.decode()})
    [letter] = [json.loads(line) for line in out.splitlines()]
    assert (letter["output"], letter["reason"], letter["answer"]) == ("soar", "rejected", "ERR")
    assert PASSWORD not in logs
    assert PASSWORD not in out


def test_it_passes_the_suite_as_its_author_would_run_it(installed: Path, tmp_path: Path) -> None:
    for name in ("fake_redis.py", "test_redis_stream_output.py"):
        shutil.copy(EXAMPLE / name, tmp_path)
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:asyncio", "-p", "no:cacheprovider", str(tmp_path)],
        env=environment(PYTHONPATH=f"{ROOT}:{installed}:{tmp_path}"),
        cwd=tmp_path,
        capture_output=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 0, done.stdout.decode()[-3000:]
    assert b"failed" not in done.stdout
