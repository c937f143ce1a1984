"""Opening: who may read the state, and what is said when it cannot be used."""

from __future__ import annotations

import asyncio
import errno
import os
import re
import sqlite3
import stat
from contextlib import closing
from pathlib import Path

import pytest

from connector.errors import JournalBroken, JournalDamaged, JournalError, JournalInUse
from connector.journal import Journal, schema
from connector.journal.journal import FILE
from connector.journal.recovery import recover
from connector.journal.schema import VERSION
from connector.model import Backlog
from connector.testing.journal import FEED, commit_of
from tests.unit.journal.journals import Surroundings


def _mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


async def _open(here: Surroundings) -> None:
    async with here.journal() as journal:
        await journal.outline()


async def test_only_the_owner_can_read_the_state(here: Surroundings) -> None:
    before = os.umask(0)
    try:
        async with here.journal() as journal:
            await journal.commit(commit_of("a"))
            assert _mode(here.directory) == 0o700
            assert {_mode(path) for path in here.directory.iterdir()} == {0o600}
    finally:
        os.umask(before)


async def test_a_directory_that_exists_keeps_its_mode(here: Surroundings) -> None:
    here.directory.mkdir(mode=0o750)
    await _open(here)
    assert _mode(here.directory) == 0o750


async def test_a_clean_end_leaves_one_database_file(here: Surroundings) -> None:
    async with here.journal() as journal:
        await journal.commit(commit_of("a"))
    assert sorted(path.name for path in here.directory.iterdir()) == ["ballast", FILE, "lock"]


async def test_it_says_what_it_is_made_of(here: Surroundings) -> None:
    async with here.journal() as journal:
        assert journal.info.sqlite == sqlite3.sqlite_version
        assert (journal.info.path, journal.info.schema) == (here.directory / FILE, VERSION)
        assert journal.info.compression in {"isal", "zlib"}


async def test_the_same_process_cannot_open_it_twice(here: Surroundings) -> None:
    async with here.journal():
        with pytest.raises(JournalInUse, match=f"process {os.getpid()}"):
            await _open(here)
    await _open(here)


async def test_a_command_that_has_the_state_for_a_moment_is_waited_for(here: Surroundings) -> None:
    async def start() -> int:
        async with Journal.open(
            here.directory, observe=here.facts.append, clock=lambda: here.now, patience=60
        ) as journal:
            return (await journal.outline()).head

    async with here.journal() as journal:
        await journal.commit(commit_of("a"))
        starting = asyncio.create_task(start())
        await asyncio.sleep(0.3)
        assert not starting.done()
    assert await starting == 1


async def test_a_lock_file_without_a_name_is_still_a_lock(here: Surroundings) -> None:
    async with here.journal():
        (here.directory / "lock").write_text("")
        with pytest.raises(JournalInUse, match="another process") as caught:
            await _open(here)
        assert caught.value.pid is None


async def test_a_holder_on_another_host_is_named_with_it(here: Surroundings) -> None:
    async with here.journal():
        (here.directory / "lock").write_text("17 elsewhere\n")
        with pytest.raises(JournalInUse, match="process 17 on elsewhere"):
            await _open(here)


async def test_no_other_program_can_write_to_an_open_journal(here: Surroundings) -> None:
    async with here.journal() as journal:
        await journal.commit(commit_of("a"))
        with (
            closing(sqlite3.connect(here.directory / FILE, timeout=0)) as other,
            pytest.raises(sqlite3.OperationalError, match="locked"),
        ):
            other.execute("SELECT * FROM counters").fetchall()


@pytest.mark.parametrize("where", ["file", "file/below"])
async def test_a_directory_that_cannot_be_made_is_explained(where: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no directory")
    with pytest.raises(JournalBroken, match=r"state directory .* cannot be used: .*state\.directory"):
        await _open(Surroundings(tmp_path / where))


@pytest.mark.skipif(os.getuid() == 0, reason="root may write everywhere")
async def test_a_read_only_directory_is_explained(here: Surroundings) -> None:
    here.directory.mkdir(mode=0o500)
    with pytest.raises(JournalBroken, match="Permission denied; make it a directory that user id"):
        await _open(here)


async def test_a_database_that_cannot_be_opened_is_explained(here: Surroundings) -> None:
    (here.directory / FILE).mkdir(parents=True)
    with pytest.raises(JournalBroken, match="cannot be opened: Is a directory"):
        await _open(here)


async def test_a_file_that_is_no_database_is_not_overwritten(here: Surroundings) -> None:
    here.directory.mkdir()
    (here.directory / FILE).write_bytes(b"something else, and more than a header of it" * 40)
    with pytest.raises(JournalBroken, match=r"damaged .*state recover"):
        await _open(here)
    assert (here.directory / FILE).read_bytes().startswith(b"something else")


async def test_a_database_of_another_program_is_left_alone(here: Surroundings) -> None:
    here.directory.mkdir()
    with closing(sqlite3.connect(here.directory / FILE)) as other:
        other.execute("CREATE TABLE schema (version INTEGER)")
    with pytest.raises(JournalBroken, match="another program"):
        await _open(here)


async def test_a_journal_from_before_the_first_release_is_left_alone(here: Surroundings) -> None:
    here.directory.mkdir()
    with closing(sqlite3.connect(here.directory / FILE)) as old:
        old.execute("PRAGMA application_id = 0x43464553")
        old.execute("CREATE TABLE schema (version INTEGER PRIMARY KEY)")
        old.execute("CREATE TABLE letters (number INTEGER PRIMARY KEY)")
    for refused in (lambda: _open(here), lambda: asyncio.to_thread(recover, here.directory, FILE, here.now)):
        with pytest.raises(JournalBroken, match=r"before the first release; set another state\.directory"):
            await refused()
    with closing(sqlite3.connect(here.directory / FILE)) as old:
        assert old.execute("SELECT name FROM sqlite_master").fetchall() == [("schema",), ("letters",)]


async def test_a_schema_without_its_version_is_damaged(here: Surroundings) -> None:
    await _open(here)
    with closing(sqlite3.connect(here.directory / FILE)) as other:
        other.execute("DROP TABLE schema")
        other.commit()
    with pytest.raises(JournalDamaged, match="schema version is missing"):
        await _open(here)


async def test_an_emptied_database_is_not_mistaken_for_a_new_one(here: Surroundings) -> None:
    await _open(here)
    os.truncate(here.directory / FILE, 0)
    with pytest.raises(JournalBroken, match="the file is empty"):
        await _open(here)


async def test_the_documented_way_out_works(here: Surroundings) -> None:
    await _open(here)
    os.truncate(here.directory / FILE, 0)
    (here.directory / FILE).rename(here.directory / "elsewhere")
    await _open(here)


async def test_a_newer_schema_is_refused(here: Surroundings) -> None:
    await _open(here)
    with closing(sqlite3.connect(here.directory / FILE)) as other:
        other.executemany("INSERT INTO schema VALUES (?)", [(n,) for n in range(VERSION + 1, 100)])
        other.execute("PRAGMA user_version = 99")
        other.commit()
    with pytest.raises(JournalBroken, match=r"newer version .*99"):
        await _open(here)


async def test_an_older_schema_is_brought_up_to_date(
    here: Surroundings, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with here.journal() as journal:
        await journal.commit(commit_of("a"))
    broken_step = ("CREATE TABLE later (one INTEGER)", "no statement")
    monkeypatch.setattr(schema, "VERSION", VERSION + 1)
    monkeypatch.setattr(schema, "MIGRATIONS", (*schema.MIGRATIONS, broken_step))
    with pytest.raises(JournalError, match="syntax error"):
        await _open(here)
    monkeypatch.setattr(schema, "MIGRATIONS", (*schema.MIGRATIONS[:-1], broken_step[:1]))
    for _ in range(2):
        async with here.journal() as journal:
            assert set(await journal.seen(FEED, ["a"])) == {"a"}
    with closing(sqlite3.connect(here.directory / FILE)) as other:
        assert other.execute("SELECT count(*), max(version) FROM schema").fetchone() == (
            VERSION + 1,
            VERSION + 1,
        )
        assert other.execute("SELECT count(*) FROM later").fetchone() == (0,)


async def test_a_process_that_died_before_the_first_table_is_made_good(here: Surroundings) -> None:
    here.directory.mkdir()
    (here.directory / FILE).touch(mode=0o600)
    await _open(here)


async def _journal_with(here: Surroundings, commits: int) -> None:
    async with here.journal() as journal:
        await journal.attach("siem", "beginning", Backlog())
        for number in range(commits):
            await journal.commit(commit_of(f"record {number}"))


async def _read_all(here: Surroundings) -> None:
    async with here.journal() as journal:
        position, head = await journal.attach("siem", "beginning", Backlog()), (await journal.outline()).head
        while position < head:
            position = (await journal.read("siem", position)).last
        await journal.seen(FEED, [f"record {number}" for number in range(head)])


async def test_damaged_pages_end_with_the_way_out(here: Surroundings) -> None:
    await _journal_with(here, 200)
    path = here.directory / FILE
    size = path.stat().st_size
    with path.open("r+b") as file:
        file.seek(8192)
        file.write(b"\xa5" * (size - 8192))
    with pytest.raises(JournalBroken, match=r"damaged.*backup"):
        await _read_all(here)


async def test_a_damaged_entry_is_not_delivered(here: Surroundings) -> None:
    await _journal_with(here, 2)
    with closing(sqlite3.connect(here.directory / FILE)) as other:
        body: bytes = other.execute("SELECT body FROM entries WHERE first = 2").fetchone()[0]
        other.execute("UPDATE entries SET body = ? WHERE first = 2", (body[:-4] + b"\0\0\0\0",))
        other.commit()
    async with here.journal() as journal:
        await journal.attach("siem", "beginning", Backlog())
        assert (await journal.read("siem", 0)).last == 1
        with pytest.raises(JournalBroken, match=re.escape("revisions 2 to 2")):
            await journal.read("siem", 1)


async def test_a_closed_journal_says_so(here: Surroundings) -> None:
    async with here.journal() as journal:
        pass
    with pytest.raises(JournalError, match=r"journal\.db is closed"):
        await journal.outline()
    with pytest.raises(JournalError, match=r"journal\.db is closed"):
        await journal.commit(commit_of("a"))


@pytest.mark.parametrize("code", [errno.ENOLCK, errno.EOPNOTSUPP, errno.ESTALE])
async def test_a_file_system_without_locks_is_named(
    here: Surroundings, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    def flock(_handle: int, _operation: int) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr("fcntl.flock", flock)
    with pytest.raises(JournalBroken, match=r"does not support locks .*NFS.*local disk"):
        await _open(here)
