"""Damaged journals: each is served whole or named as damaged; never a loop, a foreign error or a silent
part."""

from __future__ import annotations

import random
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import TypeAlias

import pytest

from connector.errors import JournalBroken, JournalDamaged
from connector.journal.journal import FILE
from connector.journal.recovery import check, recover
from connector.model import Backlog, Commit, Entry, Feed, Gap, GapCause, Quarantined, Step, Window
from connector.testing.journal import FEED, HOSTILE, MINUTE, START, commit_of, letter, revision, seen_row
from tests.unit.journal.journals import Surroundings

Damage: TypeAlias = Callable[[bytearray, random.Random], None]

ROUNDS = 40
REVISIONS = 60


@pytest.fixture(scope="module")
def intact(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file of a journal that holds something in every table."""
    import asyncio  # noqa: PLC0415, only this fixture runs a loop of its own

    here = Surroundings(tmp_path_factory.mktemp("intact") / "state")
    asyncio.run(_fill(here))
    return here.directory / FILE


async def _fill(here: Surroundings) -> None:
    async with here.journal() as journal:
        await journal.attach("siem", "beginning", Backlog())
        await journal.attach("slow", "beginning", Backlog())
        gap = Gap(Window(START - MINUTE, START), GapCause.RETENTION, "live")
        for number in range(REVISIONS // 2):
            since = None if number == 0 else START + (number - 1) * MINUTE
            step = Step("live", since, START + number * MINUTE, gap if number == 1 else None)
            found = revision(f"r{number}", HOSTILE[number % len(HOSTILE)])
            rows = (seen_row(f"r{number}", START + number * MINUTE, START + number * MINUTE, n=number),)
            odd = (Quarantined(b"[" * 300, "nested_too_deeply"),) if number == 1 else ()
            found_here = (found, revision(f"s{number}"))
            await journal.commit(Commit(FEED, "print", found_here, rows, step, quarantined=odd))
        dead = [letter("siem", 2, revision("s0"))]
        await journal.acknowledge("siem", after=0, upto=2, dead=dead, emitted={"r0": "ab" * 32})
        await journal.set_value("key", "value")


async def _use(here: Surroundings) -> int:
    """Do everything that a daemon does with a journal; return how many revisions *slow* received."""
    async with here.journal() as journal:
        outline = await journal.outline()
        await journal.progress(FEED)
        await journal.seen(FEED, [f"r{number}" for number in range(REVISIONS // 2)])
        await journal.seen_in(FEED, Window(START - MINUTE, START + 90 * MINUTE))
        await journal.dead_letters()
        await journal.get_value("key")
        await journal.emitted("siem", ["r0"])
        await journal.skipped("siem")
        begin = position = await journal.attach("slow", "beginning", Backlog())
        received = 0
        while position < outline.head:
            entry: Entry = await journal.read("slow", position)
            received += len(entry.revisions)
            position = entry.last
        await journal.commit(replace(commit_of("new"), seen=(seen_row("r1"), seen_row("new"))))
        await journal.acknowledge("slow", after=begin, upto=position)
        await journal.expire(FEED, START + 9 * MINUTE)
        await journal.commit(Commit(Feed("account", "other"), "print", step=Step("live", None, START)))
        return received


def _flip(data: bytearray, random: random.Random) -> None:
    for _ in range(random.choice((1, 3, 30))):
        data[random.randrange(len(data))] ^= 1 << random.randrange(8)


def _zero_a_page(data: bytearray, random: random.Random) -> None:
    start, size = 4096 * random.randrange(len(data) // 4096), random.choice((64, 512, 4096))
    data[start : start + size] = bytes(size)


def _truncate(data: bytearray, random: random.Random) -> None:
    del data[random.randrange(1, len(data)) :]


def _swap_pages(data: bytearray, random: random.Random) -> None:
    one, two = (4096 * random.randrange(len(data) // 4096) for _ in range(2))
    data[one : one + 4096], data[two : two + 4096] = data[two : two + 4096], data[one : one + 4096]


def _damaged_copy(intact: Path, here: Surroundings, damage: Damage, seed: int) -> None:
    here.directory.mkdir()
    data = bytearray(intact.read_bytes())
    damage(data, random.Random(seed))
    (here.directory / FILE).write_bytes(data)


async def _outcome(here: Surroundings) -> int | str:
    """How many revisions *slow* received, or the text of the error that names the damage."""
    try:
        return await _use(here)
    except JournalDamaged as error:
        return str(error)


@pytest.mark.parametrize("damage", [_flip, _zero_a_page, _truncate, _swap_pages], ids=lambda d: d.__name__)
async def test_a_damaged_file_is_named_or_does_not_matter(
    intact: Path, tmp_path: Path, damage: Damage
) -> None:
    named = 0
    for seed in range(ROUNDS):
        here = Surroundings(tmp_path / str(seed))
        _damaged_copy(intact, here, damage, seed)
        outcome = await _outcome(here)
        shutil.rmtree(here.directory)
        if isinstance(outcome, str):
            named += 1
            assert f"{here.directory / FILE} is damaged" in outcome
            assert "state recover" in outcome
        else:
            assert outcome == REVISIONS, f"seed {seed}: a part was delivered as if it were all"
    assert named > ROUNDS // 20, "the damage did not matter at all"


@pytest.mark.parametrize("damage", [_flip, _zero_a_page, _truncate, _swap_pages], ids=lambda d: d.__name__)
async def test_what_can_be_read_is_recovered(intact: Path, tmp_path: Path, damage: Damage) -> None:
    """After a recovery the journal works, and what it does not deliver is counted as lost."""
    recovered = unusable = 0
    for seed in range(ROUNDS // 4):
        here = Surroundings(tmp_path / str(seed))
        _damaged_copy(intact, here, damage, seed)
        if not check(here.directory, FILE):
            continue
        try:
            report = recover(here.directory, FILE, START)
        except JournalBroken:
            unusable += 1
            continue
        recovered += 1
        assert report.kept.exists()
        assert check(here.directory, FILE) == ()
        received = await _use(here)
        counted = received + report.revisions >= REVISIONS or not report.is_complete_count
        assert counted or not report.rows["outputs"], f"seed {seed}"
        shutil.rmtree(here.directory)
    assert recovered > unusable or damage is _truncate


async def test_an_intact_journal_is_recovered_whole(intact: Path, tmp_path: Path) -> None:
    here = Surroundings(tmp_path / "state")
    _damaged_copy(intact, here, lambda _data, _random: None, 0)
    report = recover(here.directory, FILE, START)

    assert (report.revisions, report.since, sum(report.lost.values())) == (0, None, 0)
    assert report.kept.name == "journal.db.damaged-20260101T120000Z"
    async with here.journal() as journal:
        assert len(await journal.dead_letters()) == 1
        assert len((await journal.progress(FEED)).gaps) == 1
        assert set(await journal.emitted("siem", ["r0"])) == {"r0"}
        assert await journal.get_value("key") == "value"
        assert len(await journal.seen(FEED, [f"r{number}" for number in range(30)])) == 30
    assert await _use(here) == REVISIONS


CONTENT = {
    "states": ("body", "state"),
    "dead_letters": ("details", "number"),
    "quarantine": ("raw", "number"),
    "entries": ("body", "first"),
}


@pytest.mark.parametrize(("table", "column", "key"), [(name, *rest) for name, rest in CONTENT.items()])
async def test_content_that_nothing_can_decode_is_found_and_left_out(
    intact: Path, tmp_path: Path, table: str, column: str, key: str
) -> None:
    """The pages are sound then, and so is every type: only decoding shows the damage."""
    here = Surroundings(tmp_path / "state")
    _damaged_copy(intact, here, lambda _data, _random: None, 0)
    with closing(sqlite3.connect(here.directory / FILE)) as connection, connection:
        connection.execute(
            f"UPDATE {table} SET {column} = x'7b' WHERE {key} = (SELECT min({key}) FROM {table})"
        )

    [problem] = check(here.directory, FILE)
    report = recover(here.directory, FILE, START)

    assert problem.startswith(f"a row of the table {table} cannot be decoded ({key} 1): ")
    assert report.lost[table] == 1
    assert check(here.directory, FILE) == ()
    assert await _use(here) == REVISIONS - report.revisions


async def test_a_name_in_the_schema_that_is_no_text_is_damage(intact: Path, tmp_path: Path) -> None:
    here = Surroundings(tmp_path / "state")
    _damaged_copy(intact, here, lambda _data, _random: None, 0)
    data = (here.directory / FILE).read_bytes()
    (here.directory / FILE).write_bytes(data.replace(b"tableemitted", b"table\xc5mitted"))

    assert len(check(here.directory, FILE)) == 1
    assert "state recover" in str(await _outcome(here))
    recover(here.directory, FILE, START)
    assert await _use(here) == REVISIONS


def test_a_directory_in_the_place_of_the_journal_is_named(tmp_path: Path) -> None:
    (tmp_path / FILE).mkdir()

    with pytest.raises(JournalBroken, match="cannot be opened"):
        check(tmp_path, FILE)
