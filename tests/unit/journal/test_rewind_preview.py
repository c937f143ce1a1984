"""What a rewind would do is told exactly; a forgotten feed's walk under way cannot write any more."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from connector.errors import JournalError, Moved
from connector.journal import Journal, JournalOptions
from connector.model import Backlog, Step
from connector.testing.journal import FEED, START, commit_of, letter, revision
from tests.unit.journal.journals import Surroundings

KEEP_AN_HOUR = JournalOptions(retain=timedelta(hours=1))


async def _read_again(journal: Journal, output: str, position: int, upto: int) -> int:
    """How many revisions *output* reads for itself between two positions."""
    count = 0
    while position < upto:
        entry = await journal.read(output, position)
        last = min(entry.last, upto)
        count += (last - position) if entry.only in (None, output) else 0
        position = last
    return count


async def test_it_counts_what_the_output_would_read(here: Surroundings) -> None:
    async with here.journal(KEEP_AN_HOUR) as journal:
        for output in ("siem", "lake"):
            await journal.attach(output, "head", Backlog())
        await journal.commit(commit_of("a", "b", "c"))
        for output in ("siem", "lake"):
            dead = [letter(output, number, revision("a")) for number in (1, 2)]
            await journal.acknowledge(output, after=0, upto=3, dead=dead)
        await journal.resolve_dead_letters([number for number, _ in await journal.dead_letters()], "replay")
        await journal.commit(commit_of("d"))
        for output in ("siem", "lake"):
            await journal.acknowledge(output, after=3, upto=8)

        for output in ("siem", "lake"):
            for to in range(9):
                reach = await journal.preview_rewind(output, to)
                assert (reach.position, reach.target, reach.complete) == (8, to, True)
                assert reach.revisions == await _read_again(journal, output, to, 8)


async def test_it_says_when_something_asked_for_is_gone(here: Surroundings) -> None:
    async with here.journal(KEEP_AN_HOUR) as journal:
        await journal.attach("siem", "head", Backlog())
        await journal.commit(commit_of("a"))
        await journal.acknowledge("siem", after=0, upto=1)
        begin = here.now
        assert (await journal.preview_rewind("siem", begin - timedelta(days=9))).complete, (
            "nothing was before"
        )
        here.passed(minutes=90)
        await journal.commit(commit_of("b"))
        await journal.acknowledge("siem", after=1, upto=2)

        outline = await journal.outline()
        assert (outline.floor, outline.since) == (1, here.now)
        for to, complete in ((0, False), (1, True), (begin, False), (here.now + timedelta(seconds=1), True)):
            assert (await journal.preview_rewind("siem", to)).complete is complete, to
        assert (await journal.preview_rewind("siem", 0)).target == 1
        with pytest.raises(JournalError, match="no output is named seim; known: siem"):
            await journal.preview_rewind("seim", 0)


async def test_dead_letters_among_what_is_read_again_leave(here: Surroundings) -> None:
    async with here.journal(KEEP_AN_HOUR) as journal:
        for output in ("siem", "lake"):
            await journal.attach(output, "head", Backlog())
        await journal.commit(commit_of("a", "b", "c"))
        for output in ("siem", "lake"):
            dead = [letter(output, number, revision("x")) for number in (1, 2, 3)]
            await journal.acknowledge(output, after=0, upto=3, dead=dead)

        assert (await journal.preview_rewind("siem", 1)).dead_letters == 2
        assert await journal.rewind("siem", 1) == 1
        kept = [(one.output, one.sequence) for _, one in await journal.dead_letters()]
        assert kept == [("siem", 1), ("lake", 1), ("lake", 2), ("lake", 3)]
        assert [one.dead_letters for one in (await journal.outline()).outputs] == [3, 1]


async def test_a_walk_under_way_learns_that_its_feed_was_forgotten(here: Surroundings) -> None:
    async with here.journal() as journal:
        await journal.commit(commit_of("a", step=Step("live", None, START)))
        generation = (await journal.progress(FEED)).generation
        await journal.forget(FEED)
        late = [
            replace(commit, generation=generation)
            for commit in (commit_of("b"), commit_of("c", step=Step("live", None, START)))
        ]
        for commit in late:
            with pytest.raises(Moved, match="was forgotten"):
                await journal.commit(commit)
        assert (await journal.outline()).head == 1

        generation = (await journal.progress(FEED)).generation
        await journal.commit(replace(commit_of("a", step=Step("live", None, START)), generation=generation))
        for commit in late:
            with pytest.raises(Moved, match="was forgotten"):
                await journal.commit(commit)
        assert (await journal.outline()).feeds[0].seen == 1
