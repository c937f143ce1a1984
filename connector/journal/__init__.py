"""The durable log between collection and delivery: one SQLite database in the state directory."""

from __future__ import annotations

from connector.journal.journal import About, Journal, Options

__all__ = ["About", "Journal", "Options"]
