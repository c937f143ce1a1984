"""``state migrate``: from a state directory to PostgreSQL and back, with nothing changed."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Iterator
from contextlib import AbstractAsyncContextManager, closing
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from connector.app.journals import migrate_journal, open_journal
from connector.errors import JournalBroken, JournalError
from connector.interfaces import Journal
from connector.journal import FILE
from connector.journal.transfer import TABLES
from connector.model import Backlog, Commit, Feed, Gap, GapCause, Quarantined, Step, Window
from connector.secret import Secret
from connector.settings import PostgresSettings, StateSettings
from connector.testing.journal_harness import (
    FEED,
    HOSTILE,
    MINUTE,
    START,
    commit_of,
    letter,
    next_entry,
    revision,
    seen_row,
)
from tests.support.postgres import PostgresServer, postgres_server

pytestmark = pytest.mark.xdist_group("postgres")
OTHER = Feed("account", "other")


@pytest.fixture(scope="module")
def server() -> Iterator[PostgresServer]:
    with postgres_server() as running:
        yield running


def opened(state: StateSettings) -> AbstractAsyncContextManager[Journal]:
    return open_journal(state, observe=lambda _: None, clock=lambda: datetime.now(UTC))


def in_postgres(server: PostgresServer, schema: str) -> StateSettings:
    return StateSettings(postgres=PostgresSettings(url=Secret(server.url()), schema=schema))


async def fill(journal: Journal) -> None:
    """Something in every table."""
    await journal.attach("siem", "beginning", Backlog())
    await journal.attach("away", "beginning", Backlog())
    gap = Gap(Window(START, START + MINUTE), GapCause.RETENTION)
    await journal.commit(commit_of("a", "b", "c", step=Step("live", None, START + MINUTE, gap)))
    bodies = tuple(revision(f"id \ud800 {at}", body) for at, body in enumerate(HOSTILE))
    rows = tuple(seen_row(one.record.id, START, START, **one.record.body) for one in bodies)
    await journal.commit(Commit(OTHER, "print", bodies, rows))
    await journal.commit(Commit(OTHER, "print", seen=tuple(seen_row(f"row {at}") for at in range(3000))))
    await journal.commit(Commit(FEED, "print", quarantined=(Quarantined(b"\xff{", "undecodable"),)))
    dead = letter("siem", 1, revision("a"))
    await journal.acknowledge("siem", after=0, upto=2, dead=[dead], emitted={"a": "aa" * 32})
    await journal.set_value("key", "value")


async def content(journal: Journal) -> list[object]:
    """Everything that can be asked of a journal."""
    outline = await journal.outline()
    entries = [await next_entry(journal, "away", at) for at in range(outline.head)]
    names = ["a", "b", "row 7", "row 2999", *(f"id \ud800 {at}" for at in range(len(HOSTILE)))]
    return [
        replace(outline, bytes=0),
        entries,
        await journal.progress(FEED),
        dict(await journal.seen(FEED, names)),
        dict(await journal.seen(OTHER, names)),
        list(await journal.dead_letters()),
        list(await journal.quarantined()),
        dict(await journal.emitted("siem", ["a", "b"])),
        await journal.get_value("key"),
        await journal.skipped("away"),
    ]


def test_a_journal_goes_to_postgres_and_back(tmp_path: Path, server: PostgresServer) -> None:
    source, back = StateSettings(directory=tmp_path / "source"), StateSettings(directory=tmp_path / "back")
    there = in_postgres(server, "there")

    async def before() -> list[object]:
        async with opened(source) as journal:
            await fill(journal)
            return await content(journal)

    async def after(state: StateSettings) -> list[object]:
        async with opened(state) as journal:
            return await content(journal)

    wanted = asyncio.run(before())
    counts = migrate_journal(str(source.directory), server.url(), "there", lambda *_: None)
    assert counts["seen"] == 3000 + 3 + len(HOSTILE)
    assert asyncio.run(after(there)) == wanted
    assert migrate_journal(server.url(), str(back.directory), "there", lambda *_: None) == counts
    assert asyncio.run(after(back)) == wanted

    async def go_on(state: StateSettings) -> None:
        async with opened(state) as journal:
            await journal.attach("siem", "beginning", Backlog())
            await journal.commit(commit_of("new"))
            await journal.commit(Commit(Feed("account", "third"), "print", seen=(seen_row("new"),)))
            await journal.acknowledge("siem", after=2, upto=3, dead=[letter("siem", 3, revision("c"))])
            assert [number for number, _ in await journal.dead_letters()] == [1, 2]
            assert await journal.expire(OTHER, datetime(2030, 1, 1, tzinfo=UTC)) == 3000 + len(HOSTILE)

    asyncio.run(go_on(there))
    asyncio.run(go_on(back))


def test_every_table_is_copied(tmp_path: Path, server: PostgresServer) -> None:
    directory = tmp_path / "source"

    async def make(state: StateSettings) -> None:
        async with opened(state):
            pass

    asyncio.run(make(StateSettings(directory=directory)))
    asyncio.run(make(in_postgres(server, "tables")))
    with closing(sqlite3.connect(directory / FILE)) as connection:
        ours = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    theirs = {
        name for (name,) in server.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'tables'")
    }
    copied = {table.name for table in TABLES}
    assert ours - copied == {"schema", "states", "sqlite_sequence"}
    of_replicas = {"leases", "replicas", "requests", "generations"}
    assert theirs - copied == {"email_connector_schema", "states", *of_replicas}


def test_an_interrupted_copy_is_continued_and_cannot_be_used(
    tmp_path: Path, server: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = StateSettings(directory=tmp_path / "source")
    there = in_postgres(server, "interrupted")

    async def before() -> None:
        async with opened(source) as journal:
            await fill(journal)

    async def use() -> None:
        async with opened(there):
            pass

    def stop(table: str, rows: int) -> None:
        if table == "seen" and rows >= 2000:
            raise KeyboardInterrupt

    asyncio.run(before())
    with pytest.raises(KeyboardInterrupt):
        migrate_journal(str(source.directory), server.url(), "interrupted", stop)
    with pytest.raises(JournalBroken, match="unfinished copy"):
        asyncio.run(use())
    copied: list[tuple[str, int]] = []
    migrate_journal(
        str(source.directory), server.url(), "interrupted", lambda table, rows: copied.append((table, rows))
    )
    assert dict(copied)["seen"] == 1003 + len(HOSTILE)
    asyncio.run(use())


def test_what_must_not_be_copied_is_refused(tmp_path: Path, server: PostgresServer) -> None:
    source = StateSettings(directory=tmp_path / "source")

    async def make(state: StateSettings) -> None:
        async with opened(state) as journal:
            await journal.commit(commit_of("a"))

    asyncio.run(make(source))
    asyncio.run(make(in_postgres(server, "used")))
    with pytest.raises(JournalError, match="not empty"):
        migrate_journal(str(source.directory), server.url(), "used", lambda *_: None)
    with pytest.raises(JournalError, match="no journal"):
        migrate_journal(str(tmp_path / "nowhere"), server.url(), "new", lambda *_: None)
    server.execute(
        "INSERT INTO used.replicas VALUES ('r', 'h', 1, '1', '{}', now(), now() + interval '1 minute')"
    )
    with pytest.raises(JournalError, match="1 replicas use"):
        migrate_journal(server.url(), str(tmp_path / "target"), "used", lambda *_: None)


def test_a_copy_that_differs_is_noticed(tmp_path: Path, server: PostgresServer) -> None:
    source = StateSettings(directory=tmp_path / "source")

    async def make() -> None:
        async with opened(source) as journal:
            await fill(journal)

    asyncio.run(make())

    def tamper(table: str, _: int) -> None:
        if table == "counters":
            server.execute("UPDATE tampered.seen SET number = 9")

    with pytest.raises(JournalBroken, match="seen differs"):
        migrate_journal(str(source.directory), server.url(), "tampered", tamper)
