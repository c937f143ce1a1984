"""Saves what can be read of a damaged journal into a new one; the damaged file is kept beside it.

Rows are read one by one, forwards and backwards around what SQLite cannot read, and checked before they are
written. What is lost is counted. Lost entries held revisions that collection takes for delivered, so the
report names the time that a backfill has to read again.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from dataclasses import field
from datetime import datetime
from pathlib import Path
from typing import Any, TypeAlias

from connector.errors import JournalBroken
from connector.journal.actions import decode_body
from connector.journal.codec import UNREADABLE, Text, from_blob, from_text, to_moment
from connector.journal.database import connect, explain, transaction
from connector.journal.dead_letters import to_dead_letter
from connector.journal.entries import bytes_at
from connector.journal.integrity import TYPES, find_damage
from connector.journal.lock import hold_directory
from connector.journal.quarantine import item_of
from connector.journal.schema import check_application, migrate
from connector.journal.seen import from_key, from_occurrences
from connector.values import dataclass

_Row: TypeAlias = dict[str, Any]

_KEYS: dict[str, tuple[str, ...]] = {
    "outputs": ("output",),
    "feeds": ("feed",),
    "checkpoints": ("feed", "sweep"),
    "gaps": ("feed", "start", "end", "cause"),
    "key_values": ("key",),
    "states": ("state",),
    "seen": ("row",),
    "emitted": ("row",),
    "quarantine": ("number",),
    "dead_letters": ("number",),
    "actions": ("number",),
    "entries": ("first",),
}
"""The tables to copy, each with the columns by which its rows are read in order."""

_LONGEST_JUMP = 40
"""Powers of two of row ids to jump over behind a row that cannot be read: beyond any table."""

_SUFFIXES = ("", "-wal", "-shm")

_MOST = 1 << 60
"""A sequence number that no journal reaches."""


@dataclass(slots=True)
class RecoveryReport:
    """What became of a damaged journal.

    Args:
        kept: where the damaged file is now.
        rows: rows saved, by table.
        lost: rows seen and left out because their content is damaged, by table.
        revisions: revisions missing among those that the journal still counts as retained.
        is_complete_count: whether *revisions* is known to be all; not where the counters were lost.
        since: earliest record time of which entries may be missing; ``None`` where none are.
    """

    kept: Path
    rows: dict[str, int] = field(default_factory=dict)
    lost: dict[str, int] = field(default_factory=dict)
    revisions: int = 0
    since: datetime | None = None
    is_complete_count: bool = True


def check(directory: Path, file: str) -> tuple[str, ...]:
    """Check all of the journal in *directory*; return a sentence per problem. Raises ``JournalError``."""
    path = directory / file
    with hold_directory(directory):
        if not path.exists():
            return ()
        try:
            with closing(connect(path)) as connection:
                migrate(connection, str(path))
                problem = find_damage(connection)
                return ((problem,) if problem else ()) + tuple(_find_undecodable(connection))
        except OSError as error:
            raise explain(error, path) from error
        except (sqlite3.Error, *UNREADABLE) as error:
            return (f"{type(error).__name__}: {error}",)


def recover(directory: Path, file: str, now: datetime) -> RecoveryReport:
    """Replace the journal in *directory* by what can be read of it. Raises ``JournalError``.

    The damaged files stay as they are, with *now* in their names. Where nothing can be read, nothing changes.
    """
    path = directory / file
    kept = path.with_name(f"{path.name}.damaged-{now:%Y%m%dT%H%M%SZ}")
    fresh = path.with_name(f"{path.name}.recovering")
    report = RecoveryReport(kept)
    with hold_directory(directory):
        _delete(fresh)
        try:
            _rebuild(path, fresh, report)
        except (sqlite3.Error, OSError) as error:
            _delete(fresh)
            raise explain(error, path) from error
        if not any(report.rows.values()):
            _delete(fresh)
            raise JournalBroken(
                f"nothing can be read of {path}. Restore it from a backup, or move {path.name}* to another "
                "directory and set each search's start to before the damage"
            )
        for suffix in _SUFFIXES:
            old = path.with_name(path.name + suffix)
            if old.exists():
                old.rename(kept.with_name(kept.name + suffix))
        fresh.rename(path)
    return report


def _rebuild(path: Path, fresh: Path, report: RecoveryReport) -> None:
    with closing(sqlite3.connect(path)) as old, closing(connect(fresh)) as new:
        # SQLite then reads a file that is shorter than its header says.
        old.execute("PRAGMA writable_schema = ON")
        if path.stat().st_size:
            # Where even this cannot be read, nothing else can; that has an error of its own.
            with suppress(sqlite3.Error):
                check_application(old, str(path))
        migrate(new, str(fresh))
        with transaction(new):
            _copy(old, new, report)


def _delete(path: Path) -> None:
    for suffix in _SUFFIXES:
        path.with_name(path.name + suffix).unlink(missing_ok=True)


def _copy(old: sqlite3.Connection, new: sqlite3.Connection, report: RecoveryReport) -> None:
    for table, key in _KEYS.items():
        columns = {name for _, name, *_ in new.execute(f"PRAGMA table_info({table})")}
        saved = lost = 0
        for row in _rows(old, table, key):
            kept = {name: value for name, value in row.items() if name in columns}
            if not _is_sound(table, kept):
                lost += 1
                continue
            names, marks = ", ".join(kept), ", ".join("?" * len(kept))
            insert = f"INSERT OR IGNORE INTO {table} ({names}) VALUES ({marks})"  # noqa: S608, our own names
            saved += new.execute(insert, tuple(kept.values())).rowcount
        report.rows[table], report.lost[table] = saved, lost
    _count_seen_rows(new, report)
    _count_entries(new, _old_counters(old), report)


def _rows(connection: sqlite3.Connection, table: str, key: tuple[str, ...]) -> Iterator[_Row]:
    """Every row that SQLite can read: forwards up to the damage, over it, and backwards from the end."""
    seen: set[tuple[object, ...]] = set()
    after: int | None = None
    jump = 0
    while jump <= _LONGEST_JUMP:
        try:
            for row in _select(connection, table, key, after):
                name = tuple(row[column] for column in key)
                if name in seen:
                    break  # damaged pages can lead in circles
                seen.add(name)
                yield row
                after, jump = (name[0] if len(key) == 1 and isinstance(name[0], int) else None), 0
            break
        except (sqlite3.Error, *UNREADABLE):
            if len(key) > 1 or (seen and after is None):
                break  # no row ids to jump over the damage by
            after, jump = (after or 0) + (1 << jump), jump + 1
    try:
        for row in _select(connection, table, key, None, order="DESC"):
            name = tuple(row[column] for column in key)
            if name in seen:
                break
            seen.add(name)
            yield row
    except (sqlite3.Error, *UNREADABLE):
        return


def _select(
    connection: sqlite3.Connection, table: str, key: tuple[str, ...], after: int | None, order: str = "ASC"
) -> Iterator[_Row]:
    where = "" if after is None else f"WHERE {key[0]} > {after}"
    by = ", ".join(f"{column} {order}" for column in key)
    cursor = connection.execute(f"SELECT * FROM {table} {where} ORDER BY {by}")  # noqa: S608, our own names
    names = [name for name, *_ in cursor.description]
    for values in cursor:
        yield dict(zip(names, values, strict=True))


_KINDS: dict[str, type] = {"integer": int, "text": str, "blob": bytes}


def _is_sound(table: str, row: _Row) -> bool:
    if any(not isinstance(row.get(column), _KINDS[kind]) for column, kind in TYPES[table].items()):
        return False
    try:
        _decode(table, row)
    except UNREADABLE:
        return False
    return True


def _find_undecodable(connection: sqlite3.Connection) -> Iterator[str]:
    """Yield a sentence for each row whose content cannot be decoded."""
    for table, key in _KEYS.items():
        for row in _select(connection, table, key, None):
            try:
                _decode(table, row)
            except UNREADABLE as error:
                name = ", ".join(f"{column} {row[column]}" for column in key)
                yield f"a row of the table {table} cannot be decoded ({name}): {error}"


def _decode(table: str, row: _Row) -> None:
    """Decode all that a daemon would decode of *row*; raises one of ``UNREADABLE``."""
    if table in _DECODERS:
        _DECODERS[table](row)
    for column in _TIMES & row.keys():
        if row[column] is not None:
            to_moment(row[column])


def _decode_entry(row: _Row) -> None:
    revisions, _ = from_blob(row["body"], tolerant=bool(row["tolerant"]))
    if len(revisions) != row["last"] - row["first"] + 1:
        raise ValueError("it holds another number of revisions than it says")


def _decode_state(row: _Row) -> None:
    if not isinstance(from_text(Text(row["body"], bool(row["tolerant"]))), dict):
        raise TypeError("it is no JSON object")


def _decode_seen(row: _Row) -> None:
    from_key(row["key"])
    if row["occurrences"] is not None:
        from_occurrences(row["occurrences"])


_DECODERS: dict[str, Callable[[_Row], object]] = {
    "entries": _decode_entry,
    "states": _decode_state,
    "seen": _decode_seen,
    "dead_letters": lambda row: to_dead_letter(
        row["output"], row["details"], bool(row["tolerant"]), row["body"]
    ),
    "actions": lambda row: decode_body(row["body"], tolerant=bool(row["tolerant"])),
    "quarantine": lambda row: item_of(row["number"], "", "", row["reason"], row["raw"], row["at"]),
}
_TIMES = frozenset(
    {"time", "until", "at", "start", "end", "gap_start", "gap_end", "recorded", "committed", "earliest"}
    | {"latest", "requested", "changed", "due"}
)
"""Columns that hold a time, where a table has them."""


def _old_counters(old: sqlite3.Connection) -> tuple[int, int] | None:
    """Head and floor of the damaged journal; ``None`` where they cannot be read."""
    try:
        head, floor = old.execute("SELECT head, floor FROM counters").fetchone()
    except (sqlite3.Error, *UNREADABLE):
        return None
    sound = isinstance(head, int) and isinstance(floor, int) and 0 <= floor <= head < _MOST
    return (head, floor) if sound else None


def _count_seen_rows(new: sqlite3.Connection, report: RecoveryReport) -> None:
    orphans = new.execute("DELETE FROM seen WHERE state NOT IN (SELECT state FROM states)").rowcount
    report.rows["seen"] -= orphans
    report.lost["seen"] += orphans
    new.execute("UPDATE states SET uses = (SELECT count(*) FROM seen WHERE seen.state = states.state)")
    new.execute("UPDATE feeds SET seen = (SELECT count(*) FROM seen WHERE seen.feed = feeds.feed)")
    new.execute(
        "UPDATE outputs SET dead_letters = "
        "(SELECT count(*) FROM dead_letters WHERE dead_letters.output = outputs.output)"
    )


def _count_entries(new: sqlite3.Connection, old: tuple[int, int] | None, report: RecoveryReport) -> None:
    """Give the entries new byte counts, and find the holes between them."""
    head, floor = old or (0, 0)
    report.is_complete_count = old is not None
    rows = new.execute("SELECT first, last, size, earliest, committed FROM entries ORDER BY first").fetchall()
    reached = new.execute("SELECT coalesce(max(position), 0) FROM outputs").fetchone()[0]
    head = max(head, reached)
    if not rows:
        report.revisions += head - floor
    floor = min(floor, rows[0][0] - 1) if rows else head
    position, total, newest, before = floor, 0, 0, None
    for first, last, size, earliest, committed in rows:
        if first > position + 1:
            _note_hole(report, first - position - 1, earliest if before is None else before)
        new.execute("UPDATE entries SET before = ? WHERE first = ?", (total, first))
        position, total, newest, before = last, total + size, max(newest, committed), earliest
    if rows:
        if head > position:
            _note_hole(report, head - position, before)
        # A head beyond the last entry would have readers wait for revisions that are gone.
        head = position
    new.execute(
        "UPDATE counters SET head = ?, floor = ?, bytes = ?, trimmed = 0, committed = ?",
        (head, floor, total, newest),
    )
    new.execute("UPDATE outputs SET position = max(min(position, ?), ?)", (head, floor))
    for output, reached in new.execute("SELECT output, position FROM outputs").fetchall():
        size = bytes_at(new, reached)
        new.execute("UPDATE outputs SET bytes = ?, high_water = ? WHERE output = ?", (size, size, output))


def _note_hole(report: RecoveryReport, revisions: int, earliest: int | None) -> None:
    report.revisions += revisions
    if earliest is not None:
        since = to_moment(earliest)
        report.since = since if report.since is None else min(report.since, since)
