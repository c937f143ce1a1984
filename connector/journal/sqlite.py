"""SQLite as the journal wants it: how the file is opened, and what its errors mean here."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from connector.errors import JournalBroken, JournalError, JournalFull

SQLITE = sqlite3.sqlite_version
"""The version of SQLite in use."""

_PAGE = 4096
_CHECKPOINT_PAGES = 1024
"""Length of the write-ahead log at which it is folded in. The ballast must hold as much, and some more."""

_WAL_LIMIT = 64 << 20
_CACHE_KIB = 4 << 10

_NO_ROOM = frozenset(
    {sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY}
)
_DAMAGED = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})
_READING = frozenset(
    {sqlite3.SQLITE_IOERR_READ, sqlite3.SQLITE_IOERR_SHORT_READ, sqlite3.SQLITE_READONLY_DBMOVED}
)


def connect(path: Path) -> sqlite3.Connection:
    """Open the database, made readable for its owner only where it is new.

    One connection, exclusively: SQLite before 3.51.3 can damage a file that two write to.
    """
    os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
    connection = sqlite3.connect(path, isolation_level=None, cached_statements=256)
    try:
        connection.execute("PRAGMA locking_mode = EXCLUSIVE")
        if path.stat().st_size == 0:
            # Only where it is new: these write, which a full disk would not let them.
            connection.execute(f"PRAGMA page_size = {_PAGE}")
            connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
        connection.execute("PRAGMA journal_mode = WAL").fetchone()
        connection.execute("PRAGMA synchronous = FULL")
        # Deleted pages are reused, and the file is its owner's: overwriting them doubles the writing.
        connection.execute("PRAGMA secure_delete = OFF")
        connection.execute("PRAGMA temp_store = MEMORY")
        connection.execute(f"PRAGMA cache_size = -{_CACHE_KIB}")
        connection.execute(f"PRAGMA wal_autocheckpoint = {_CHECKPOINT_PAGES}")
        connection.execute(f"PRAGMA journal_size_limit = {_WAL_LIMIT}")
    except BaseException:
        connection.close()
        raise
    return connection


def explain(error: sqlite3.Error | OSError, path: Path) -> JournalError:
    """The journal's own error for *error*."""
    if isinstance(error, OSError):
        return JournalBroken(f"{path} cannot be opened: {error.strerror}; make it readable and writable")
    code = getattr(error, "sqlite_errorcode", None)
    primary = code & 0xFF if isinstance(code, int) else None
    if primary in _DAMAGED or code in _READING:
        return broken(path, str(error))
    if primary in _NO_ROOM:
        name = getattr(error, "sqlite_errorname", "")
        return JournalFull(
            f"{path} cannot be written ({error}, {name}); make room on that disk, it goes on by itself"
        )
    if primary in {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}:
        return JournalFull(f"{path} is locked by another program; end that program, it goes on by itself")
    return JournalError(f"{path}: {error}")


def broken(path: Path, what: str) -> JournalBroken:
    """The error for a damaged database, with the way out."""
    return JournalBroken(
        f"{path} is damaged ({what}). Stop the connector and bring the file back from a backup; or move "
        f"{path.name}* to another directory and start again: the searches then begin anew at their start, "
        "so set each search's start to before the damage. What was delivered before comes once more, under "
        "the same event ids"
    )


@contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """All of it durable at the end, or none of it."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        # A full disk may have ended the transaction already.
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise
