"""In a catch-up, commits wait for outputs that follow closely, and for no other."""

from __future__ import annotations

import asyncio

import pytest

from connector.journal import JournalOptions, codec, pacing, reader
from connector.journal.pacing import Pacing
from connector.model import Backlog
from connector.testing.journal_harness import commit_of
from tests.unit.journal.journals import Surroundings

HEAD = 3000


async def test_a_commit_waits_until_an_output_close_behind_has_read_on() -> None:
    paced = Pacing()
    paced.reading("siem", HEAD - 1000)
    waiting = asyncio.ensure_future(paced.wait(HEAD))
    for after in (HEAD - 1000, HEAD - 500):
        paced.reading("siem", after)
        await asyncio.sleep(0)
        assert not waiting.done()

    paced.reading("siem", HEAD - 125)

    await waiting


@pytest.mark.parametrize("after", [HEAD, HEAD - 250, 0 - HEAD])
async def test_no_commit_waits_for_an_output_that_is_there_or_far_away(after: int) -> None:
    paced = Pacing()
    paced.reading("siem", after)

    waiting = asyncio.ensure_future(paced.wait(HEAD))
    await asyncio.sleep(0)

    assert waiting.done()


async def test_an_output_that_stopped_reading_is_waited_for_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pacing, "_LONGEST", 0.01)
    paced = Pacing()
    paced.reading("down", HEAD - 1000)
    await paced.wait(HEAD)

    again = asyncio.ensure_future(paced.wait(HEAD))
    await asyncio.sleep(0)

    assert again.done()


async def test_nobody_waits_for_an_output_that_was_detached() -> None:
    paced = Pacing()
    paced.reading("siem", HEAD - 1000)
    waiting = asyncio.ensure_future(paced.wait(HEAD))
    await asyncio.sleep(0)

    paced.forget("siem")

    await waiting


async def test_an_output_that_is_slower_than_collection_finds_every_entry_decoded(
    here: Surroundings, monkeypatch: pytest.MonkeyPatch
) -> None:
    decoded: list[int] = []
    original = codec.from_blob

    def counting(data: bytes, *, tolerant: bool) -> object:
        decoded.append(len(data))
        return original(data, tolerant=tolerant)

    monkeypatch.setattr(reader, "from_blob", counting)
    async with here.journal(JournalOptions(entry_revisions=125)) as journal:
        position = await journal.attach("siem", "head", Backlog())

        async def collect() -> None:
            for first in range(0, 10_000, 1000):
                await journal.commit(commit_of(*(f"m{number:06}" for number in range(first, first + 1000))))

        collecting = asyncio.ensure_future(collect())
        while position < 10_000:
            position = (await journal.read("siem", position)).last
            for _ in range(200):  # turns of the loop that mapping and sending take
                await asyncio.sleep(0)
        await collecting
    assert decoded == []
