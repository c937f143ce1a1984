"""The sequence of entries: appending, finding, measuring and trimming.

Sequence numbers have no holes: what is retained is ``(floor, head]``. Bytes are compressed bytes since
the beginning of time, so that the size of any stretch is one subtraction.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable

from connector.journal.codec import Blob
from connector.values import dataclass


@dataclass(frozen=True, slots=True)
class Counters:
    """The row of counters; see the table ``counters`` in the schema."""

    head: int
    floor: int
    bytes: int
    trimmed: int
    committed: int


@dataclass(frozen=True, slots=True)
class NewEntry:
    """A blob to append, with the record times it covers."""

    blob: Blob
    earliest: int
    latest: int
    only: str | None = None


@dataclass(frozen=True, slots=True)
class StoredEntry:
    """An entry as it is stored."""

    first: int
    last: int
    only: str | None
    tolerant: bool
    body: bytes


def read_counters(connection: sqlite3.Connection) -> Counters:
    """Read the counters."""
    row = connection.execute("SELECT head, floor, bytes, trimmed, committed FROM counters").fetchone()
    return Counters(*row)


def append(connection: sqlite3.Connection, new_entries: Iterable[NewEntry], now: int) -> Counters:
    """Append *new_entries* in order; return the counters after that."""
    counters = read_counters(connection)
    head, total = counters.head, counters.bytes
    committed = max(now, counters.committed)
    for new_entry in new_entries:
        blob = new_entry.blob
        first, head = head + 1, head + blob.count
        connection.execute(
            "INSERT INTO entries (first, last, before, size, committed, earliest, latest, only, tolerant, "
            "body) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                first,
                head,
                total,
                len(blob.data),
                committed,
                new_entry.earliest,
                new_entry.latest,
                new_entry.only,
                blob.tolerant,
                blob.data,
            ),
        )
        total += len(blob.data)
    connection.execute("UPDATE counters SET head = ?, bytes = ?, committed = ?", (head, total, committed))
    return Counters(head, counters.floor, total, counters.trimmed, committed)


def entry_after(connection: sqlite3.Connection, after: int) -> StoredEntry | None:
    """The entry that holds the first retained revision after *after*."""
    row = connection.execute(
        "SELECT first, last, only, tolerant, body FROM entries WHERE first <= ? ORDER BY first DESC LIMIT 1",
        (after + 1,),
    ).fetchone()
    if row is None or row[1] <= after:
        row = connection.execute(
            "SELECT first, last, only, tolerant, body FROM entries WHERE first > ? ORDER BY first LIMIT 1",
            (after,),
        ).fetchone()
    return None if row is None else StoredEntry(row[0], row[1], row[2], bool(row[3]), row[4])


def bytes_at(connection: sqlite3.Connection, position: int) -> int:
    """Compressed bytes up to *position*; inside an entry, its share."""
    row = connection.execute(
        "SELECT first, last, before, size FROM entries WHERE first <= ? ORDER BY first DESC LIMIT 1",
        (position,),
    ).fetchone()
    if row is None:
        return read_counters(connection).trimmed
    first, last, before, size = row
    done: int = before + size * (min(position, last) - first + 1) // (last - first + 1)
    return done


def position_at(connection: sqlite3.Connection, position: int, least: int) -> int:
    """The first position from *position* on that has at least *least* bytes up to it."""
    rows = connection.execute(
        "SELECT first, last, before, size FROM entries WHERE first >= ? ORDER BY first",
        (_first_at(connection, position + 1),),
    )
    for first, last, before, size in rows:
        if before + size >= least:
            count = last - first + 1
            inside = -(-(least - before) * count // size)
            reached: int = max(position, first - 1 + min(count, max(0, inside)))
            return reached
        position = last
    return position


def position_before(connection: sqlite3.Connection, moment: int) -> int:
    """The position before the first retained entry that was written at *moment* or later."""
    counters = read_counters(connection)
    rows = connection.execute("SELECT first, committed FROM entries ORDER BY first DESC")
    position = counters.head
    for first, committed in rows:
        if committed < moment:
            break
        position = first - 1
    return position


def written_at(connection: sqlite3.Connection, sequence: int) -> int | None:
    """When the entry that holds *sequence* was written; ``None`` when it is gone or not there yet."""
    row = connection.execute(
        "SELECT last, committed FROM entries WHERE first <= ? ORDER BY first DESC LIMIT 1", (sequence,)
    ).fetchone()
    return int(row[1]) if row is not None and row[0] >= sequence else None


def count_for(connection: sqlite3.Connection, output: str, after: int, upto: int) -> int:
    """How many retained revisions of ``(after, upto]`` *output* reads; not those addressed to another."""
    row = connection.execute(
        "SELECT sum(min(last, ?) - max(first - 1, ?)) FROM entries "
        "WHERE first >= ? AND first <= ? AND last > ? AND (only IS NULL OR only = ?)",
        (upto, after, _first_at(connection, after + 1), upto, after, output),
    ).fetchone()
    return int(row[0] or 0)


def holds_since(connection: sqlite3.Connection, moment: int) -> bool:
    """Whether everything that was written at *moment* or later is retained."""
    counters = read_counters(connection)
    oldest = written_at(connection, counters.floor + 1)
    return counters.floor == 0 or (counters.committed if oldest is None else oldest) < moment


def times_between(connection: sqlite3.Connection, after: int, upto: int) -> tuple[int, int] | None:
    """Earliest and latest record time of the entries that hold ``(after, upto]``, as far as retained."""
    row = connection.execute(
        "SELECT min(earliest), max(latest) FROM entries WHERE first >= ? AND first <= ? AND last > ?",
        (_first_at(connection, after + 1), upto, after),
    ).fetchone()
    return None if row[0] is None else (row[0], row[1])


def trimmable(
    connection: sqlite3.Connection, position: int, written_before: int, most: int
) -> tuple[int, int, int]:
    """How far the oldest entries may go: floor afterwards, entries, bytes.

    Those whose revisions lie at or before *position* and that are no newer than *written_before*.
    """
    floor, entries, freed = 0, 0, 0
    rows = connection.execute("SELECT last, size, committed FROM entries ORDER BY first LIMIT ?", (most,))
    for last, size, committed in rows:
        if last > position or committed > written_before:
            break
        floor, entries, freed = last, entries + 1, freed + size
    return floor, entries, freed


def delete_through(connection: sqlite3.Connection, floor: int, freed: int) -> None:
    """Delete the entries up to *floor*, which must end one; *freed* is what they took."""
    connection.execute("DELETE FROM entries WHERE first <= ?", (floor,))
    connection.execute("UPDATE counters SET floor = ?, trimmed = trimmed + ?", (floor, freed))


def _first_at(connection: sqlite3.Connection, sequence: int) -> int:
    """Where the entry begins that holds *sequence*, or 0: the start of an indexed scan."""
    row = connection.execute("SELECT max(first) FROM entries WHERE first <= ?", (sequence,)).fetchone()
    return int(row[0] or 0)
