"""Fixtures of the operator's tests."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.cli.harness import CONFIG, Shell, StateFolder


@pytest.fixture
def folder(tmp_path: Path) -> StateFolder:
    """A place with a configuration; its journal does not exist yet."""
    (tmp_path / "connector.yaml").write_text(CONFIG)
    return StateFolder(tmp_path)


@pytest.fixture
def shell(
    folder: StateFolder, monkeypatch: pytest.MonkeyPatch, capsysbinary: pytest.CaptureFixture[bytes]
) -> Shell:
    """Runs commands there."""
    return Shell(folder, monkeypatch, capsysbinary)
