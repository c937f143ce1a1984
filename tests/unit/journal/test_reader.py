"""Entries are decoded no oftener than needed, and stay decoded only for an output that will ask for them."""

from __future__ import annotations

import asyncio

import pytest

from connector.journal import Journal, JournalOptions, codec, reader
from connector.journal.commit import encode_entries
from connector.journal.database import Database
from connector.model import Backlog, Revision
from connector.testing.journal_harness import commit_of, names_of
from tests.support.uncollected import living
from tests.unit.journal.journals import Surroundings

OPTIONS = JournalOptions(entry_revisions=500)


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """One item for every entry that was decoded."""
    counted: list[int] = []
    original = codec.from_blob

    def counting(data: bytes, *, tolerant: bool) -> object:
        counted.append(len(data))
        return original(data, tolerant=tolerant)

    monkeypatch.setattr(reader, "from_blob", counting)
    return counted


async def fill(journal: Journal, start: int, count: int) -> None:
    for first in range(start, start + count, 1000):
        await journal.commit(commit_of(*(f"m{number:06}" for number in range(first, first + 1000))))


async def read(journal: Journal, output: str, after: int, upto: int) -> int:
    while after < upto:
        entry = await journal.read(output, after)
        assert names_of(entry)[0] == f"m{after:06}"
        after = entry.last
    return after


async def test_outputs_that_follow_closely_get_what_was_collected(
    here: Surroundings, decoded: list[int]
) -> None:
    async with here.journal(OPTIONS) as journal:
        for output in ("siem", "lake"):
            await journal.attach(output, "head", Backlog())
        for start in (0, 1000, 2000):
            await fill(journal, start, 1000)
            for output in ("siem", "lake"):
                await read(journal, output, start, start + 1000)
    assert decoded == []


async def test_an_output_that_comes_shortly_behind_another_shares_its_work(
    here: Surroundings, decoded: list[int]
) -> None:
    async with here.journal(OPTIONS) as journal:
        await journal.attach("siem", "head", Backlog())
        await fill(journal, 0, 3000)
    async with here.journal(OPTIONS) as journal:
        position = {"siem": 0, "lake": 0}
        for upto in (500, 1000, 1500, 2000, 2500, 3000):
            for output, after in position.items():
                position[output] = await read(journal, output, after, upto)
    assert len(decoded) <= 7


async def test_what_one_output_alone_reads_of_a_backlog_is_not_kept(
    here: Surroundings, decoded: list[int]
) -> None:
    async with here.journal(OPTIONS) as journal:
        await journal.attach("siem", "head", Backlog())
        await fill(journal, 0, 1000)
        await read(journal, "siem", 0, 1)
        # Collection runs far ahead; only what lies near the output's place stays.
        await fill(journal, 1000, 5000)
        for _ in range(2):
            await read(journal, "siem", 3000, 6000)
    assert len(decoded) == 2 * 6


async def test_what_is_needed_first_stays_where_there_is_no_room_for_all(
    here: Surroundings, decoded: list[int]
) -> None:
    (entry,) = encode_entries(commit_of(*map(str, range(1000, 1500))), (500, 1 << 20), bytes)
    room = JournalOptions(entry_revisions=500, cache=entry.blob.raw * 5 // 2)
    async with here.journal(room) as journal:
        await journal.attach("siem", "head", Backlog())
        for start in range(0, 6000, 1000):
            # A page ahead of the output, so that two pages are four entries.
            await fill(journal, start, 1000)
            if start:
                await read(journal, "siem", start - 1000, start)
    assert len(decoded) <= 4  # of ten; all of them where the oldest went


async def test_what_is_in_memory_needs_no_other_thread(
    here: Surroundings, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with here.journal(OPTIONS) as journal:
        await journal.attach("siem", "head", Backlog())
        await fill(journal, 0, 1000)
        monkeypatch.delattr(Database, "read")
        assert await read(journal, "siem", 0, 1000) == 1000


async def test_an_output_that_left_keeps_nothing_in_memory(here: Surroundings, decoded: list[int]) -> None:
    async with here.journal(OPTIONS) as journal:
        for output in ("siem", "lake"):
            await journal.attach(output, "head", Backlog())
        await fill(journal, 0, 1000)
    async with here.journal(OPTIONS) as journal:
        await read(journal, "lake", 0, 500)
        await journal.detach("lake")
        decoded.clear()
        for _ in range(2):
            await read(journal, "siem", 0, 1000)
    assert len(decoded) == 2 * 2


async def test_what_nobody_will_ask_for_soon_is_not_kept(here: Surroundings) -> None:
    async with here.journal(OPTIONS) as journal:
        for output in ("siem", "lake", "down"):
            await journal.attach(output, "head", Backlog())
        before = await held()
        for start in range(0, 5000, 1000):
            await fill(journal, start, 1000)
            await read(journal, "siem", start, start + 1000)
            assert await held() >= before + 1000
            await read(journal, "lake", start, start + 1000)
        # What a third one has not read by far is left to the disk.
        assert await held() == before


async def held() -> int:
    """How many revisions are in memory, but for what the loop itself holds of what was read last."""
    await asyncio.sleep(0)
    return living(Revision)
