"""What the tests of this room share."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from tests.unit.collect.feed_under_test import FeedUnderTest, feed_under_test


@pytest.fixture
async def feed(tmp_path: Path) -> AsyncIterator[FeedUnderTest]:
    """A feed that has not begun."""
    async with feed_under_test(tmp_path) as made:
        yield made


@pytest.fixture
def without_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    """Failures and full disks are borne without waiting: what happens is tested, not when.

    Schedules and revisits keep their pauses: a feed that runs must not spin between two of them.
    """

    async def hurry(_: float) -> None:
        await asyncio.sleep(0)

    hasty = SimpleNamespace(**{**vars(asyncio), "sleep": hurry})
    for module in ("backoff", "ingest", "backfill.runner"):
        monkeypatch.setattr(f"connector.collect.{module}.asyncio", hasty)
