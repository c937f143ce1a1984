"""The PostgreSQL journal keeps the contract of the journal protocols, on a real server."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from connector.journal import JournalOptions
from connector.journal.postgres import PostgresJournal, Server
from connector.secret import Secret
from connector.testing.journal import CHECKS, Check
from tests.support.postgres import PostgresServer

pytestmark = pytest.mark.xdist_group("postgres")


@pytest.mark.slow
@pytest.mark.parametrize("cache", [0, 4 << 20], ids=["without cache", "with cache"])
@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
async def test_contract(check: Check, cache: int, postgres: PostgresServer) -> None:
    server = Server(Secret(postgres.url()), postgres.schema())
    await check(
        lambda: PostgresJournal.open(
            server,
            observe=lambda _: None,
            clock=lambda: datetime.now(UTC),
            options=JournalOptions(cache=cache),
        )
    )
