"""Nothing that a feed does to its seen rows gets slower with their number: all of it goes by an index."""

from __future__ import annotations

import sqlite3
from dataclasses import replace
from datetime import timedelta

import pytest

from connector.journal import seen as journal_seen
from connector.model import Backlog, Commit, Step, Window
from connector.testing.journal import FEED, START, commit_of, revision, seen_row
from tests.unit.journal.journals import Surroundings

MINUTE = timedelta(minutes=1)
LARGE = ("seen", "states")


async def test_no_statement_scans_a_table_of_millions(here: Surroundings) -> None:
    said: list[str] = []

    def listen(connection: sqlite3.Connection) -> None:
        connection.set_trace_callback(said.append)

    def plans(connection: sqlite3.Connection) -> list[tuple[str, str]]:
        connection.set_trace_callback(None)
        asked = {text for text in said if text.lstrip().startswith(("SELECT", "INSERT", "UPDATE", "DELETE"))}
        return [(row[3], text) for text in asked for row in connection.execute(f"EXPLAIN QUERY PLAN {text}")]

    async with here.journal() as journal:
        await journal._database.read(listen)
        await journal.attach("siem", "beginning", Backlog())
        await journal.commit(commit_of("a", "b", step=Step("live", None, START)))
        rows = [seen_row(f"r{at}", START + at * MINUTE, START + at * MINUTE, color=at) for at in range(9)]
        await journal.commit(Commit(FEED, "print", (revision("r0"),), tuple(rows)))
        later = tuple(replace(row, until=row.until + timedelta(hours=2)) for row in rows[:4])
        changed = replace(rows[5], state={"color": "red"}, digest="d", occurrences={"d": 1}, number=2)
        await journal.commit(Commit(FEED, "print", seen=(*later, changed)))
        assert len(await journal.seen(FEED, [row.id for row in rows])) == 9
        assert len(await journal.seen_in(FEED, Window(START + 2 * MINUTE, START + 5 * MINUTE))) == 3
        assert await journal.expire(FEED, START + 5 * MINUTE) == 4
        entry = await journal.read("siem", 0)
        await journal.acknowledge("siem", after=0, upto=entry.last)
        await journal.outline()
        await journal.forget(FEED)
        found = await journal._database.read(plans)

    assert len(found) > 20
    for table in LARGE:
        assert any(detail.startswith(f"SEARCH {table} ") for detail, _ in found), "nothing was looked at"
        assert [text for detail, text in found if detail.startswith(f"SCAN {table}")] == []


async def test_finding_rows_that_were_not_returned_looks_at_each_row_once(
    here: Surroundings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Counted in steps of the database's virtual machine: ten times the rows, ten times the steps."""
    monkeypatch.setattr(journal_seen, "LOOKED_AT_ONCE", 100)
    steps = 0

    def step() -> int:
        nonlocal steps
        steps += 1
        return 0

    taken: list[int] = []
    async with here.journal() as journal:
        await journal._database.read(lambda connection: connection.set_progress_handler(step, 10))
        for day, count in ((0, 500), (1, 5000)):
            start = START + timedelta(days=day)
            ids = {f"{day}/{number}" for number in range(count)}
            rows = tuple(seen_row(one, start + timedelta(seconds=len(one)), start) for one in sorted(ids))
            await journal.commit(Commit(FEED, "print", seen=rows))
            steps = 0
            found = await journal.seen_in(
                FEED, Window(start, start + timedelta(hours=1)), without=ids - {f"{day}/7", f"{day}/410"}
            )
            taken.append(steps)
            assert [row.id for row in found] == [f"{day}/7", f"{day}/410"]

    assert taken[1] < 12 * taken[0]
