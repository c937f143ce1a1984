"""Checks whether a journal holds what the connector wrote: pages, types, and counters that must agree.

SQLite has no checksums of its own pages, so a flipped bit may leave a valid database with an impossible row.
The quick check at every start is bounded in time; ``state check`` runs the full one.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from connector.errors import JournalDamaged

TYPES = {
    "counters": {"head": "integer", "floor": "integer", "bytes": "integer", "trimmed": "integer"},
    "entries": {
        "first": "integer",
        "last": "integer",
        "before": "integer",
        "size": "integer",
        "committed": "integer",
        "earliest": "integer",
        "latest": "integer",
        "tolerant": "integer",
        "body": "blob",
    },
    "outputs": {"output": "text", "position": "integer", "bytes": "integer", "high_water": "integer"},
    "dead_letters": {"output": "text", "details": "blob", "tolerant": "integer", "body": "blob"},
    "feeds": {"account": "text", "search": "text", "seen": "integer", "forgotten": "integer"},
    "checkpoints": {"feed": "integer", "sweep": "text", "at": "integer"},
    "gaps": {"start": "integer", "end": "integer", "cause": "text", "recorded": "integer"},
    "states": {"digest": "text", "tolerant": "integer", "body": "blob", "uses": "integer"},
    "seen": {
        "feed": "integer",
        "key": "blob",
        "time": "integer",
        "until": "integer",
        "state": "integer",
        "number": "integer",
    },
    "key_values": {"key": "text", "value": "text"},
    "quarantine": {"feed": "integer", "hash": "blob", "reason": "text", "raw": "blob", "at": "integer"},
    "emitted": {"output": "text", "key": "blob", "identity": "blob", "at": "integer"},
    "actions": {
        "id": "text",
        "caller": "text",
        "request": "text",
        "state": "text",
        "version": "integer",
        "requested": "integer",
        "changed": "integer",
        "tolerant": "integer",
        "body": "blob",
    },
}
"""The type of every column that is read without a check, by table. The small tables come first."""

_STEPS = 10_000
"""Virtual machine instructions between two looks at the clock: about a millisecond."""

_CONSISTENT = {
    "the counters are missing": "SELECT count(*) = 1 FROM counters",
    "the counters contradict each other": (
        "SELECT 0 <= floor AND floor <= head AND 0 <= trimmed AND trimmed <= bytes FROM counters"
    ),
    "the entries do not match the counters": (
        "SELECT coalesce(min(first) > (SELECT floor FROM counters) "
        "AND max(last) <= (SELECT head FROM counters) "
        "AND min(last - first) >= 0 AND sum(size) = (SELECT bytes - trimmed FROM counters), "
        "(SELECT bytes = trimmed FROM counters)) FROM entries"
    ),
    "an output's position lies beyond the newest revision": (
        "SELECT count(*) = 0 FROM outputs, counters WHERE position < 0 OR position > head"
    ),
}

_QUICK_CHECK_BYTES = 1 << 30
"""Largest database whose pages are checked at every start: SQLite before 3.43 cannot interrupt that check."""


def damaged(path: Path, what: str) -> JournalDamaged:
    """The error for a damaged database, with the way out."""
    return JournalDamaged(
        f"{path} is damaged ({what}). Stop the connector, then restore the file from a backup, or run "
        "`email-connector state recover`, which saves what can be read"
    )


def find_damage(connection: sqlite3.Connection, seconds: float | None = None) -> str | None:
    """Return what is wrong with the database, if anything; ``None`` if nothing was found.

    The check stops after *seconds* (``None``: it is complete). Raises ``sqlite3.Error`` where SQLite fails.
    """
    with _bounded(connection, seconds) as is_over:
        try:
            return _check(connection, pages=seconds is None or _size(connection) <= _QUICK_CHECK_BYTES)
        except sqlite3.OperationalError:
            if is_over():
                return None
            raise


def _check(connection: sqlite3.Connection, *, pages: bool) -> str | None:
    if pages:
        # First: the other checks could read in circles through damaged pages.
        (result,) = connection.execute("PRAGMA quick_check(1)").fetchone()
        if result != "ok":
            return str(result)
    for problem, query in _CONSISTENT.items():
        row = connection.execute(query).fetchone()
        if row is None or row[0] != 1:
            return problem
    for table, columns in TYPES.items():
        wrong = " OR ".join(f"typeof({name}) <> '{kind}'" for name, kind in columns.items())
        query = f"SELECT 1 FROM {table} WHERE {wrong} LIMIT 1"  # noqa: S608, names of our own tables
        if connection.execute(query).fetchone():
            return f"a row of the table {table} holds a value of the wrong type"
    return None


def _size(connection: sqlite3.Connection) -> int:
    (count,) = connection.execute("PRAGMA page_count").fetchone()
    (size,) = connection.execute("PRAGMA page_size").fetchone()
    return int(count) * int(size)


@contextmanager
def _bounded(connection: sqlite3.Connection, seconds: float | None) -> Iterator[Callable[[], bool]]:
    end = None if seconds is None else time.monotonic() + seconds

    def is_over() -> bool:
        return end is not None and time.monotonic() > end

    connection.set_progress_handler(is_over, _STEPS)
    try:
        yield is_over
    finally:
        with suppress(sqlite3.Error):
            connection.set_progress_handler(None, 0)
