"""The times of ``backfill`` are checked before anything starts, and its cost is shown."""

from __future__ import annotations

import pytest

from tests.unit.cli.harness import Shell, StateFolder


@pytest.mark.parametrize(
    ("start", "problem"),
    [
        ("0001-01-01", "0001-01-01 is before 2000-01-01"),
        ("2100-01-01", "the time is in the future"),
        ("99999d", "is before 2000-01-01"),
    ],
)
def test_a_start_that_cannot_be_meant_is_refused(
    folder: StateFolder, shell: Shell, start: str, problem: str
) -> None:
    answer = shell("backfill", "detections", "--from", start)

    assert answer.code == 2
    assert problem in answer.err
    assert not (folder.directory / "state").exists()


def test_the_cost_is_shown_before_the_question(folder: StateFolder, shell: Shell) -> None:
    answer = shell("backfill", "detections", "--from", "30d", "--to", "1m", "--account", "prod")

    assert "costs at least 5 requests" in answer.err
