"""The systemd unit: systemd understands it, it is locked down, and its configuration loads."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from connector.settings import load
from tests.deploy.artefacts import DEPLOY
from tests.support.programs import program

UNIT = DEPLOY / "systemd" / "email-connector.service"
TEXT = UNIT.read_text()
EXPOSED = 2.0
"""systemd-analyze's exposure of 0 to 10; below 2 is its best grade but one."""


@pytest.fixture
def analyze(tmp_path: Path) -> tuple[str, Path]:
    """The tool, and a copy of the unit whose programs are there."""
    copy = tmp_path / UNIT.name
    copy.write_text(TEXT.replace("/opt/email-connector/bin/email-connector", "/bin/true"))
    return program("systemd-analyze", "systemd", always=False), copy


def test_systemd_understands_every_line(analyze: tuple[str, Path]) -> None:
    tool, unit = analyze

    done = subprocess.run([tool, "verify", str(unit)], capture_output=True, text=True, check=False)

    assert (done.returncode, done.stderr) == (0, "")


def test_the_service_is_hardly_exposed(analyze: tuple[str, Path]) -> None:
    tool, unit = analyze

    done = subprocess.run(
        [tool, "security", "--offline=true", str(unit)], capture_output=True, text=True, check=False
    )

    found = re.search(r"Overall exposure level for \S+: ([0-9.]+)", done.stdout)
    assert found, done.stderr
    assert float(found[1]) < EXPOSED


def test_it_reloads_drains_and_does_not_restart_on_a_wrong_configuration() -> None:
    assert "ExecReload=/bin/kill -HUP $MAINPID" in TEXT
    assert "RestartPreventExitStatus=2" in TEXT
    assert "RestartForceExitStatus=SIGHUP" in TEXT, "or systemd takes the end by SIGHUP for a clean one"
    assert int(re.findall(r"^TimeoutStopSec=(\d+)s$", TEXT, re.MULTILINE)[0]) > 25 + 10
    assert "StateDirectory=email-connector" in TEXT


def test_its_configuration_names_the_credentials_of_the_unit(tmp_path: Path) -> None:
    text = (UNIT.parent / "connector.yaml").read_text()
    place = f"/run/credentials/{UNIT.name}"
    for name in re.findall(r"^LoadCredential=(\w+):", TEXT, re.MULTILINE):
        (tmp_path / name).write_text("x\n")
    copy = tmp_path / "connector.yaml"
    copy.write_text(text.replace(place, str(tmp_path)))

    made = load(copy, {"STATE_DIRECTORY": "/var/lib/email-connector"})

    assert place in text
    assert str(made.settings.state.directory) == "/var/lib/email-connector"
    assert not [note for note in made.notes if "in clear text" in note]
