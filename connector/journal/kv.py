"""Key-value table for small state that survives restarts, such as the end of a rate limit."""

from __future__ import annotations

import sqlite3

from connector.journal.codec import printable


def get_value(connection: sqlite3.Connection, key: str) -> str | None:
    """The value of *key*, if it has one."""
    row = connection.execute("SELECT value FROM key_values WHERE key = ?", (key,)).fetchone()
    return None if row is None else str(row[0])


def set_value(connection: sqlite3.Connection, key: str, value: str | None) -> None:
    """Store *value* under *key*; ``None`` deletes it."""
    if value is None:
        connection.execute("DELETE FROM key_values WHERE key = ?", (key,))
    else:
        connection.execute(
            "INSERT INTO key_values (key, value) VALUES (?, ?) "
            "ON CONFLICT (key) DO UPDATE SET value = excluded.value",
            (key, printable(value)),
        )


def forget(connection: sqlite3.Connection, prefix: str) -> None:
    """Delete every key that begins with *prefix*."""
    connection.execute("DELETE FROM key_values WHERE substr(key, 1, ?) = ?", (len(prefix), prefix))
