"""What the command line answers to calls that ask for nothing it can do."""

from __future__ import annotations

import pytest

from tests.unit.cli.harness import Shell


@pytest.mark.parametrize("words", [[], ["action"], ["deadletters"], ["mapping"], ["schema"], ["state"]])
def test_without_a_command_the_help_is_no_error_text(shell: Shell, words: list[str]) -> None:
    done = shell(*words)

    assert done.code == 2
    assert done.out == ""
    assert done.err.startswith(f"Usage: {' '.join(['email-connector', *words])} ")
    assert "error:" not in done.err


def test_a_limit_of_run_once_is_refused_for_a_daemon(shell: Shell) -> None:
    done = shell("run", "--timeout", "5m", "-c", "absent.yaml")

    assert (done.code, done.err) == (
        2,
        "error: --timeout has no effect without --once (see email-connector run --help)\n",
    )
