"""Whatever is wrong in a configuration: a line with its place and what to do, exit 2, and no secret."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.process import ACCOUNT, TOKEN, command, environment

GOOD = f"""
accounts:
  prod: {{account_id: {ACCOUNT}, api_token: "${{env:TOKEN}}"}}
searches:
  detections: {{every: 60s}}
outputs:
  siem: {{type: stdout, mapping: ecs}}
server: {{listen: null}}
"""

CASES = {
    "an unknown key": ("every: 60s", "evry: 60s", ":5:16: ", "evry", "every"),
    "a wrong type": ("every: 60s", "every: soon", ":5:16: ", "expected a duration", "30s"),
    "a missing secret": ("${env:TOKEN}", "${env:TOKEM}", ":3:", "TOKEM", ""),
    "an unknown mapping": ("mapping: ecs", "mapping: esc", ":7:", "esc", "ecs"),
    "an unknown output": ("type: stdout", "type: stdot", ":7:", "stdot", "stdout"),
    "a wrong when": (
        "mapping: ecs",
        "mapping: ecs, when: {$severty: {gte: 5}}",
        ":7:",
        "severty",
        "severity",
    ),
    "a wrong filter": (
        "every: 60s",
        "filters: {final_dispositon: SPAM}",
        ":5:",
        "final_dispositon",
        "final_disposition",
    ),
    "a value of a filter": ("every: 60s", "filters: {final_disposition: SPAMM}", ":5:", "SPAM", ""),
    "a tab": ("  detections", "\tdetections", ":5:1: ", "tab", ""),
    "a key twice": ("server:", "outputs:\nserver:", ":8:1: ", "twice", ""),
    "a wrong account": (ACCOUNT, "12ab", ":3:", "32 hex digits", ""),
}


def run(tmp_path: Path, text: str) -> tuple[int, str, str]:
    (tmp_path / "connector.yaml").write_text(text)
    environ = environment(TOKEN=TOKEN, CONNECTOR_STATE__DIRECTORY=str(tmp_path / "state"))
    return command("run", "--once", environ=environ, cwd=tmp_path)


@pytest.mark.parametrize("case", CASES)
def test_the_place_the_word_and_the_way_out(case: str, tmp_path: Path) -> None:
    old, new, *expected = CASES[case]
    assert old in GOOD

    code, out, err = run(tmp_path, GOOD.replace(old, new, 1))

    assert (code, out) == (2, "")
    (line,) = err.splitlines()
    # Once the format of the log is known, this is a line of the log: JSON where stderr is no terminal.
    problem = json.loads(line)["error"] if line.startswith("{") else line.removeprefix("error: ")
    assert problem.startswith("connector.yaml:")
    assert all(text in problem for text in expected), problem
    assert TOKEN not in err
    assert not (tmp_path / "state").exists(), "nothing was opened"


def test_a_mapping_file_that_is_wrong_is_named_with_its_own_place(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text(
        "mapping: 1\nformat: ecs\nextends: ecs\nfields:\n  event.severity: $severty\n"
    )
    text = GOOD.replace("mapping: ecs", "mapping: mine") + "mappings: {directory: .}\n"

    code, _, err = run(tmp_path, text)

    assert code == 2
    assert "mine.yaml:5:" in err
    assert "$severity" in err


def test_an_unknown_variable_is_named_with_the_nearest(tmp_path: Path) -> None:
    (tmp_path / "connector.yaml").write_text(GOOD)
    environ = environment(TOKEN=TOKEN, CONNECTOR_OUTPUTS__SIEM__MAPING="cef")

    code, _, err = command("check", "--offline", environ=environ, cwd=tmp_path)

    assert code == 2
    assert "CONNECTOR_OUTPUTS__SIEM__MAPING" in err
    assert "mapping" in err.lower()


@pytest.mark.parametrize(
    "words",
    [
        "check --offline",
        "run --once",
        "state show",
        "deadletters list",
        "quarantine list",
        "backfill detections --from 1d --yes",
    ],
)
def test_a_driver_that_is_not_installed_is_named(words: str, tmp_path: Path) -> None:
    postgres = (
        GOOD.replace("ecs}", "ecs, pinned_to: here}") + "state:\n  postgres: {url: 'postgresql://u@db/x'}\n"
    )
    (tmp_path / "connector.yaml").write_text(postgres)
    without_driver = "import sys; sys.modules['psycopg'] = None; from connector.cli import main; main()"

    done = subprocess.run(
        [sys.executable, "-c", without_driver, *words.split()],
        env=environment(TOKEN=TOKEN, STATE_DIRECTORY=str(tmp_path)),
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 2
    line = done.stderr.splitlines()[-1]
    assert "state.postgres: the PostgreSQL driver is not installed" in line
    assert "pip install 'cloudflare-email-connector[postgres]'" in line
