"""Cancellation: a writer's outcome is known before it ends, a reader leaves no trace."""

from __future__ import annotations

import asyncio

import pytest

from connector.facts import JournalCommitted
from connector.model import Backlog
from connector.testing.journal import FEED, commit_of, names_of
from tests.unit.journal.journals import Surroundings


@pytest.mark.parametrize("turns", range(6))
async def test_a_cancelled_commit_is_durable_when_the_cancellation_arrives(
    here: Surroundings, turns: int
) -> None:
    async with here.journal() as journal:
        await journal.attach("siem", "head", Backlog())
        reading = asyncio.ensure_future(journal.read("siem", 0))
        committing = asyncio.ensure_future(journal.commit(commit_of("a")))
        for _ in range(turns + 1):
            await asyncio.sleep(0)
        committing.cancel()
        await asyncio.sleep(0)
        committing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await committing
        assert len(here.reported(JournalCommitted)) == 1
        assert names_of(await reading) == ["a"]
    async with here.journal() as journal:
        assert set(await journal.seen(FEED, ["a"])) == {"a"}


async def test_a_cancelled_commit_that_fails_ends_as_cancelled(here: Surroundings) -> None:
    async with here.journal() as journal:
        await journal.attach("siem", "head", Backlog(max_bytes=0))
        await journal.commit(commit_of("a"))
        committing = asyncio.ensure_future(journal.commit(commit_of("b")))
        await asyncio.sleep(0)
        committing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await committing
        assert await journal.seen(FEED, ["b"]) == {}


async def test_closing_waits_for_what_was_handed_over(here: Surroundings) -> None:
    async with here.journal() as journal:
        committing = [asyncio.ensure_future(journal.commit(commit_of(f"r{number}"))) for number in range(20)]
        await asyncio.sleep(0)
    await asyncio.gather(*committing)
    async with here.journal() as journal:
        assert (await journal.outline()).head == 20


async def test_many_cancelled_readers_leave_the_next_one_unharmed(here: Surroundings) -> None:
    async with here.journal() as journal:
        await journal.attach("siem", "head", Backlog())
        await journal.commit(commit_of("a", "b"))
        for turns in range(8):
            reading = asyncio.ensure_future(journal.read("siem", 0))
            for _ in range(turns):
                await asyncio.sleep(0)
            reading.cancel()
            await asyncio.gather(reading, return_exceptions=True)
        assert names_of(await journal.read("siem", 0)) == ["a", "b"]


async def test_commits_at_the_same_time_get_numbers_without_holes(here: Surroundings) -> None:
    async with here.journal() as journal:
        await journal.attach("siem", "head", Backlog())
        await asyncio.gather(*(journal.commit(commit_of(f"{number}a", f"{number}b")) for number in range(30)))
        position, names = 0, []
        while position < 60:
            entry = await journal.read("siem", position)
            assert entry.first == position + 1
            names += names_of(entry)
            position = entry.last
        assert sorted(names) == sorted(f"{number}{part}" for number in range(30) for part in "ab")
