"""How causes of gaps are stored: by their public value, and texts of other versions stay readable."""

from __future__ import annotations

import sqlite3

import pytest

from connector.journal.journal import FILE
from connector.model import Backlog, Gap, GapCause, Step, Window
from connector.testing.journal import FEED, MINUTE, START, commit_of
from tests.unit.journal.journals import Surroundings

WINDOW = Window(START, START + MINUTE)


@pytest.mark.parametrize(
    ("gap", "reason"),
    [
        (Gap(WINDOW, GapCause.RETENTION, "live"), "retention (live)"),
        (Gap(WINDOW, GapCause.NOT_CONFIGURED), "not configured"),
        (Gap(WINDOW, GapCause.OTHER, "the disk (old) was full"), "the disk (old) was full"),
    ],
)
def test_a_reason_is_read_back_as_it_was(gap: Gap, reason: str) -> None:
    assert gap.reason == reason
    assert Gap.of_reason(WINDOW, reason) == gap


async def test_a_gap_of_another_version_is_shown_and_can_be_repaired(here: Surroundings) -> None:
    async with here.journal() as journal:
        await journal.attach("siem", "head", Backlog())
        gap = Gap(WINDOW, GapCause.RETENTION, "live")
        await journal.commit(commit_of("a", step=Step("live", None, START, gap)))
    with sqlite3.connect(here.directory / FILE) as connection:
        connection.execute("UPDATE gaps SET cause = 'the moon (full)'")
    connection.close()
    async with here.journal() as journal:
        (old,) = (await journal.progress(FEED)).gaps
        assert (old.cause, old.reason) == (GapCause.OTHER, "the moon (full)")
        await journal.repaired(FEED, old, WINDOW)
        assert (await journal.progress(FEED)).gaps == ()
