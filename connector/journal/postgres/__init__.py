"""The journal on PostgreSQL: one schema of a database, shared by several replicas of the connector."""

from __future__ import annotations

from connector.journal.postgres.journal import PostgresJournal
from connector.journal.postgres.server import Server, Tls

__all__ = ["PostgresJournal", "Server", "Tls"]
