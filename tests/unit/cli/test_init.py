"""``init`` writes configurations that load, name every secret to set, and contain none."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from connector.cli.init import command
from connector.errors import ConnectorError
from connector.ops.init import RECIPES
from connector.settings import load

ACCOUNT = "023e105f4ecef8ad9ca31a8372d0c353"
PAGES = Path(__file__).parents[3]


def run(*arguments: str, text: str | None = None) -> Result:
    return CliRunner().invoke(command, list(arguments), input=text)


def options(collector: str) -> list[str]:
    answers = [
        (f"--{question.key.replace('_', '-')}", question.example) for question in RECIPES[collector].questions
    ]
    return [collector, "--account-id", ACCOUNT, *(part for pair in answers for part in pair)]


@pytest.mark.parametrize("collector", RECIPES)
def test_every_recipe_loads_as_it_is_written(collector: str, tmp_path: Path) -> None:
    file = tmp_path / "connector.yaml"

    done = run(*options(collector), "-o", str(file))

    assert done.exit_code == 0, done.output
    names = ["cloudflare_api_token", *RECIPES[collector].secrets]
    loaded = load(file, {name.upper(): "x" for name in names})
    assert len(loaded.settings.outputs) == 1
    assert loaded.settings.accounts["default"].account_id == ACCOUNT
    assert all(name.upper() in done.output for name in names)
    assert (PAGES / RECIPES[collector].page).exists()


def test_secrets_in_files_are_referred_to_by_path(tmp_path: Path) -> None:
    file = tmp_path / "connector.yaml"

    done = run(*options("splunk"), "--secrets", "file", "-o", str(file))

    assert done.exit_code == 0
    assert "${file:/run/secrets/splunk_hec_token}" in file.read_text()
    assert "/run/secrets/cloudflare_api_token" in done.output


def test_the_configuration_goes_to_stdout_on_request() -> None:
    done = run(*options("stdout"), "-o", "-")

    assert done.exit_code == 0
    assert done.stdout.startswith("# Cloudflare Email Security to ")
    assert "then: email-connector check" in done.stderr


@pytest.mark.parametrize("collector", sorted(RECIPES))
def test_the_next_step_prepares_collectors_that_need_it(collector: str) -> None:
    done = run(*options(collector), "-o", "-")

    [step] = [line for line in done.stderr.splitlines() if line.startswith("then: ")]
    assert ("--setup" in step) == (collector in {"elasticsearch", "opensearch"})


def test_a_file_in_a_missing_directory_is_one_line(tmp_path: Path) -> None:
    done = run(*options("stdout"), "-o", str(tmp_path / "missing" / "connector.yaml"))

    assert isinstance(done.exception, ConnectorError)
    assert str(done.exception) == f"cannot write {tmp_path}/missing/connector.yaml: No such file or directory"


def test_a_disk_that_is_full_leaves_no_empty_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "connector.yaml"
    written = Path.write_text

    def write_text(path: Path, text: str, encoding: str) -> int:
        if path != file:
            return written(path, text, encoding)
        path.touch()
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_text", write_text)
    done = run(*options("stdout"), "-o", str(file))

    assert str(done.exception) == f"cannot write {file}: No space left on device"
    assert not file.exists()


def test_an_existing_file_is_kept_unless_forced(tmp_path: Path) -> None:
    file = tmp_path / "connector.yaml"
    file.write_text("mine")

    refused = run(*options("stdout"), "-o", str(file))
    kept = file.read_text()
    forced = run(*options("stdout"), "-o", str(file), "--force")

    assert (refused.exit_code, kept) == (2, "mine")
    assert "--force" in refused.output
    assert forced.exit_code == 0
    assert file.read_text() != "mine"


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ([], "name a collector: arcsight, elasticsearch"),
        (["splnk"], "'splnk' is not one of"),
        (["splunk"], "splunk needs --account-id, --url"),
        (["splunk", "--account-id", ACCOUNT, "--url", "splunk"], "URL"),
        (["splunk", "--account-id", "12", "--url", "https://splunk.example"], "32 hex digits"),
        (["qradar", "--account-id", ACCOUNT, "--address", "qradar.example"], "://"),
        (["stdout", "--account-id", ACCOUNT, "--url", "https://x.example"], "--url has no effect for stdout"),
    ],
)
def test_wrong_usage_is_one_line_and_writes_nothing(
    arguments: list[str], expected: str, tmp_path: Path
) -> None:
    file = tmp_path / "connector.yaml"

    done = run(*arguments, "-o", str(file))

    assert done.exit_code == 2
    assert expected in done.output
    assert not file.exists()


def test_an_answer_cannot_change_the_structure(tmp_path: Path) -> None:
    file = tmp_path / "connector.yaml"

    done = run("file", "--account-id", ACCOUNT, "--path", 'a"\nserver: {listen: null}', "-o", str(file))

    assert done.exit_code == 0, done.output
    loaded = load(file, {"CLOUDFLARE_API_TOKEN": "x"})
    assert loaded.settings.server.listen is not None
