"""The Dockerfile: linted, and everything it promises about the image is written in it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from connector import __version__
from connector.settings import load
from tests.deploy.artefacts import ROOT
from tests.image.dockerfile import stages

TEXT = (ROOT / "Dockerfile").read_text()
BUILD, IMAGE = stages(TEXT)


def test_the_linter_has_nothing_to_say() -> None:
    hadolint = Path(sys.executable).with_name("hadolint")

    done = subprocess.run([hadolint, ROOT / "Dockerfile"], capture_output=True, text=True, check=False)

    assert (done.returncode, done.stdout) == (0, "")


def test_the_linter_would_find_something(tmp_path: Path) -> None:
    (tmp_path / "Dockerfile").write_text(TEXT.replace('CMD ["run"]', "CMD run"))
    hadolint = Path(sys.executable).with_name("hadolint")

    done = subprocess.run([hadolint, tmp_path / "Dockerfile"], capture_output=True, text=True, check=False)

    assert "DL3025" in done.stdout


def test_the_image_runs_as_a_user_without_name_and_without_shell() -> None:
    assert IMAGE.user == "10001:10001"
    assert IMAGE.entrypoint + IMAGE.command == ["email-connector", "run"]
    assert IMAGE.health == ["email-connector", "status", "--health"]
    assert IMAGE.signal == "SIGTERM"
    assert not [rest for word, rest in IMAGE.steps if word == "RUN"], "the last stage only copies"


def test_the_state_directory_is_the_only_volume_and_belongs_to_the_user() -> None:
    [volume] = IMAGE.volumes
    copies = [rest for word, rest in IMAGE.steps if word == "COPY" and rest.endswith(f" {volume}")]

    assert volume == IMAGE.environment["CONNECTOR_STATE__DIRECTORY"]
    assert copies == [f"--from=build --chown=10001:0 {volume} {volume}"]


def test_its_variables_are_settings_and_leave_the_endpoint_on_loopback(tmp_path: Path) -> None:
    own = {name: value for name, value in IMAGE.environment.items() if name.startswith("CONNECTOR_")}
    (tmp_path / "token").write_text("secret\n")
    account = {
        "CLOUDFLARE_ACCOUNT_ID": "023e105f4ecef8ad9ca31a8372d0c353",
        "CLOUDFLARE_API_TOKEN_FILE": str(tmp_path / "token"),
    }

    settings = load(None, {**own, **account}).settings

    assert settings.server.listen == f"127.0.0.1:{IMAGE.ports[0]}"
    assert str(settings.state.directory) == IMAGE.volumes[0]


def test_it_says_what_it_is() -> None:
    labels = {name.removeprefix("org.opencontainers.image."): text for name, text in IMAGE.labels.items()}

    assert labels.keys() >= {"title", "description", "licenses", "version", "revision"}
    assert labels["version"] == __version__
    assert labels["licenses"] == "Apache-2.0"


def test_dependencies_are_locked_with_hashes_and_the_fast_ones_are_among_them() -> None:
    runs = " && ".join(rest for word, rest in BUILD.steps if word == "RUN").split(" && ")
    installs = [run for run in runs if "pip install" in run]
    lock = (ROOT / "requirements" / "runtime.txt").read_text()

    assert all("--require-hashes" in run or "--no-deps /dist/" in run for run in installs)
    assert "\nisal==" in lock
    assert "\nuvloop==" in lock
    assert BUILD.base == IMAGE.base
