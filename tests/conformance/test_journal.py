"""The SQLite journal keeps the contract of the journal protocols."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from connector.journal import Journal, JournalOptions
from connector.testing.journal import CHECKS, Check


@pytest.mark.parametrize("cache", [0, 4 << 20], ids=["without cache", "with cache"])
@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
async def test_contract(check: Check, cache: int, tmp_path: Path) -> None:
    await check(
        lambda: Journal.open(
            tmp_path,
            observe=lambda _: None,
            clock=lambda: datetime.now(UTC),
            options=JournalOptions(cache=cache),
        )
    )
