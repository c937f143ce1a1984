"""The database schema, and the migrations from every earlier version.

Times are microseconds since 1970. Text that mail can influence is kept as UTF-8 bytes, because a lone
surrogate is no SQL text.
"""

from __future__ import annotations

import sqlite3
from pathlib import Path

from connector.errors import JournalBroken
from connector.journal.integrity import damaged

APPLICATION_ID = 0x43464A4C
"""Marks the file as ours ("CFJL"), so that a foreign database is refused rather than extended."""

_FIRST = (
    """CREATE TABLE counters (
        id INTEGER PRIMARY KEY CHECK (id = 1),
        head INTEGER NOT NULL,       -- newest sequence number ever given
        floor INTEGER NOT NULL,      -- newest sequence number whose entry is gone
        bytes INTEGER NOT NULL,      -- compressed bytes of all entries ever written
        trimmed INTEGER NOT NULL,    -- of these, gone
        committed INTEGER NOT NULL   -- when the newest entry was written; never steps back
    )""",
    "INSERT INTO counters VALUES (1, 0, 0, 0, 0, 0)",
    """CREATE TABLE entries (
        first INTEGER PRIMARY KEY,
        last INTEGER NOT NULL,
        before INTEGER NOT NULL,     -- compressed bytes of all entries before this one
        size INTEGER NOT NULL,
        committed INTEGER NOT NULL,
        earliest INTEGER NOT NULL,   -- record times
        latest INTEGER NOT NULL,
        only TEXT,                   -- the one output that reads it; NULL: all of them
        tolerant INTEGER NOT NULL,   -- 1: only the tolerant decoder reads the body without loss
        body BLOB NOT NULL
    )""",
    """CREATE TABLE outputs (
        output TEXT PRIMARY KEY,
        position INTEGER NOT NULL,
        bytes INTEGER NOT NULL,      -- compressed bytes up to the position
        high_water INTEGER NOT NULL, -- the same, up to the furthest position that it ever had
        attached INTEGER NOT NULL,
        max_bytes INTEGER NOT NULL,
        when_full TEXT NOT NULL,
        dead_letters INTEGER NOT NULL DEFAULT 0,
        missed INTEGER NOT NULL DEFAULT 0,   -- revisions deleted while detached
        gap_after INTEGER,                   -- position before and after the newest gap
        gap_upto INTEGER,
        gap_start INTEGER,
        gap_end INTEGER,
        gap_cause TEXT
    ) WITHOUT ROWID""",
    """CREATE TABLE dead_letters (
        number INTEGER PRIMARY KEY AUTOINCREMENT,
        output TEXT NOT NULL,
        details BLOB NOT NULL,       -- JSON: sequence, reason, answer, attempts, first try, dead-lettered at
        raw INTEGER NOT NULL,        -- bytes of the body before compression
        tolerant INTEGER NOT NULL,
        body BLOB NOT NULL
    )""",
    "CREATE INDEX dead_letters_by_output ON dead_letters (output, number)",
    """CREATE TABLE quarantine (
        number INTEGER PRIMARY KEY AUTOINCREMENT,
        feed INTEGER NOT NULL,
        hash BLOB NOT NULL,          -- of the bytes
        reason TEXT NOT NULL,
        raw BLOB NOT NULL,           -- the bytes, compressed
        at INTEGER NOT NULL
    )""",
    "CREATE UNIQUE INDEX quarantine_by_hash ON quarantine (feed, hash)",
    """CREATE TABLE emitted (
        row INTEGER PRIMARY KEY AUTOINCREMENT,
        output TEXT NOT NULL,
        key BLOB NOT NULL,           -- hash of the record's key
        identity BLOB NOT NULL,      -- of the revision that was emitted first
        at INTEGER NOT NULL
    )""",
    "CREATE UNIQUE INDEX emitted_by_key ON emitted (output, key)",
    """CREATE TABLE feeds (
        feed INTEGER PRIMARY KEY AUTOINCREMENT,
        account TEXT NOT NULL,
        search TEXT NOT NULL,
        fingerprint TEXT,
        floor INTEGER,
        seen INTEGER NOT NULL DEFAULT 0,
        forgotten INTEGER NOT NULL DEFAULT 0  -- its seen rows are being deleted
    )""",
    "CREATE UNIQUE INDEX feeds_by_name ON feeds (account, search) WHERE forgotten = 0",
    """CREATE TABLE checkpoints (
        feed INTEGER NOT NULL,
        sweep TEXT NOT NULL,
        at INTEGER NOT NULL,
        PRIMARY KEY (feed, sweep)
    ) WITHOUT ROWID""",
    """CREATE TABLE gaps (
        feed INTEGER NOT NULL,
        start INTEGER NOT NULL,
        end INTEGER NOT NULL,
        cause TEXT NOT NULL,
        recorded INTEGER NOT NULL,
        PRIMARY KEY (feed, start, end, cause)
    ) WITHOUT ROWID""",
    """CREATE TABLE states (
        state INTEGER PRIMARY KEY AUTOINCREMENT,
        digest TEXT NOT NULL,
        tolerant INTEGER NOT NULL,
        body BLOB NOT NULL,
        uses INTEGER NOT NULL        -- seen rows in this state
    )""",
    "CREATE INDEX states_by_digest ON states (digest)",
    # A row id table on purpose: rows that were collected together lie together, so that seeing them
    # again writes few pages however random their ids are.
    """CREATE TABLE seen (
        row INTEGER PRIMARY KEY,
        feed INTEGER NOT NULL,
        key BLOB NOT NULL,
        time INTEGER NOT NULL,
        until INTEGER NOT NULL,
        state INTEGER NOT NULL,
        number INTEGER NOT NULL,
        occurrences BLOB,            -- NULL: entered its present state once, and no other
        message BLOB,                -- checksums of time, sender and subject
        mark BLOB                    -- digest of the record; NULL: compare it whatever it is
    )""",
    "CREATE UNIQUE INDEX seen_by_key ON seen (feed, key)",
    "CREATE INDEX seen_by_time ON seen (feed, time)",
    "CREATE TABLE key_values (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID",
    """CREATE TABLE actions (
        number INTEGER PRIMARY KEY AUTOINCREMENT,
        id TEXT NOT NULL UNIQUE,
        caller TEXT NOT NULL,
        request TEXT NOT NULL,
        state TEXT NOT NULL,
        version INTEGER NOT NULL,
        requested INTEGER NOT NULL,
        changed INTEGER NOT NULL,
        due INTEGER,
        subject TEXT,
        tolerant INTEGER NOT NULL,
        body BLOB NOT NULL
    )""",
    "CREATE UNIQUE INDEX actions_by_request ON actions (caller, request)",
    "CREATE INDEX actions_by_time ON actions (caller, requested)",
    "CREATE INDEX actions_by_subject ON actions (subject) WHERE subject IS NOT NULL",
    "CREATE INDEX actions_that_are_due ON actions (number) WHERE due IS NOT NULL",
)

MIGRATIONS: tuple[tuple[str, ...], ...] = (_FIRST,)
"""Statements that lead from version *n* to *n + 1*. Released ones are never edited."""

VERSION = len(MIGRATIONS)


def migrate(connection: sqlite3.Connection, name: str) -> None:
    """Bring the database to this version, each step in a transaction of its own.

    Raises ``JournalBroken`` for a database that is foreign, damaged, or newer than this program.
    """
    version = _version(connection, name)
    if version > VERSION:
        raise JournalBroken(
            f"{name} was written by a newer version (its schema is {version}, this program knows {VERSION}); "
            "run that version again, or set another state.directory"
        )
    for number in range(version, VERSION):
        connection.execute("BEGIN IMMEDIATE")
        for statement in MIGRATIONS[number]:
            connection.execute(statement)
        connection.execute("INSERT INTO schema (version) VALUES (?)", (number + 1,))
        connection.execute(f"PRAGMA user_version = {number + 1}")
        connection.execute("COMMIT")


def _version(connection: sqlite3.Connection, name: str) -> int:
    tables = {row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    if not tables:
        connection.execute("BEGIN IMMEDIATE")
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        connection.execute("CREATE TABLE schema (version INTEGER PRIMARY KEY)")
        connection.execute("COMMIT")
        return 0
    check_application(connection, name)
    if "schema" not in tables:
        raise damaged(Path(name), "its schema version is missing")
    newest, count = connection.execute("SELECT coalesce(max(version), 0), count(*) FROM schema").fetchone()
    if newest != count:
        raise damaged(Path(name), f"its schema is {newest} after {count} migrations")
    # A page of another table in its place can look like one: the header says it again.
    (header,) = connection.execute("PRAGMA user_version").fetchone()
    if header != newest:
        raise damaged(Path(name), f"its schema is {newest}, and {header} in its header")
    return int(newest)


def check_application(connection: sqlite3.Connection, name: str) -> None:
    """Raise ``JournalBroken`` for a database that no released version of this program made."""
    (marked,) = connection.execute("PRAGMA application_id").fetchone()
    if marked != APPLICATION_ID:
        raise JournalBroken(
            f"{name} is a database of another program, or of a version before the first release; set another "
            "state.directory, or move it away"
        )
