"""Full disks, closed streams, taken ports and wrong hosts: one line and an exit code, never a traceback."""

from __future__ import annotations

import socket
import subprocess
import sys
from pathlib import Path

import pytest

from connector.simulator import Simulator, running
from tests.support.process import ACCOUNT, TOKEN, command, environment

CONFIG = f"""
accounts:
  prod: {{account_id: {ACCOUNT}, api_token: "${{env:TOKEN}}", base_url: "${{env:BASE}}"}}
outputs:
  disk: {{type: file, path: events.ndjson}}
state: {{directory: state}}
server: {{listen: null}}
"""


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
@pytest.mark.parametrize(
    "arguments",
    [
        ["--help"],
        ["config", "show"],
        ["search", "--limit", "all"],
        ["schema", "config"],
        ["check", "--offline"],
    ],
    ids=" ".join,
)
def test_output_to_a_full_disk(tmp_path: Path, arguments: list[str]) -> None:
    (tmp_path / "connector.yaml").write_text(CONFIG)
    with running(Simulator(backlog=50)) as base_url, Path("/dev/full").open("wb") as full:
        done = subprocess.run(
            [sys.executable, "-m", "connector", *arguments],
            env=environment(TOKEN=TOKEN, BASE=base_url),
            cwd=tmp_path,
            stdout=full,
            stderr=subprocess.PIPE,
            timeout=60,
            check=False,
        )

    last = done.stderr.decode().splitlines()[-1]
    assert (done.returncode, last) == (1, "error: cannot write the output: No space left on device")
    assert b"Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("arguments", "code", "last"),
    [
        ("config show >&-", 1, "error: cannot write the output: Bad file descriptor"),
        ("check --offline >&-", 1, "error: cannot write the output: Bad file descriptor"),
        ("--help >&-", 1, "error: cannot write the output: Bad file descriptor"),
        ("init -o - <&-", 2, "error: name a collector: "),
        ("config show 2>&-", 0, ""),
        ("config show -c none.yaml <&- >&- 2>&-", 2, ""),
        ("run --once >&-", 0, '"event":"daemon_stopped"'),
        ("run --once <&- >&- 2>&-", 0, ""),
    ],
)
def test_streams_that_are_closed_at_the_start(tmp_path: Path, arguments: str, code: int, last: str) -> None:
    (tmp_path / "connector.yaml").write_text(CONFIG)
    with running(Simulator(backlog=50)) as base_url:
        done = subprocess.run(
            ["/bin/sh", "-c", f"exec {sys.executable} -m connector {arguments}"],
            env=environment(TOKEN=TOKEN, BASE=base_url),
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    assert (done.returncode, "Traceback" in done.stderr) == (code, False)
    assert last in "".join(done.stderr.splitlines()[-1:])
    if arguments.startswith("run"):
        assert (tmp_path / "events.ndjson").stat().st_size


def test_a_port_in_use_is_one_line(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        answer = command("simulate", "--port", str(port), environ=environment(), cwd=tmp_path)

    assert answer == (1, "", f"error: cannot listen on 127.0.0.1:{port}: Address already in use\n")


@pytest.mark.parametrize(
    ("arguments", "code", "text"),
    [
        (["--port", "70000"], 2, "error: Invalid value for '--port': 70000"),
        (["--rate", "-1"], 2, "error: Invalid value for '--rate': -1"),
        (["--host", "no.such.host.invalid"], 1, "error: cannot listen on no.such.host.invalid:8787: "),
        (["--host", "a" * 70 + ".example"], 1, "error: cannot listen on "),
        (["--prot", "1"], 2, "error: No such option"),
    ],
)
def test_a_wrong_port_or_host_is_one_line(tmp_path: Path, arguments: list[str], code: int, text: str) -> None:
    answer, out, err = command("simulate", *arguments, environ=environment(), cwd=tmp_path)

    assert (answer, out) == (code, "")
    assert err.startswith(text)
    assert len(err.splitlines()) == 1


def test_a_hint_that_contains_a_value_of_the_environment_is_not_masked(
    tmp_path: Path,
) -> None:
    (tmp_path / "connector.yaml").write_text(CONFIG.replace("listen: null", 'listen: "${env:LISTEN}"'))
    environ = environment(TOKEN=TOKEN, BASE="http://127.0.0.1:1", LISTEN=":9464")
    code, _, err = command("config", "show", environ=environ, cwd=tmp_path)

    assert code == 2
    assert "such as 127.0.0.1:9464 or [::1]:9464" in err
