"""Backlog limits: what counts, what pauses, what is skipped, and how the gap is told."""

from __future__ import annotations

import contextlib
import os
from datetime import timedelta

import pytest

from connector.errors import JournalError, JournalFull, Moved
from connector.facts import BacklogSkipped
from connector.journal import Journal, JournalOptions
from connector.model import Backlog, Commit, GapCause, OutputOutline, WhenFull
from connector.testing.journal import FEED, START, commit_of, revision, seen_row
from tests.unit.journal.journals import Surroundings

KILO = 1000
MINUTE = timedelta(minutes=1)


def sized(number: int, count: int = 1) -> Commit:
    """Records of a minute of their own, about a kilobyte each however well it is compressed."""
    names = [f"{number}.{part}" for part in range(count)]
    revisions = tuple(revision(name, {"noise": os.urandom(KILO).hex()}) for name in names)
    at = START + number * MINUTE
    return Commit(FEED, "print", revisions, tuple(seen_row(name, at) for name in names))


async def outline_of(journal: Journal, output: str) -> OutputOutline:
    """Where *output* stands."""
    return next(one for one in (await journal.outline()).outputs if one.output == output)


async def test_bytes_behind_shrink_with_every_acknowledged_revision(here: Surroundings) -> None:
    async with here.journal() as journal:
        await journal.attach("siem", "head", Backlog())
        await journal.commit(sized(0, 4))
        sizes = []
        for after in range(4):
            sizes.append((await outline_of(journal, "siem")).backlog_bytes)
            await journal.acknowledge("siem", after=after, upto=after + 1)
        assert (await outline_of(journal, "siem")).backlog_bytes == 0
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[1] == pytest.approx(sizes[0] * 3 / 4, abs=1)


async def test_the_age_of_a_backlog_is_that_of_its_oldest_revision(here: Surroundings) -> None:
    async with here.journal() as journal:
        await journal.attach("siem", "head", Backlog())
        assert (await outline_of(journal, "siem")).oldest is None
        first = here.now
        await journal.commit(sized(0))
        here.passed(minutes=5)
        await journal.commit(sized(1))
        assert (await outline_of(journal, "siem")).oldest == first
        await journal.acknowledge("siem", after=0, upto=1)
        assert (await outline_of(journal, "siem")).oldest == here.now
        await journal.acknowledge("siem", after=1, upto=2)
        assert (await outline_of(journal, "siem")).oldest is None


async def test_delivering_part_of_a_backlog_is_enough_to_go_on(here: Surroundings) -> None:
    async with here.journal() as journal:
        await journal.attach("siem", "head", Backlog(max_bytes=5 * KILO))
        await journal.commit(sized(0, 10))
        with pytest.raises(JournalFull):
            await journal.commit(sized(1))
        await journal.acknowledge("siem", after=0, upto=6)
        await journal.commit(sized(1))


async def test_what_is_only_retained_is_no_backlog(here: Surroundings) -> None:
    async with here.journal(JournalOptions(retain=timedelta(hours=1))) as journal:
        await journal.attach("siem", "head", Backlog(max_bytes=1))
        for number in range(3):
            await journal.commit(sized(number))
            await journal.acknowledge("siem", after=number, upto=number + 1)
        assert (await journal.outline()).bytes > 3 * KILO


async def test_the_limit_is_remembered_while_nobody_attaches(here: Surroundings) -> None:
    async with here.journal() as journal:
        await journal.attach("siem", "head", Backlog(max_bytes=1))
        await journal.commit(sized(0))
    async with here.journal() as journal:
        with pytest.raises(JournalFull) as caught:
            await journal.commit(sized(1))
        assert caught.value.outputs == ("siem",)


async def test_skipping_keeps_as_much_as_the_limit_allows(here: Surroundings) -> None:
    async with here.journal() as journal:
        await journal.attach("siem", "head", Backlog(10 * KILO, WhenFull.SKIP))
        await journal.commit(sized(0, 30))
        outline = await outline_of(journal, "siem")
        assert 8 * KILO < outline.backlog_bytes <= 10 * KILO
        assert outline.backlog == 30 - outline.position
        assert here.reported(BacklogSkipped)[0].revisions == outline.position


async def test_the_newest_revision_is_never_skipped(here: Surroundings) -> None:
    async with here.journal() as journal:
        await journal.attach("siem", "head", Backlog(0, WhenFull.SKIP))
        for number in range(3):
            await journal.commit(sized(number))
            assert (await outline_of(journal, "siem")).backlog == 1


async def test_skips_in_a_row_are_one_gap_and_later_ones_another(here: Surroundings) -> None:
    backlog = Backlog(1, WhenFull.SKIP)
    async with here.journal() as journal:
        await journal.attach("siem", "head", backlog)
        for number in range(4):
            await journal.commit(sized(number))
        gap = await journal.skipped("siem")
        assert gap is not None
        assert START in gap.window
        assert START + 2 * MINUTE in gap.window
        assert START + 3 * MINUTE not in gap.window
        position = await journal.attach("siem", "head", backlog)
        await journal.acknowledge("siem", after=position, upto=4)
        for number in range(4, 6):
            await journal.commit(sized(number))
        newest = await journal.skipped("siem")
        assert newest is not None
        assert newest.window.start == START + 4 * MINUTE
        assert (newest.cause, newest.detail) == (GapCause.BACKLOG_FULL, "limit 1 bytes")


async def test_a_reader_learns_that_it_was_moved_and_goes_on_after_attaching(here: Surroundings) -> None:
    backlog = Backlog(1, WhenFull.SKIP)
    async with here.journal() as journal:
        await journal.attach("siem", "head", backlog)
        await journal.commit(sized(0))
        await journal.commit(sized(1))
        with pytest.raises(Moved, match="attach again"):
            await journal.read("siem", 0)
        position = await journal.attach("siem", "head", backlog)
        assert (await journal.read("siem", position)).first == 2


async def test_one_output_over_its_limit_does_not_make_another_skip(here: Surroundings) -> None:
    async with here.journal() as journal:
        await journal.attach("tight", "head", Backlog(1, WhenFull.SKIP))
        await journal.attach("roomy", "head", Backlog(KILO * KILO, WhenFull.SKIP))
        for number in range(3):
            await journal.commit(sized(number))
        assert await journal.skipped("roomy") is None
        assert (await outline_of(journal, "roomy")).backlog == 3


async def test_acknowledging_beyond_the_head_or_backwards_is_refused(here: Surroundings) -> None:
    async with here.journal() as journal:
        await journal.attach("siem", "head", Backlog())
        await journal.commit(commit_of("a", "b"))
        with pytest.raises(JournalError, match="cannot acknowledge 3"):
            await journal.acknowledge("siem", after=0, upto=3)
        await journal.acknowledge("siem", after=0, upto=2)
        with pytest.raises(JournalError, match="cannot acknowledge 1"):
            await journal.acknowledge("siem", after=2, upto=1)
        with pytest.raises(Moved, match="unknown"):
            await journal.acknowledge("nobody", after=0, upto=1)


@pytest.mark.parametrize("when_full", WhenFull)
async def test_what_a_rewind_brings_back_does_not_count(here: Surroundings, when_full: WhenFull) -> None:
    """Counted, it would be skipped again at the next commit, or stop collecting."""
    async with here.journal(JournalOptions(retain=timedelta(hours=1))) as journal:
        backlog = Backlog(3 * KILO, when_full)
        await journal.attach("siem", "head", backlog)
        for number in range(20):
            await journal.commit(sized(number))
            await journal.acknowledge("siem", after=number, upto=number + 1)
        assert await journal.rewind("siem", 0) == 0
        await journal.commit(sized(20))
        assert (await outline_of(journal, "siem")).backlog == 21
        outline = await outline_of(journal, "siem")
        assert outline.counted_bytes < 3 * KILO < outline.backlog_bytes
        assert here.reported(BacklogSkipped) == []

        pauses = pytest.raises(JournalFull) if when_full is WhenFull.PAUSE else contextlib.nullcontext()
        with pauses:
            for number in range(21, 26):  # what is live counts as ever
                await journal.commit(sized(number))
        skipped = (await outline_of(journal, "siem")).backlog_bytes <= 3 * KILO
        assert skipped is bool(here.reported(BacklogSkipped)) is (when_full is WhenFull.SKIP)
