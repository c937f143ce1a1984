"""Delivery over the real journal: dead letters, replays, rewinds and restarts."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from connector.delivery import Deliverer, Options
from connector.journal import Journal
from connector.model import Backlog, Commit, Event, Limits, Receipt, Revision
from connector.testing.scripted import ScriptedOutput, hang, refusing
from tests.support.jumping_loop import run, wall_clock
from tests.unit.delivery.world import FEED, Notebook, plain, revisions


@asynccontextmanager
async def delivering(
    journal: Journal, output: ScriptedOutput, mapper: Callable[[Revision], Event | None] = plain
) -> AsyncIterator[Deliverer]:
    """A deliverer over *journal* that is cancelled at the end."""

    async def head() -> int:
        return (await journal.outline()).head

    clock = wall_clock(asyncio.get_running_loop())
    deliverer = Deliverer(
        "siem", output, journal, mapper, Notebook(), clock, options=Options(start="beginning"), head=head
    )
    task = asyncio.create_task(deliverer.run())
    try:
        yield deliverer
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


@asynccontextmanager
async def opened(directory: Path) -> AsyncIterator[Journal]:
    """The journal in *directory*."""
    clock = wall_clock(asyncio.get_running_loop())
    async with Journal.open(directory, observe=Notebook(), clock=clock) as journal:
        yield journal


async def at_head(journal: Journal) -> None:
    """Wait until the output is done with everything."""
    while True:
        outline = await journal.outline()
        if outline.outputs and outline.outputs[0].backlog == 0:
            return
        await asyncio.sleep(0.05)


def test_a_dead_letter_is_stored_whole_and_its_replay_is_delivered(tmp_path: Path) -> None:
    async def story() -> None:
        cured = False
        culprit = refusing(lambda event: event.payload == b"3" and not cured)
        output = ScriptedOutput(then=culprit)
        async with opened(tmp_path) as journal, delivering(journal, output):
            await journal.commit(Commit(FEED, "f", revisions(5)))
            await at_head(journal)
            letters = await journal.letters("siem")
            assert [(each.sequence, each.revision.record.id) for _, each in letters] == [(3, "3")]
            assert output.identities == ["1", "2", "4", "5"]

            cured = True
            assert await journal.settle([letters[0][0]], "replay") == 1
            await at_head(journal)

        assert output.identities == ["1", "2", "4", "5", "3"]

    run(story(), grace=0.01)


def test_a_restart_goes_on_where_the_last_acknowledgement_was(tmp_path: Path) -> None:
    async def story() -> None:
        first = ScriptedOutput([Receipt(), hang], limits=Limits(events=2, linger=0.0))
        async with opened(tmp_path) as journal:
            await journal.attach("siem", "beginning", Backlog())
            await journal.commit(Commit(FEED, "f", revisions(6)))
            async with delivering(journal, first) as deliverer:
                await asyncio.sleep(60)
                assert deliverer.state.position == 2
                assert deliverer.state.in_flight == 2
        second = ScriptedOutput(limits=Limits(events=2, linger=0.0))
        async with opened(tmp_path) as journal, delivering(journal, second) as deliverer:
            assert await deliverer.drain(25)

        assert second.identities == ["3", "4", "5", "6"]

    run(story(), grace=0.01)


def test_a_rewind_through_the_journal_reaches_an_idle_output(tmp_path: Path) -> None:
    async def story() -> None:
        output = ScriptedOutput([hang])
        async with opened(tmp_path) as journal, delivering(journal, output):
            await journal.commit(Commit(FEED, "f", revisions(2)))
            await asyncio.sleep(5)
            assert await journal.rewind("siem", 0) == 0
            await at_head(journal)

        assert output.sends == [["1", "2"], ["1", "2"]]
        assert output.misuses == []

    run(story(), grace=0.01)
