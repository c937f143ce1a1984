"""Fixtures of the journal's tests."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.journal.journals import Surroundings


@pytest.fixture
def here(tmp_path: Path) -> Surroundings:
    """A place for a journal that does not exist yet."""
    return Surroundings(tmp_path / "state")
