"""What the journal reports, when, and on which thread."""

from __future__ import annotations

import threading
from datetime import UTC, datetime
from pathlib import Path

import pytest

from connector.errors import JournalFull, Moved
from connector.facts import (
    BacklogSkipped,
    Fact,
    JournalAcknowledged,
    JournalCommitted,
    JournalCommitting,
    JournalTrimmed,
    JournalWriteFailed,
)
from connector.journal import Journal
from connector.model import Backlog, Commit, Step, WhenFull
from connector.testing.journal import FEED, START, commit_of, letter, revision
from tests.unit.journal.journals import Surroundings


async def test_a_delivered_commit_tells_its_whole_story_in_order(here: Surroundings) -> None:
    async with here.journal() as journal:
        await journal.attach("siem", "head", Backlog())
        await journal.commit(commit_of("a", "b"))
        await journal.acknowledge("siem", after=0, upto=1, dead=[letter("siem", 1, revision("a"))])
        await journal.acknowledge("siem", after=1, upto=2)
        committing, committed, buried, done, trimmed = here.facts
    assert committing == JournalCommitting(FEED, 2)
    assert isinstance(committed, JournalCommitted)
    assert (committed.feed, committed.revisions) == (FEED, 2)
    assert isinstance(buried, JournalAcknowledged)
    assert (buried.output, buried.upto, buried.dead) == ("siem", 1, 1)
    assert isinstance(done, JournalAcknowledged)
    assert (done.upto, done.dead) == (2, 0)
    assert trimmed == JournalTrimmed(1, committed.bytes)
    assert min(committed.seconds, buried.seconds, done.seconds) >= 0


async def test_facts_are_reported_on_the_thread_of_the_loop(tmp_path: Path) -> None:
    threads: set[str] = set()

    def observe(_: Fact) -> None:
        threads.add(threading.current_thread().name)

    async with Journal.open(tmp_path, observe=observe, clock=lambda: datetime.now(UTC)) as journal:
        await journal.attach("siem", "head", Backlog(1, WhenFull.SKIP))
        for name in "abc":
            await journal.commit(commit_of(name))
    assert threads == {threading.current_thread().name}


async def test_a_refused_commit_is_not_reported_as_committed(here: Surroundings) -> None:
    async with here.journal() as journal:
        await journal.attach("siem", "head", Backlog(max_bytes=0))
        await journal.commit(commit_of("a"))
        before = len(here.facts)
        with pytest.raises(Moved):
            await journal.commit(Commit(FEED, "print", step=Step("live", START, START)))
        with pytest.raises(JournalFull):
            await journal.commit(commit_of("b"))
    assert here.facts[before:] == [JournalCommitting(FEED, 0), JournalCommitting(FEED, 1)]


async def test_a_backlog_limit_is_not_a_stuck_journal(here: Surroundings) -> None:
    async with here.journal() as journal:
        await journal.attach("siem", "head", Backlog(max_bytes=0))
        await journal.commit(commit_of("a"))
        with pytest.raises(JournalFull, match=r"backlog of siem .*raise backlog\.max_bytes"):
            await journal.commit(commit_of("b"))
    assert here.reported(JournalWriteFailed) == []


async def test_each_skip_is_reported_with_the_whole_gap(here: Surroundings) -> None:
    async with here.journal() as journal:
        await journal.attach("siem", "head", Backlog(1, WhenFull.SKIP))
        for name in "abcd":
            await journal.commit(commit_of(name))
        gap = await journal.skipped("siem")
    skips = here.reported(BacklogSkipped)
    assert [(skip.output, skip.revisions) for skip in skips] == [("siem", 1)] * 3
    assert skips[-1].gap == gap
