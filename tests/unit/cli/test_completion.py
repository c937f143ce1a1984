"""``completion`` prints a script that the shell accepts and that completes commands."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from connector.cli.completion import command
from tests.support.process import environment


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_script_names_the_program(shell: str) -> None:
    done = CliRunner().invoke(command, [shell])

    assert done.exit_code == 0
    assert "email-connector" in done.output


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
