"""The durable log between collection and delivery: one SQLite database in the state directory."""

from __future__ import annotations

from connector.journal.database import SQLITE
from connector.journal.journal import FILE, Journal
from connector.journal.options import JournalInfo, JournalOptions

__all__ = ["FILE", "SQLITE", "Journal", "JournalInfo", "JournalOptions"]
