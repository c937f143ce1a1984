"""Delivery over the real journal: dead letters, replays, rewinds and restarts."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Literal

import pytest

from connector.delivery import Deliverer, DeliveryOptions
from connector.errors import DeadLettersFull
from connector.journal import Journal
from connector.model import Backlog, Commit, Event, Limits, Receipt, Revision
from connector.testing.journal import letter
from connector.testing.scripted import ScriptedOutput, hang, refusing
from tests.support.jumping_loop import run, wall_clock
from tests.unit.delivery.fakes import FEED, FactRecorder, plain, revisions


@asynccontextmanager
async def delivering(
    journal: Journal,
    output: ScriptedOutput,
    mapper: Callable[[Revision], Event | None] = plain,
    backlog: Backlog = Backlog(),  # noqa: B008, it is frozen
) -> AsyncIterator[Deliverer]:
    """A deliverer over *journal* that is cancelled at the end."""

    async def head() -> int:
        return (await journal.outline()).head

    clock = wall_clock(asyncio.get_running_loop())
    deliverer = Deliverer(
        "siem",
        output,
        journal,
        mapper,
        FactRecorder(),
        clock,
        options=DeliveryOptions(start="beginning", backlog=backlog),
        head=head,
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
    async with Journal.open(directory, observe=FactRecorder(), clock=clock) as journal:
        yield journal


async def at_head(journal: Journal) -> None:
    """Wait until the output is done with everything."""
    while True:
        outline = await journal.outline()
        if outline.outputs and outline.outputs[0].backlog == 0:
            return
        await asyncio.sleep(0.05)


def test_a_dead_letter_is_stored_whole_and_its_replay_is_delivered(tmp_path: Path) -> None:
    async def scenario() -> None:
        cured = False
        culprit = refusing(lambda event: event.payload == b"3" and not cured)
        output = ScriptedOutput(then=culprit)
        async with opened(tmp_path) as journal, delivering(journal, output):
            await journal.commit(Commit(FEED, "f", revisions(5)))
            await at_head(journal)
            letters = await journal.dead_letters("siem")
            assert [(each.sequence, each.revision.record.id) for _, each in letters] == [(3, "3")]
            assert output.identities == ["1", "2", "4", "5"]

            cured = True
            assert await journal.resolve_dead_letters([letters[0][0]], "replay") == 1
            await at_head(journal)

        assert output.identities == ["1", "2", "4", "5", "3"]

    run(scenario(), grace=0.01)


def test_a_restart_goes_on_where_the_last_acknowledgement_was(tmp_path: Path) -> None:
    async def scenario() -> None:
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

    run(scenario(), grace=0.01)


def test_a_rewind_through_the_journal_reaches_an_idle_output(tmp_path: Path) -> None:
    async def scenario() -> None:
        output = ScriptedOutput([hang])
        async with opened(tmp_path) as journal, delivering(journal, output):
            await journal.commit(Commit(FEED, "f", revisions(2)))
            await asyncio.sleep(5)
            assert await journal.rewind("siem", 0) == 0
            await at_head(journal)

        assert output.sends == [["1", "2"], ["1", "2"]]
        assert output.contract_violations == []

    run(scenario(), grace=0.01)


@pytest.mark.parametrize("action", ["purge", "replay"])
def test_an_output_with_as_many_dead_letters_as_it_may_keep_holds_until_an_operator_looked(
    tmp_path: Path, action: Literal["purge", "replay"]
) -> None:
    async def scenario() -> None:
        cured = False
        output = ScriptedOutput(
            then=lambda events: Receipt(
                {index: "no" for index, event in enumerate(events) if event.payload != b"5" and not cured}
            ),
            limits=Limits(events=3, linger=0.0),
        )
        async with (
            opened(tmp_path) as journal,
            delivering(journal, output, backlog=Backlog(max_dead_letters=2)) as deliverer,
        ):
            await journal.commit(Commit(FEED, "f", revisions(9)))
            await asyncio.sleep(7200)
            assert "has 5 dead letters, and its limit is 2" in (deliverer.state.hold or "")
            assert deliverer.state.position == 6
            sends = len(output.sends)
            await asyncio.sleep(7200)
            assert len(output.sends) == sends

            cured = True
            numbers = [number for number, _ in await journal.dead_letters("siem")]
            assert numbers
            await journal.resolve_dead_letters(numbers, action)
            await at_head(journal)
            assert deliverer.state.hold is None
            left = [letter.revision.record.id for _, letter in await journal.dead_letters("siem")]

        assert left == ["7", "8", "9"]
        assert output.identities == (["5", "1", "2", "3", "4", "6"] if action == "replay" else ["5"])

    run(scenario(), grace=0.01)


def test_dead_letters_of_one_output_are_no_hold_of_another(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with opened(tmp_path) as journal:
            for name, most in (("siem", 1), ("lake", 10)):
                await journal.attach(name, "beginning", Backlog(max_dead_letters=most))
            found = revisions(3)
            await journal.commit(Commit(FEED, "f", found))
            for name in ("siem", "lake"):
                await journal.acknowledge(name, after=0, upto=1, dead=[letter(name, 1, found[0])])
            with pytest.raises(DeadLettersFull, match="siem has 1"):
                await journal.acknowledge("siem", after=1, upto=2, dead=[letter("siem", 2, found[1])])
            await journal.acknowledge("siem", after=1, upto=2)
            await journal.acknowledge("lake", after=1, upto=2, dead=[letter("lake", 2, found[1])])

    run(scenario(), grace=0.01)
