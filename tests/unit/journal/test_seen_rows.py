"""Seen rows are found whether they lie together or not; of many at first sight none is lost."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from connector.model import Commit, Window
from connector.testing.journal import FEED, MINUTE, START, seen_row
from tests.unit.journal.journals import Surroundings

COUNT = 130
"""More than one statement inserts, and some more."""

NAMES = [f"{number:04}-{START + timedelta(seconds=number):%Y-%m-%dT%H:%M:%S}-a" for number in range(COUNT)]
ROWS = {
    name: replace(seen_row(name, START, START), message=b"\x01" * 16, mark=b"%d" % number)
    for number, name in enumerate(NAMES)
}


@pytest.mark.parametrize(
    "asked",
    [
        [],
        NAMES,
        NAMES[40:60],
        NAMES[::-1],
        [NAMES[0], NAMES[-1]],
        [*NAMES[:3], "id without a time"],
        [*NAMES[5:9], NAMES[3].replace("-a", "-never seen")],
        ["never seen"],
    ],
    ids=lambda asked: str(len(asked)),
)
async def test_rows_are_found_among_others(here: Surroundings, asked: list[str]) -> None:
    known = {name: ROWS[name] for name in asked if name in ROWS}
    async with here.journal() as journal:
        await journal.commit(Commit(FEED, "print", seen=tuple(ROWS.values())))
        assert await journal.seen(FEED, asked) == known

        marks = {name: ROWS[name].mark if name in ROWS else b"other" for name in asked}
        window = Window(START - MINUTE, START + MINUTE)
        same, others = await journal.recognise(FEED, marks, window, START)
        assert (set(same), others) == (set(known), {})
        same, others = await journal.recognise(FEED, dict.fromkeys(asked, b"changed"), window, START)
        assert (set(same), others) == (set(), known)


async def test_a_commit_adds_rows_beside_those_that_it_changes(here: Surroundings) -> None:
    changed = replace(ROWS[NAMES[7]], number=2, occurrences={"d": 1}, digest="d", mark=b"")
    async with here.journal() as journal:
        await journal.commit(Commit(FEED, "print", seen=(ROWS[NAMES[7]], ROWS[NAMES[8]])))
        await journal.commit(Commit(FEED, "print", seen=(*ROWS.values(), changed)))
        assert await journal.seen(FEED, NAMES) == {**ROWS, NAMES[7]: changed}
        assert [(one.feed, one.seen) for one in (await journal.outline()).feeds] == [(FEED, COUNT)]
