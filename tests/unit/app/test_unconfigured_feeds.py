"""Feeds that are no longer configured are noted where there is room; where there is none, nothing ends."""

from __future__ import annotations

from pathlib import Path

import pytest

from connector.app.collectors import note_unconfigured_feeds
from connector.errors import JournalFull
from connector.journal import Journal
from connector.model import Commit
from connector.testing.journal import FEED, seen_row
from tests.unit.journal.journals import Surroundings

NOTE = f"left out {FEED}"


async def test_a_full_disk_ends_no_reload_and_it_is_noted_when_there_is_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def full(*_: object) -> None:
        raise JournalFull("no room")

    here = Surroundings(tmp_path)
    async with here.journal() as journal:
        await journal.commit(Commit(FEED, "print", seen=(seen_row("a"),)))
        with monkeypatch.context() as disk:
            disk.setattr(Journal, "set_value", full)
            await note_unconfigured_feeds((), journal, lambda: here.now)
        assert await journal.get_value(NOTE) is None

        await note_unconfigured_feeds((), journal, lambda: here.now)
        assert await journal.get_value(NOTE) == here.now.isoformat()
