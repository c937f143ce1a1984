"""Fixtures of the operator's tests."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.app.books import CONFIG, Books, Shell


@pytest.fixture
def books(tmp_path: Path) -> Books:
    """A place with a configuration; its journal does not exist yet."""
    (tmp_path / "connector.yaml").write_text(CONFIG)
    return Books(tmp_path)


@pytest.fixture
def shell(books: Books, monkeypatch: pytest.MonkeyPatch, capsysbinary: pytest.CaptureFixture[bytes]) -> Shell:
    """Runs commands there."""
    return Shell(books, monkeypatch, capsysbinary)
