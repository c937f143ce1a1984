"""The PostgreSQL journal keeps the contract of the journal protocols, on a real server that may fail."""

from __future__ import annotations

import asyncio
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import AbstractAsyncContextManager, suppress
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Literal

import psycopg
import pytest
import trustme

from connector.errors import JournalBroken, JournalUnavailable, Moved
from connector.facts import Fact, JournalAvailable, JournalServerChanged, JournalUnreachable
from connector.journal import JournalOptions
from connector.journal.postgres import PostgresJournal, Server, Tls
from connector.journal.postgres.database import CONNECTIONS, Database, Query, Row, Transaction
from connector.model import Backlog, Step
from connector.secret import Secret
from connector.testing.journal import CHECKS, Check
from connector.testing.journal_harness import FEED, START, commit_of, names_of, next_entry
from connector.testing.journal_shared import (
    SHARED_CHECKS,
    a_former_holder_writes_nothing,
    a_lease_has_one_holder,
    what_one_commits_the_other_reads,
)
from tests.support.pgbouncer import pgbouncer
from tests.support.postgres import PostgresServer, postgres_server, standby_of
from tests.support.postgres_proxy import CommitProxy, SilentProxy, listening

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("postgres")]


def opened(
    url: str,
    schema: str,
    facts: list[Fact] | None = None,
    *,
    patience: float | None = None,
    options: JournalOptions | None = None,
) -> AbstractAsyncContextManager[PostgresJournal]:
    """A way to open the journal in *schema*."""
    return PostgresJournal.open(
        Server(Secret(url), schema),
        observe=(facts if facts is not None else []).append,
        clock=lambda: datetime.now(UTC),
        options=options,
        patience=patience,
        start_patience=5.0,
    )


@pytest.fixture
def own_server() -> Iterator[PostgresServer]:
    """A server that the test may stop."""
    with postgres_server() as server:
        yield server


@pytest.mark.parametrize("cache", [0, 4 << 20], ids=["without cache", "with cache"])
@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
async def test_contract(check: Check, cache: int, postgres: PostgresServer) -> None:
    await check(partial(opened, postgres.url(), postgres.schema(), options=JournalOptions(cache=cache)))


@pytest.mark.parametrize("check", SHARED_CHECKS, ids=lambda check: check.__name__)
async def test_contract_of_several_processes(check: Check, postgres: PostgresServer) -> None:
    await check(partial(opened, postgres.url(), postgres.schema()))


@pytest.mark.parametrize("cut", ["before", "answer"])
async def test_a_commit_whose_answer_is_lost_is_stored_once(cut: str, postgres: PostgresServer) -> None:
    schema = postgres.schema()
    async with listening(CommitProxy(postgres.port)) as proxy:
        url = f"postgresql://postgres@127.0.0.1:{proxy.port}/postgres"
        async with opened(url, schema) as journal:
            await journal.attach("siem", "beginning", Backlog())
            proxy.cut = "before" if cut == "before" else "answer"
            await journal.commit(commit_of("a", step=Step("live", None, START)))
            assert proxy.cuts == 1
            proxy.cut = "before" if cut == "before" else "answer"
            await journal.acknowledge("siem", after=0, upto=1)
            assert proxy.cuts == 2
            outline = await journal.outline()
            assert (outline.head, outline.outputs[0].position) == (1, 1)


async def test_without_patience_a_lost_commit_is_refused(
    postgres: PostgresServer,
) -> None:
    async with listening(CommitProxy(postgres.port)) as proxy:
        url = f"postgresql://postgres@127.0.0.1:{proxy.port}/postgres"
        async with opened(url, postgres.schema(), patience=0.0) as journal:
            proxy.cut = "before"
            with pytest.raises(JournalUnavailable):
                await journal.commit(commit_of("a"))
            assert (await journal.outline()).head == 0
            assert await journal.seen(FEED, ["a"]) == {}


async def test_serialization_failures_are_retried(postgres: PostgresServer) -> None:
    async with opened(postgres.url(), postgres.schema()) as journal:
        attempts = 0

        def work(transaction: Transaction) -> int:
            nonlocal attempts
            attempts += 1
            if attempts < 3:
                transaction.one("DO $$ BEGIN RAISE EXCEPTION USING ERRCODE = 'serialization_failure'; END $$")
            return attempts

        assert await journal._database.write(work) == 3


async def test_everything_waits_for_a_server_that_is_away(own_server: PostgresServer) -> None:
    facts: list[Fact] = []
    async with opened(own_server.url(), "away", facts) as journal:
        await journal.attach("siem", "beginning", Backlog())
        await journal.commit(commit_of("a"))
        await asyncio.to_thread(own_server.stop, "immediate")
        committing = asyncio.ensure_future(journal.commit(commit_of("b")))
        acknowledging = asyncio.ensure_future(journal.acknowledge("siem", after=0, upto=1))
        cancelled = asyncio.ensure_future(journal.commit(commit_of("c")))
        await asyncio.sleep(1.0)
        cancelled.cancel()
        await asyncio.gather(cancelled, return_exceptions=True)
        assert cancelled.cancelled()
        assert not committing.done()
        assert [type(fact) for fact in facts if isinstance(fact, JournalUnreachable | JournalAvailable)] == [
            JournalUnreachable
        ]
        await asyncio.to_thread(own_server.start)
        await asyncio.gather(committing, acknowledging)
        assert names_of(await next_entry(journal, "siem", 1)) == ["b"]
        assert [type(fact) for fact in facts if isinstance(fact, JournalUnreachable | JournalAvailable)] == [
            JournalUnreachable, JournalAvailable,
        ]  # fmt: skip
        assert (await journal.outline()).head == 2


async def test_connections_that_a_proxy_keeps_open_in_silence_are_given_up(
    postgres: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server behind a pooler or load balancer is gone, and another one answers who connects anew."""
    monkeypatch.setattr("connector.journal.postgres.database.ANSWER_SECONDS", 0.5)
    monkeypatch.setattr("connector.journal.postgres.journal.LEASE_SECONDS", 0.5)
    facts: list[Fact] = []
    async with listening(SilentProxy(postgres.port)) as proxy:
        url = f"postgresql://postgres@127.0.0.1:{proxy.port}/postgres"
        async with opened(url, postgres.schema(), facts) as journal, asyncio.timeout(60):
            await journal.commit(commit_of("a"))
            assert journal.leases is not None
            await journal.leases.renew([], {})
            proxy.silence()
            await journal.commit(commit_of("b"))
            assert (await journal.outline()).head == 2
            with pytest.raises(JournalUnavailable, match="no answer within"):
                await journal.leases.renew([], {})
            await journal.leases.renew([], {})
    assert any("no answer within" in reason for reason in reasons_of(facts))


async def test_the_reason_that_somebody_has_to_see_to_is_told_though_another_came_first(
    postgres: PostgresServer,
) -> None:
    """Connections break, and new ones are refused: the log must not stay with what broke them."""
    schema = postgres.schema()
    postgres.execute(f"CREATE ROLE {schema} LOGIN")
    postgres.execute(f"CREATE SCHEMA {schema} AUTHORIZATION {schema}")
    facts: list[Fact] = []
    async with opened(postgres.url(schema), schema, facts) as journal, asyncio.timeout(60):
        await journal.commit(commit_of("a"))
        postgres.execute(f"ALTER ROLE {schema} NOLOGIN")
        postgres.execute(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = '{schema}'")
        committing = asyncio.ensure_future(journal.commit(commit_of("b")))
        while not any("permitted" in reason for reason in reasons_of(facts)):  # noqa: ASYNC110, no event tells
            await asyncio.sleep(0.05)
        postgres.execute(f"ALTER ROLE {schema} LOGIN")
        await committing
    [*_, told] = reasons_of(facts)
    assert "refuses the connection" in told
    assert "give the role LOGIN" in told
    assert any(isinstance(fact, JournalAvailable) for fact in facts)


def reasons_of(facts: list[Fact]) -> list[str]:
    """Why the server could not be reached, as told."""
    return [fact.reason for fact in facts if isinstance(fact, JournalUnreachable)]


async def test_idle_connections_from_before_an_outage_are_not_used_again(postgres: PostgresServer) -> None:
    """They are broken: the first use of each would report another outage."""
    async with opened(postgres.url(), postgres.schema()) as journal:
        before = await connections_of(journal._database)
        journal._database._tell("the server is away")
        journal._database._tell("")
        after = await connections_of(journal._database)
        assert len(before) == len(after) == CONNECTIONS
        assert not before & after
        assert all(connection.closed for connection in before)


async def connections_of(database: Database) -> set[psycopg.Connection[Row]]:
    """The connection of every thread."""

    def own(query: Query) -> psycopg.Connection[Row]:
        query.one("SELECT pg_sleep(0.3)")
        return query.connection

    return set(await asyncio.gather(*(database.read(own) for _ in range(CONNECTIONS))))


async def test_what_a_restored_server_lost_is_noticed(own_server: PostgresServer) -> None:
    """The head went back, as after a failover to a standby that lagged: readers attach again."""
    facts: list[Fact] = []
    async with opened(own_server.url(), "lost", facts) as journal:
        await journal.attach("siem", "beginning", Backlog())
        await journal.commit(commit_of("a"))
        await journal.commit(commit_of("b", "c"))
        own_server.execute("DELETE FROM lost.entries WHERE first > 1")
        own_server.execute("UPDATE lost.counters SET head = 1, timeline = 'before'")
        own_server.execute("UPDATE lost.outputs SET position = 3")
        await journal._look(frozenset())
        changed = [fact for fact in facts if isinstance(fact, JournalServerChanged)]
        assert [(fact.lost, fact.clamped) for fact in changed] == [(2, 1)]
        assert await journal.attach("siem", "beginning", Backlog()) == 1
        await journal.commit(commit_of("b"))
        entry = await next_entry(journal, "siem", 1)
        assert (entry.first, names_of(entry)) == (2, ["b"])


async def test_a_role_with_the_documented_grants_is_enough(postgres: PostgresServer) -> None:
    schema = postgres.schema()
    postgres.execute(f"CREATE ROLE {schema} LOGIN")
    postgres.execute(f"CREATE SCHEMA {schema} AUTHORIZATION {schema}")
    async with opened(postgres.url(schema), schema) as journal:
        await journal.commit(commit_of("a"))
        assert journal.leases is not None
        assert await journal.leases.take(["x"]) is not None


async def test_what_is_missing_is_named(postgres: PostgresServer) -> None:
    postgres.execute("CREATE ROLE stranger LOGIN")
    with pytest.raises(JournalBroken, match=r"docs/high-availability.md"):
        async with opened(postgres.url("stranger"), "strange"):
            pass
    with pytest.raises(JournalBroken, match="create the database"):
        async with opened(postgres.url(database="nowhere"), "strange"):
            pass
    postgres.execute("CREATE SCHEMA foreign_tables")
    postgres.execute("CREATE TABLE foreign_tables.orders (id int)")
    with pytest.raises(JournalBroken, match="another program"):
        async with opened(postgres.url(), "foreign_tables"):
            pass


async def test_many_processes_create_the_schema_once(postgres: PostgresServer) -> None:
    schema = postgres.schema()

    async def use(name: str) -> None:
        async with opened(postgres.url(), schema) as journal:
            await journal.set_value(name, "1")

    await asyncio.gather(*(use(str(number)) for number in range(4)))
    assert postgres.execute(f"SELECT count(*) FROM {schema}.key_values") == [(4,)]


_POOLED = (what_one_commits_the_other_reads, a_former_holder_writes_nothing, a_lease_has_one_holder)


@pytest.mark.parametrize("mode", ["session", "transaction"])
async def test_a_pooler_is_detected_and_works(
    mode: Literal["session", "transaction"], postgres: PostgresServer
) -> None:
    """Behind PgBouncer there are no notifications: replicas look for changes themselves."""
    place = Path(tempfile.mkdtemp(prefix="email-connector-pgbouncer-"))
    try:
        with pgbouncer(postgres.port, place, mode) as port:
            url = f"postgresql://postgres@127.0.0.1:{port}/postgres"
            async with opened(url, postgres.schema()) as journal:
                assert "pooler" in journal.description
                assert any("pooler" in caution for caution in await journal.cautions())
            for check in (
                what_one_commits_the_other_reads,
                a_former_holder_writes_nothing,
                a_lease_has_one_holder,
            ):
                await check(partial(opened, url, postgres.schema()))
    finally:
        shutil.rmtree(place)


async def test_a_failover_to_a_standby_that_lagged_loses_nothing(own_server: PostgresServer) -> None:
    """What the standby lacks is noticed; its checkpoints are gone as well, so that time is read again."""
    facts: list[Fact] = []
    with standby_of(own_server) as standby:
        async with opened(own_server.url(), "failover") as journal:
            await journal.attach("siem", "beginning", Backlog())
            await journal.commit(commit_of("before"))
            await journal.acknowledge("siem", after=0, upto=1)
            assert any("synchronous_standby_names" in caution for caution in await journal.cautions())
            await asyncio.to_thread(_until_replicated, standby)
        await asyncio.to_thread(standby.stop)
        url = f"postgresql://postgres@127.0.0.1:{own_server.port},127.0.0.1:{standby.port}/postgres"
        async with opened(url, "failover", facts) as journal:
            assert await journal.attach("siem", "beginning", Backlog()) == 1
            await journal.commit(commit_of("a", step=Step("live", None, START)))
            await journal.acknowledge("siem", after=1, upto=2)
            await asyncio.to_thread(own_server.kill)
            await asyncio.to_thread(standby.start)
            await asyncio.to_thread(standby.promote)
            assert (await journal.progress(FEED)).checkpoints == {}
            await journal._look(frozenset())
            (changed,) = [fact for fact in facts if isinstance(fact, JournalServerChanged)]
            assert (changed.lost, changed.timeline) == (1, "00000002")
            with pytest.raises(Moved):
                await journal.read("siem", 2)
            assert await journal.attach("siem", "beginning", Backlog()) == 1
            await journal.commit(commit_of("a", step=Step("live", None, START)))
            assert names_of(await next_entry(journal, "siem", 1)) == ["a"]


def _until_replicated(standby: PostgresServer) -> None:
    """Wait until the standby has the acknowledged position."""
    deadline = time.monotonic() + 30
    while True:
        with suppress(psycopg.Error):
            if standby.execute("SELECT position FROM failover.outputs") == [(1,)]:
                return
        assert time.monotonic() < deadline, "the standby did not follow"
        time.sleep(0.1)


async def test_tls_is_verified() -> None:
    """The default for a server elsewhere: the certificate is checked, and its name."""
    authority = trustme.CA()
    certificate = authority.issue_cert("localhost")
    place = Path(tempfile.mkdtemp(prefix="email-connector-tls-"))
    os.chmod(place, 0o755)  # noqa: PTH101, nothing else runs on this loop
    try:
        ca, chain, key = place / "ca.pem", place / "cert.pem", place / "key.pem"
        authority.cert_pem.write_to_path(str(ca))
        certificate.cert_chain_pems[0].write_to_path(str(chain))
        certificate.private_key_pem.write_to_path(str(key))
        key.chmod(0o640)
        if os.getuid() == 0:
            shutil.chown(key, "root", "postgres")
        settings = ("ssl=on", f"ssl_cert_file={chain}", f"ssl_key_file={key}")
        with postgres_server(*settings) as server:
            by_name = f"postgresql://postgres@localhost:{server.port}/postgres"

            def with_tls(url: str, tls: Tls) -> AbstractAsyncContextManager[PostgresJournal]:
                return PostgresJournal.open(
                    Server(Secret(url), "tls", tls=tls),
                    observe=lambda _: None,
                    clock=lambda: datetime.now(UTC),
                    start_patience=5.0,
                )

            async with with_tls(by_name, Tls("verify-full", ca)) as journal:
                await journal.commit(commit_of("a"))
                used = server.execute("SELECT bool_or(ssl) FROM pg_stat_ssl WHERE pid <> pg_backend_pid()")
                assert used == [(True,)]
            with pytest.raises(JournalBroken, match=r"tls\.mode: verify-ca"):
                async with with_tls(server.url(), Tls("verify-full", ca)):
                    pass
            async with with_tls(server.url(), Tls("verify-ca", ca)):
                pass
            with pytest.raises(JournalBroken, match=r"tls\.ca_file"):
                async with with_tls(by_name, Tls("verify-full")):
                    pass
    finally:
        shutil.rmtree(place)
