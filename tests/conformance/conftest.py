"""One PostgreSQL for all tests of this directory that a worker runs; each test has a schema of its own."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.postgres import PostgresServer, postgres_server


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """A running server."""
    with postgres_server() as server:
        yield server
