"""``completion`` prints a script that the shell accepts and that completes commands."""

from __future__ import annotations

import asyncio
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from click.shell_completion import ShellComplete
from click.testing import CliRunner

from connector.actions.action import State
from connector.app.control.server import SOCKET, serve_control
from connector.cli import action, group
from connector.cli.completion import command
from connector.errors import ConnectorError
from connector.model import JsonObject
from tests.support.process import environment


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_script_names_the_program(shell: str) -> None:
    done = CliRunner().invoke(command, [shell])

    assert done.exit_code == 0
    assert "email-connector" in done.output


CONFIGURATION = """
accounts: {prod: {account_id: "x", api_token: "${file:/nowhere}"}}
searches: {detections: {}, everything: {}}
outputs:
  siem: {type: unknown}
  siem_backup: {}
  lake: {}
mappings: {directory: "%s"}
"""
"""Invalid on purpose, and with a secret that cannot be read: completion needs neither."""


@pytest.mark.parametrize(
    ("words", "names"),
    [
        (["tap", ""], {"lake", "siem", "siem_backup"}),
        (["tap", "sie"], {"siem", "siem_backup"}),
        (["state", "rewind", "l"], {"lake"}),
        (["state", "forget", ""], {"detections", "everything"}),
        (["backfill", "d"], {"detections"}),
        (["backfill", "detections", "--account", ""], {"prod"}),
        (["deadletters", "list", "--output", ""], {"lake", "siem", "siem_backup"}),
        (["resume", ""], {"prod", "detections", "everything", "lake", "siem", "siem_backup"}),
        (["search", "--account", "p"], {"prod"}),
        (["mapping", "apply", "e"], {"ecs"}),
        (["mapping", "apply", "my"], {"my_ecs"}),
        (["demo", "--mapping", "cef"], {"cef"}),
        (["action", "a"], {"approve"}),
        (["action", "move", "x", "--account", ""], {"prod"}),
        (["action", "move", "x", "--to", "RecoverableItemsP"], {"RecoverableItemsPurges"}),
        (["action", "list", "--status", "un"], {"unknown"}),
        (["action", "show", ""], set()),
    ],
)
def test_names_of_the_configuration_are_completed(
    words: list[str], names: set[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "my_ecs.yaml").write_text("mapping: 1")
    file = tmp_path / "connector.yaml"
    file.write_text(CONFIGURATION % tmp_path)
    monkeypatch.setenv("CONNECTOR_CONFIG", str(file))

    completion = ShellComplete(group, {}, "email-connector", "_EMAIL_CONNECTOR_COMPLETE")
    found = {item.value for item in completion.get_completions(words[:-1], words[-1])}

    assert found - {"connector"} == names


def test_without_a_readable_configuration_nothing_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "connector.yaml"
    file.write_text("outputs: [")
    completion = ShellComplete(group, {}, "email-connector", "_EMAIL_CONNECTOR_COMPLETE")

    for path in (file, tmp_path / "absent.yaml", tmp_path):
        monkeypatch.setenv("CONNECTOR_CONFIG", str(path))
        assert completion.get_completions(["tap"], "") == []


def one(number: int, action: str, state: str, **more: object) -> dict[str, object]:
    """An action as the daemon shows it."""
    named = dict.fromkeys(("pattern", "destination", "expected_disposition", "block_id"))
    fields = {**named, "action": action, "state": state, "dry_run": False, "reason": "SOC-1\x1b[2J", **more}
    return {**fields, "id": f"{number:04}{action}", "number": number}


ACTIONS = [
    one(1, "block", "succeeded", pattern="phish.example", block_id="b-1"),
    one(2, "block", "succeeded", pattern="evil.example", block_id="b-2"),
    one(3, "unblock", "succeeded", pattern="evil.example", block_id="b-2"),
    one(4, "block", "succeeded", pattern="spam.example", block_id="b-3"),
    one(5, "move", "awaiting_approval", destination="JunkEmail"),
    one(6, "release", "accepted"),
    one(7, "release", "succeeded"),
]


async def actions(request: JsonObject) -> object:
    """Pages of three actions."""
    page = [one for one in ACTIONS if isinstance(one["number"], int) and one["number"] > request["after"]][:3]
    return {"actions": page, "next": page[-1]["number"] if page else request["after"]}


@pytest.mark.parametrize(
    ("words", "ids"),
    [
        (["show", "000"], [f"{one['id']}" for one in reversed(ACTIONS)]),
        (["show", "0006"], ["0006release"]),
        (["approve", ""], ["0005move"]),
        (["cancel", ""], ["0006release", "0005move"]),
        (["unblock", "b-"], ["b-3", "b-1"]),
    ],
)  # fmt: skip
async def test_actions_of_the_running_connector_are_completed(
    words: list[str], ids: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CONNECTOR_STATE__DIRECTORY", str(tmp_path))
    completion = ShellComplete(group, {}, "email-connector", "_EMAIL_CONNECTOR_COMPLETE")

    async with serve_control(tmp_path, {"action": actions}):
        found = await asyncio.to_thread(completion.get_completions, ["action", *words[:-1]], words[-1])

    assert [item.value for item in found] == ids
    assert all(item.help and item.help.isprintable() for item in found)


async def test_without_an_answer_in_time_there_is_nothing_to_complete(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CONNECTOR_STATE__DIRECTORY", str(tmp_path))
    monkeypatch.setattr("connector.cli.names._PATIENCE", 0.1)
    completion = ShellComplete(group, {}, "email-connector", "_EMAIL_CONNECTOR_COMPLETE")

    async def refuse(_: JsonObject) -> object:
        raise ConnectorError("response actions are not configured")

    async with serve_control(tmp_path, {"action": refuse}):
        assert await asyncio.to_thread(completion.get_completions, ["action", "show"], "") == []
    with socket.socket(socket.AF_UNIX) as hanging:
        hanging.bind(str(tmp_path / SOCKET))
        hanging.listen()
        assert await asyncio.to_thread(completion.get_completions, ["action", "show"], "") == []


def test_the_command_knows_the_words_of_actions() -> None:
    assert list(State) == list(action.STATES)


@pytest.mark.skipif(shutil.which("bash") is None, reason="bash is not installed")
def test_bash_completes_commands(tmp_path: Path) -> None:
    program = tmp_path / "email-connector"
    program.write_text(
        f"#!{sys.executable}\n"
        "import sys\n"
        "from connector.cli import main\n"
        'sys.argv[0] = "email-connector"\n'
        "main()\n"
    )
    program.chmod(0o755)
    script = """
    PATH="$1:$PATH"
    eval "$(email-connector completion bash)"
    COMP_WORDS=(email-connector dea) COMP_CWORD=1
    _email_connector_completion email-connector
    echo "${COMPREPLY[@]}"
    """

    done = subprocess.run(
        ["bash", "-c", script, "bash", str(tmp_path)],
        env=environment(),
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )

    assert done.stdout.split() == ["deadletters"]
