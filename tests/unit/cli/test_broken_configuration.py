"""With a broken file, or without its secrets, on-call commands still find their connector."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from connector.app.control.server import SOCKET, ask, serve_control
from connector.cli.reload import command
from connector.errors import ConfigurationError, ConnectorError
from connector.settings import locate_state
from tests.unit.cli.harness import CONFIG, Shell, StateFolder, letter, revision

BROKEN = {
    "no token": CONFIG,
    "unknown key": CONFIG + "nonsense: 1\n",
    "syntax error": CONFIG + "outputs: [\n",
    "tab": "state: {directory: state}\nsearches:\n\tx: 1\n",
    "block": "state:\n  retain: 1h  # a comment\n  directory: 'state'\nx: [\n",
}


@pytest.mark.parametrize("text", BROKEN.values(), ids=BROKEN)
def test_the_state_directory_is_found(tmp_path: Path, text: str) -> None:
    file = tmp_path / "connector.yaml"
    file.write_text(text)

    assert locate_state(file, {}) == tmp_path / "state"
    assert locate_state(file, {"CONNECTOR_STATE__DIRECTORY": "/elsewhere"}) == Path("/elsewhere")


def test_a_reference_in_it_is_resolved_and_a_missing_one_means_the_default(tmp_path: Path) -> None:
    file = tmp_path / "connector.yaml"
    file.write_text('state: {directory: "${env:WHERE}"}\n')

    assert locate_state(file, {"WHERE": "there"}) == tmp_path / "there"
    assert locate_state(file, {"STATE_DIRECTORY": "/var/lib/x"}) == Path("/var/lib/x")


def test_a_file_that_was_named_and_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="--state"):
        locate_state(tmp_path / "nothing.yaml", {})


@pytest.mark.parametrize("text", BROKEN.values(), ids=BROKEN)
def test_state_and_dead_letters_are_shown(
    folder: StateFolder, shell: Shell, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    folder.fill([letter("siem", 1, revision("r1"))])
    (folder.directory / "connector.yaml").write_text(text)
    monkeypatch.delenv("TOKEN")

    state = shell("state", "show")
    letters = shell("deadletters", "list", "--json")

    assert (state.code, letters.code) == (0, 0), state.err + letters.err
    assert "detections" in state.out
    assert "(not configured)" not in state.out, "unknown is not the same as not configured"
    assert len(letters.objects) == 1
    assert "ignoring the invalid configuration" in state.err


def test_a_state_directory_can_be_named_without_any_configuration(
    folder: StateFolder, shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder.fill([letter("siem", 1, revision("r1"))])
    (folder.directory / "connector.yaml").write_text("nonsense: 1")
    monkeypatch.delenv("TOKEN")

    answer = shell("deadletters", "list", "--state", "state")
    purged = shell("deadletters", "purge", "--state", "state", "--all", "--yes")

    assert answer.code == 0
    assert "warning" not in answer.err, "nothing else was read"
    assert purged.code == 0
    assert folder.letters() == {}


async def test_reload_and_status_reach_a_daemon_whose_configuration_is_broken_now(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    async def reload(_: object) -> object:
        return {"problems": ["connector.yaml:1:1: unknown key"], "changes": []}

    (tmp_path / "connector.yaml").write_text("state: {directory: state}\nx: [\n")
    (tmp_path / "state").mkdir()
    monkeypatch.chdir(tmp_path)
    async with serve_control(tmp_path / "state", {"reload": reload}):
        code = await asyncio.to_thread(lambda: command.main([], standalone_mode=False))

    assert code == 2
    assert "error: connector.yaml:1:1: unknown key" in capsys.readouterr().err


@pytest.mark.parametrize("kind", ["directory", "file", "link"])
async def test_a_control_socket_that_is_none_is_named_and_left_alone(tmp_path: Path, kind: str) -> None:
    path = tmp_path / SOCKET
    if kind == "directory":
        path.mkdir()
    elif kind == "file":
        path.write_text("precious")
    else:
        path.symlink_to(tmp_path / "target")

    with pytest.raises(ConnectorError, match="is not a socket"):
        async with serve_control(tmp_path, {}):
            pass
    with pytest.raises(ConnectorError, match="no daemon is running"):
        await ask(tmp_path, "status")
    assert path.is_symlink() or path.exists()
