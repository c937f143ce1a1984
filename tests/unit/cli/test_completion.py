"""``completion`` prints a script that the shell accepts and that completes commands."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from click.shell_completion import ShellComplete
from click.testing import CliRunner

from connector.cli import group
from connector.cli.completion import command
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
