"""How long data stays: retention, rewinding to a time, detached outputs, forgetting, the seen floor."""

from __future__ import annotations

from datetime import timedelta

import pytest

from connector.errors import JournalError, Moved
from connector.facts import BacklogSkipped, JournalTrimmed
from connector.journal import JournalOptions
from connector.model import Backlog, Commit, Feed, Step
from connector.testing.journal import FEED, START, commit_of, letter, names_of, revision, seen_row
from tests.unit.journal.journals import Surroundings

HOUR = timedelta(hours=1)
MINUTE = timedelta(minutes=1)
KEEP_AN_HOUR = JournalOptions(retain=HOUR)


async def _three_delivered_commits(here: Surroundings) -> None:
    """At twenty minutes' distance, the last one just now."""
    async with here.journal(KEEP_AN_HOUR) as journal:
        await journal.attach("siem", "head", Backlog())
        for number, name in enumerate("abc"):
            here.passed(minutes=20)
            await journal.commit(commit_of(name))
            await journal.acknowledge("siem", after=number, upto=number + 1)


async def test_delivered_data_is_retained_and_then_goes(here: Surroundings) -> None:
    await _three_delivered_commits(here)
    async with here.journal(KEEP_AN_HOUR) as journal:
        assert (await journal.outline()).bytes > 0
        here.passed(minutes=61)
        await journal.commit(commit_of("d"))
        assert sum(fact.entries for fact in here.reported(JournalTrimmed)) == 3
        assert await journal.rewind("siem", 0) == 3


@pytest.mark.parametrize(
    ("minutes_ago", "position"), [(0, 2), (19, 2), (20, 1), (21, 1), (40, 0), (999, 0), (-1, 3)]
)
async def test_rewinding_to_a_time_repeats_what_came_since(
    here: Surroundings, minutes_ago: int, position: int
) -> None:
    await _three_delivered_commits(here)
    async with here.journal(KEEP_AN_HOUR) as journal:
        assert await journal.rewind("siem", here.now - minutes_ago * MINUTE) == position


async def test_a_clock_that_steps_back_does_not_reorder_the_journal(here: Surroundings) -> None:
    await _three_delivered_commits(here)
    newest = here.now
    here.passed(days=-9)
    async with here.journal(KEEP_AN_HOUR) as journal:
        await journal.commit(commit_of("d"))
        assert await journal.rewind("siem", newest) == 2


async def test_an_unknown_output_is_answered_with_the_known_ones(here: Surroundings) -> None:
    async with here.journal() as journal:
        await journal.attach("siem", "head", Backlog())
        with pytest.raises(JournalError, match="no output is named seim; known: siem"):
            await journal.rewind("seim", 0)


async def test_nothing_goes_while_no_output_is_attached(here: Surroundings) -> None:
    async with here.journal() as journal:
        await journal.commit(commit_of("a"))
        await journal.commit(commit_of("b"))
        position = await journal.attach("siem", "beginning", Backlog())
        assert names_of(await journal.read("siem", position)) == ["a"]


async def test_detaching_the_last_slow_output_frees_its_data(here: Surroundings) -> None:
    async with here.journal() as journal:
        await journal.attach("slow", "head", Backlog())
        await journal.attach("siem", "head", Backlog())
        await journal.commit(commit_of("a"))
        await journal.acknowledge("siem", after=0, upto=1)
        assert here.reported(JournalTrimmed) == []
        await journal.detach("slow")
        assert len(here.reported(JournalTrimmed)) == 1
        await journal.attach("slow", "head", Backlog())
        assert [(skip.output, skip.revisions) for skip in here.reported(BacklogSkipped)] == [("slow", 1)]
        await journal.attach("slow", "head", Backlog())
        assert len(here.reported(BacklogSkipped)) == 1


async def test_dead_letters_of_a_detached_output_wait_for_it(here: Surroundings) -> None:
    async with here.journal() as journal:
        await journal.attach("siem", "head", Backlog())
        await journal.commit(commit_of("a"))
        await journal.acknowledge("siem", after=0, upto=1, dead=[letter("siem", 1, revision("a"))])
        await journal.detach("siem")
        (number, _), *_ = await journal.dead_letters()
        assert await journal.resolve_dead_letters([number], "replay") == 0
        assert await journal.attach("siem", "head", Backlog()) == 1
        assert await journal.resolve_dead_letters([number, number], "replay") == 1
        assert names_of(await journal.read("siem", 1)) == ["a"]


async def test_thousands_of_rows_expire_and_are_forgotten(here: Surroundings) -> None:
    other = Feed("account", "other")
    async with here.journal() as journal:
        for feed in (FEED, other):
            rows = tuple(seen_row(f"r{number}", START, START + number % 2 * HOUR) for number in range(5001))
            await journal.commit(Commit(feed, "print", seen=rows))
        assert await journal.expire(FEED, START) == 2501
        assert await journal.expire(FEED, START) == 0
        await journal.forget(other)
        await journal.forget(other)
        assert [(one.feed, one.seen) for one in (await journal.outline()).feeds] == [(FEED, 2500)]
        query = (
            "SELECT (SELECT count(*) FROM seen), (SELECT count(*) FROM states), (SELECT count(*) FROM feeds)"
        )
        counts = await journal._database.read(lambda db: db.execute(query).fetchone())
        assert counts == (2500, 1, 1)


async def test_states_go_with_the_last_row_that_has_them(here: Surroundings) -> None:
    async with here.journal() as journal:
        for color in ("red", "green", "red", "blue"):
            row = seen_row("a", color=color)
            await journal.commit(Commit(FEED, "print", seen=(row,)))
            assert (await journal.seen(FEED, ["a"]))["a"] == row
        rows = await journal._database.read(lambda db: db.execute("SELECT body, uses FROM states").fetchall())
        assert rows == [(b'{"color":"blue"}', 1)]


async def test_the_floor_begins_with_the_first_live_step_and_rises_with_expiry(here: Surroundings) -> None:
    async with here.journal() as journal:
        await journal.commit(Commit(FEED, "print", seen=(seen_row("a", START + MINUTE),)))
        assert (await journal.progress(FEED)).floor is None
        row = seen_row("b", START + 2 * MINUTE)
        await journal.commit(Commit(FEED, "print", seen=(row,), step=Step("live", None, START + HOUR)))
        assert (await journal.progress(FEED)).floor == START + MINUTE
        await journal.commit(Commit(FEED, "print", step=Step("revisit_5m", None, START + HOUR)))
        assert (await journal.progress(FEED)).floor == START + MINUTE
        await journal.expire(FEED, START + 30 * MINUTE)
        assert (await journal.progress(FEED)).floor == START + 30 * MINUTE


async def test_the_floor_of_an_empty_first_slice_is_its_end(here: Surroundings) -> None:
    async with here.journal() as journal:
        await journal.commit(Commit(FEED, "print", step=Step("live", None, START)))
        assert (await journal.progress(FEED)).floor == START


async def test_a_backfill_before_the_first_live_step_sets_no_floor(here: Surroundings) -> None:
    async with here.journal() as journal:
        old = Commit(FEED, "print", seen=(seen_row("old", START),), step=Step("backfill", None, START + HOUR))
        await journal.commit(old)
        assert (await journal.progress(FEED)).floor is None
        await journal.commit(Commit(FEED, "print", step=Step("live", None, START + 9 * HOUR)))
        assert (await journal.progress(FEED)).floor == START + 9 * HOUR


async def test_a_note_becomes_durable_with_its_commit_or_not_at_all(here: Surroundings) -> None:
    async with here.journal() as journal:
        await journal.commit(
            Commit(FEED, "f", step=Step("backfill", None, START), key_value=("backfill", "1"))
        )
        with pytest.raises(Moved):
            await journal.commit(
                Commit(FEED, "f", step=Step("backfill", None, START), key_value=("backfill", "2"))
            )
    async with here.journal() as journal:
        assert await journal.get_value("backfill") == "1"
