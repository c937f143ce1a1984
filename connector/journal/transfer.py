"""Copies a journal into an empty one of another kind, table by table, and compares both in the end.

The source is only read. The target carries a note until everything is compared, so that an interrupted copy
is continued where it was, and never used by mistake.
"""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol, TypeAlias

import orjson

from connector.errors import JournalBroken, JournalError
from connector.journal.database import connect, explain, transaction
from connector.journal.lock import hold_directory
from connector.journal.schema import migrate
from connector.values import dataclass

Value: TypeAlias = int | str | bytes | None
Row: TypeAlias = tuple[Value, ...]

UNFINISHED = "migration"
"""Key of the note in a target that is not complete yet."""

_AT_ONCE = 1000


@dataclass(frozen=True, slots=True)
class Table:
    """A table as both kinds have it; its first *key* columns identify and order the rows."""

    name: str
    key: int
    columns: tuple[str, ...]


TABLES: tuple[Table, ...] = (
    Table("feeds", 1, ("feed", "account", "search", "fingerprint", "floor", "seen", "forgotten")),
    Table("checkpoints", 2, ("feed", "sweep", "at")),
    Table("gaps", 4, ("feed", "start", "end", "cause", "recorded")),
    Table(
        "seen",
        2,
        ("feed", "key", "time", "until", "number", "occurrences", "message", "mark", "digest", "tolerant",
         "body"),
    ),
    Table("quarantine", 1, ("number", "feed", "hash", "reason", "raw", "at")),
    Table(
        "entries",
        1,
        ("first", "last", "before", "size", "committed", "earliest", "latest", "only", "tolerant", "body"),
    ),
    Table("dead_letters", 1, ("number", "output", "details", "raw", "tolerant", "body")),
    Table("emitted", 2, ("output", "key", "identity", "at")),
    Table("key_values", 1, ("key", "value")),
    Table(
        "actions",
        1,
        ("number", "id", "caller", "request", "state", "version", "requested", "changed", "due", "subject",
         "tolerant", "body"),
    ),
    Table(
        "outputs",
        1,
        ("output", "position", "bytes", "high_water", "attached", "max_bytes", "when_full", "dead_letters",
         "missed", "gap_after", "gap_upto", "gap_start", "gap_end", "gap_cause"),
    ),
    Table("counters", 1, ("id", "head", "floor", "bytes", "trimmed", "committed")),
)  # fmt: skip
"""In the order of copying: the counters last, so that a target without them is empty for everybody else."""


class Side(Protocol):
    """One journal, opened for a copy."""

    @property
    def name(self) -> str:
        """What and where, for people."""
        ...

    def rows(self, table: Table, after: Row | None, limit: int) -> list[Row]:
        """At most *limit* rows after the key *after*, in the order of the key."""
        ...

    def insert(self, table: Table, rows: Sequence[Row]) -> None:
        """Add *rows*, durably."""
        ...

    def last_key(self, table: Table) -> Row | None:
        """The greatest key of *table*."""
        ...

    def note(self, text: str | None) -> None:
        """Set or remove the note that the copy is not complete."""
        ...

    def noted(self) -> str | None:
        """The note."""
        ...

    def finish(self) -> None:
        """Bring what is derived (numbers to give next, uses of states) up to date."""
        ...


Report: TypeAlias = Callable[[str, int], None]


def copy(source: Side, target: Side, report: Report) -> dict[str, int]:
    """Copy *source* into *target* and compare both; returns the number of rows by table.

    *report* is called with a table and how many rows of it were copied so far. Raises ``JournalError`` for a
    target that holds another journal, ``JournalBroken`` when the copies differ.
    """
    if source.noted() is not None:
        raise JournalError(f"{source.name} is itself an unfinished copy")
    begun = target.noted()
    if begun is None and not _is_empty(target):
        raise JournalError(f"{target.name} is not empty; give an empty one, or move it away")
    if begun not in {None, source.name}:
        raise JournalError(f"{target.name} is an unfinished copy of {begun}; continue that one, or empty it")
    target.note(source.name)
    for table in TABLES:
        _copy_table(source, target, table, report)
    target.finish()
    counts = {}
    for table in TABLES:
        ours, theirs = _digest(source, table), _digest(target, table)
        if ours != theirs:
            raise JournalBroken(
                f"{table.name} differs after the copy ({ours[0]} rows in {source.name}, {theirs[0]} in "
                f"{target.name}): the source changed meanwhile; empty the target and copy again"
            )
        counts[table.name] = ours[0]
    target.note(None)
    return counts


def _is_empty(side: Side) -> bool:
    tables = (table for table in TABLES if table.name != "counters")
    return all(side.last_key(table) is None for table in tables)


def _copy_table(source: Side, target: Side, table: Table, report: Report) -> None:
    after = None if table.name == "counters" else target.last_key(table)
    count = 0
    while rows := source.rows(table, after, _AT_ONCE):
        if table.name == "key_values":
            kept = [row for row in rows if row[0] != UNFINISHED]
            target.insert(table, kept)
        else:
            target.insert(table, rows)
        after = rows[-1][: table.key]
        count += len(rows)
        report(table.name, count)


def _digest(side: Side, table: Table) -> tuple[int, str]:
    """Number of rows, and a digest of all of them in order; the note aside."""
    digest, count, after = hashlib.sha256(), 0, None
    while rows := side.rows(table, after, _AT_ONCE):
        after = rows[-1][: table.key]
        for row in rows:
            if table.name == "key_values" and row[0] == UNFINISHED:
                continue
            values = [value.hex() if isinstance(value, bytes) else value for value in row]
            digest.update(orjson.dumps(values))
            count += 1
    return count, digest.hexdigest()


class SqliteSide:
    """A journal in a state directory. Use :func:`sqlite_side`."""

    def __init__(self, connection: sqlite3.Connection, path: Path) -> None:
        self._connection = connection
        self._path = path
        self._states: dict[tuple[Value, Value, Value], int] = {}

    @property
    def name(self) -> str:
        """See ``Side``."""
        return str(self._path)

    def rows(self, table: Table, after: Row | None, limit: int) -> list[Row]:
        """See ``Side``."""
        columns = ", ".join(table.columns)
        source = "seen JOIN states USING (state)" if table.name == "seen" else table.name
        key = ", ".join(table.columns[: table.key])
        where, parameters = "", ()
        if after is not None:
            where, parameters = f"WHERE ({key}) > ({_marks(table.key)})", after  # type: ignore[assignment]
        text = f"SELECT {columns} FROM {source} {where} ORDER BY {key} LIMIT ?"  # noqa: S608, names of ours
        return self._connection.execute(text, (*parameters, limit)).fetchall()

    def insert(self, table: Table, rows: Sequence[Row]) -> None:
        """See ``Side``."""
        with transaction(self._connection):
            if table.name == "seen":
                self._insert_seen(rows)
                return
            text = f"INSERT OR REPLACE INTO {table.name} ({', '.join(table.columns)}) VALUES"
            self._connection.executemany(f"{text} ({_marks(len(table.columns))})", rows)

    def last_key(self, table: Table) -> Row | None:
        """See ``Side``."""
        key = table.columns[: table.key]
        where = f"WHERE key <> '{UNFINISHED}'" if table.name == "key_values" else ""
        text = f"SELECT {', '.join(key)} FROM {table.name} {where} ORDER BY "  # noqa: S608, names of ours
        row: Row | None = self._connection.execute(
            text + ", ".join(f"{column} DESC" for column in key) + " LIMIT 1"
        ).fetchone()
        return row

    def note(self, text: str | None) -> None:
        """See ``Side``."""
        if text is None:
            self._connection.execute("DELETE FROM key_values WHERE key = ?", (UNFINISHED,))
        else:
            self._connection.execute("INSERT OR REPLACE INTO key_values VALUES (?, ?)", (UNFINISHED, text))

    def noted(self) -> str | None:
        """See ``Side``."""
        row = self._connection.execute("SELECT value FROM key_values WHERE key = ?", (UNFINISHED,)).fetchone()
        return None if row is None else str(row[0])

    def finish(self) -> None:
        """See ``Side``."""
        self._connection.execute(
            "UPDATE states SET uses = (SELECT count(*) FROM seen WHERE seen.state = states.state)"
        )

    def _insert_seen(self, rows: Sequence[Row]) -> None:
        known = []
        for feed, key, time, until, number, occurrences, message, mark, digest, tolerant, body in rows:
            state = self._states.get((digest, tolerant, body))
            if state is None:
                state = self._states[digest, tolerant, body] = self._state(digest, tolerant, body)
            known.append((feed, key, time, until, state, number, occurrences, message, mark))
        self._connection.executemany(
            "INSERT INTO seen (feed, key, time, until, state, number, occurrences, message, mark) "
            "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            known,
        )

    def _state(self, digest: Value, tolerant: Value, body: Value) -> int:
        row = self._connection.execute(
            "SELECT state FROM states WHERE digest = ? AND body = ?", (digest, body)
        ).fetchone()
        if row is None:
            row = self._connection.execute(
                "INSERT INTO states (digest, tolerant, body, uses) VALUES (?, ?, ?, 0) RETURNING state",
                (digest, tolerant, body),
            ).fetchone()
        return int(row[0])


@contextmanager
def sqlite_side(directory: Path, file: str, *, is_new: bool) -> Iterator[SqliteSide]:
    """The journal in *directory*, locked against other processes; *is_new* creates it if missing."""
    path = directory / file
    if not is_new and not path.exists():
        raise JournalError(f"no journal in {directory}: no connector has run on this state directory yet")
    with hold_directory(directory):
        try:
            connection = connect(path)
        except (sqlite3.Error, OSError) as error:
            raise explain(error, path) from error
        try:
            migrate(connection, str(path))
            yield SqliteSide(connection, path)
        except sqlite3.Error as error:
            raise explain(error, path) from error
        finally:
            connection.close()


def _marks(count: int) -> str:
    return ", ".join("?" * count)
