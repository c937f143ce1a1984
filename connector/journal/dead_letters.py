"""The table of dead letters: revisions that an output refused for good, until replayed or purged."""

from __future__ import annotations

import json
import sqlite3
import zlib
from base64 import b64decode, b64encode
from collections import Counter
from collections.abc import Callable, Sequence
from itertools import groupby
from typing import TypeAlias, cast

from connector.journal import refusals
from connector.journal.codec import (
    Text,
    from_blob,
    from_text,
    portions,
    printable,
    revision_text,
    to_blob,
    to_micros,
    to_moment,
    to_text,
)
from connector.journal.entries import Counters, NewEntry, append
from connector.journal.positions import attached_among
from connector.model import DeadLetter

Compress: TypeAlias = Callable[[bytes], bytes]
_Details: TypeAlias = tuple[int, str, str, int, int, int]

Portion: TypeAlias = tuple[int, int]
"""Most revisions, and about how many bytes of JSON, one entry holds."""

_COLLECTED = 5
"""Place of the time of collection in a revision's array."""

_CHUNK = 500
"""Numbers in one statement, far below the 32,766 parameters that SQLite takes."""


def check_room(connection: sqlite3.Connection, output: str, most: int | None) -> None:
    """Raise ``DeadLettersFull`` when *output* has *most* dead letters already.

    One batch may exceed the limit: otherwise a batch with more dead letters could never end.
    """
    row = connection.execute("SELECT dead_letters FROM outputs WHERE output = ?", (output,)).fetchone()
    if row is not None and most is not None and row[0] >= most:
        raise refusals.dead_letters_full(output, row[0], most)


def store(
    connection: sqlite3.Connection, output: str, dead: Sequence[DeadLetter], compress: Compress
) -> None:
    """Store the dead letters of *output*."""
    for dead_letter in dead:
        blob = to_blob([revision_text(dead_letter.revision)], compress)
        connection.execute(
            "INSERT INTO dead_letters (output, details, raw, tolerant, body) VALUES (?, ?, ?, ?, ?)",
            (output, details_of(dead_letter), blob.raw, blob.tolerant, blob.data),
        )
    if dead:
        connection.execute(
            "UPDATE outputs SET dead_letters = dead_letters + ? WHERE output = ?", (len(dead), output)
        )


def details_of(dead_letter: DeadLetter) -> bytes:
    """Everything of *dead_letter* but its output and its revision, as stored."""
    return to_text(
        (
            dead_letter.sequence,
            dead_letter.reason,
            printable(dead_letter.answer),
            dead_letter.attempts,
            to_micros(dead_letter.first_tried),
            to_micros(dead_letter.dead_lettered_at),
        )
    ).data


def suspects_key(output: str) -> str:
    """The key under which the suspects of *output* are remembered."""
    return f"suspects of output {output}"


def suspects_value(suspects: Sequence[DeadLetter], compress: Compress) -> str | None:
    """*suspects* as a value to remember; ``None`` for none."""
    if not suspects:
        return None
    rows = []
    for suspect in suspects:
        blob = to_blob([revision_text(suspect.revision)], compress)
        rows.append((details_of(suspect).decode(), blob.tolerant, b64encode(blob.data).decode()))
    return json.dumps(rows)


def to_suspects(output: str, value: str | None) -> list[DeadLetter]:
    """What ``suspects_value`` wrote."""
    rows: list[tuple[str, bool, str]] = json.loads(value) if value else []
    return [
        to_dead_letter(output, details.encode(), tolerant, b64decode(body))
        for details, tolerant, body in rows
    ]


def sequence_in(details: bytes) -> int:
    """The sequence number in stored details."""
    return cast("_Details", from_text(Text(details, tolerant=False)))[0]


def read(
    connection: sqlite3.Connection, output: str | None, after: int, limit: int
) -> list[tuple[int, DeadLetter]]:
    """Dead letters with their numbers, oldest first."""
    if output is None:
        rows = connection.execute(
            "SELECT number, output, details, tolerant, body FROM dead_letters WHERE number > ? "
            "ORDER BY number LIMIT ?",
            (after, limit),
        )
    else:
        rows = connection.execute(
            "SELECT number, output, details, tolerant, body FROM dead_letters "
            "WHERE output = ? AND number > ? ORDER BY number LIMIT ?",
            (output, after, limit),
        )
    return [
        (number, to_dead_letter(name, details, bool(tolerant), body))
        for number, name, details, tolerant, body in rows
    ]


def beyond(connection: sqlite3.Connection, output: str, position: int) -> list[int]:
    """Numbers of the dead letters of *output* whose revisions lie after *position*."""
    rows = connection.execute("SELECT number, details FROM dead_letters WHERE output = ?", (output,))
    return [number for number, details in rows if sequence_in(details) > position]


def newest(connection: sqlite3.Connection) -> int:
    """The number of the newest dead letter; 0 where there is none."""
    return int(connection.execute("SELECT coalesce(max(number), 0) FROM dead_letters").fetchone()[0])


def purge(connection: sqlite3.Connection, numbers: Sequence[int]) -> int:
    """Delete dead letters; returns how many there were."""
    return sum(_delete(connection, numbers[at : at + _CHUNK]) for at in range(0, len(numbers), _CHUNK))


def replay(
    connection: sqlite3.Connection, numbers: Sequence[int], now: int, *, compress: Compress, portion: Portion
) -> tuple[int, Counters | None]:
    """Append the revisions of dead letters for their own outputs only, and delete them.

    Dead letters of an output that is not attached stay: no delivery would read them. Returns how many moved.
    """
    rows = [
        row for at in range(0, len(numbers), _CHUNK) for row in _rows(connection, numbers[at : at + _CHUNK])
    ]
    there = attached_among(connection, [output for _, output, _, _ in rows])
    rows = [row for row in rows if row[1] in there]
    new_entries = replay_entries(rows, compress, portion)
    if not new_entries:
        return 0, None
    counters = append(connection, new_entries, now)
    return purge(connection, [row[0] for row in rows]), counters


def replay_entries(
    rows: Sequence[tuple[int, str, bool, bytes]], compress: Compress, portion: Portion
) -> list[NewEntry]:
    """Entries of dead letters (number, output, tolerant, body), each addressed to its output."""
    ordered = sorted(rows, key=lambda row: (row[1], row[0]))
    return [
        _replay_entry(part, output, compress)
        for output, group in groupby(ordered, key=lambda row: row[1])
        for part in portions((_text(tolerant, body) for _, _, tolerant, body in group), *portion)
    ]


def _replay_entry(texts: list[Text], output: str, compress: Compress) -> NewEntry:
    collected = [cast("list[int]", from_text(text))[_COLLECTED] for text in texts]
    return NewEntry(to_blob(texts, compress), min(collected), max(collected), output)


def _text(tolerant: bool, body: bytes) -> Text:
    """The one revision of a dead letter, without the brackets that made it an array."""
    return Text(zlib.decompress(body)[1:-1], tolerant)


def _rows(connection: sqlite3.Connection, numbers: Sequence[int]) -> list[tuple[int, str, bool, bytes]]:
    marks = ",".join("?" * len(numbers))
    rows = connection.execute(
        f"SELECT number, output, tolerant, body FROM dead_letters WHERE number IN ({marks})",  # noqa: S608, marks only
        tuple(numbers),
    )
    return [(number, output, bool(tolerant), body) for number, output, tolerant, body in rows]


def _delete(connection: sqlite3.Connection, numbers: Sequence[int]) -> int:
    marks = ",".join("?" * len(numbers))
    rows = connection.execute(
        f"DELETE FROM dead_letters WHERE number IN ({marks}) RETURNING output",  # noqa: S608, marks only
        tuple(numbers),
    ).fetchall()
    for output, count in Counter(output for (output,) in rows).items():
        connection.execute(
            "UPDATE outputs SET dead_letters = dead_letters - ? WHERE output = ?", (count, output)
        )
    return len(rows)


def to_dead_letter(output: str, details: bytes, tolerant: bool, body: bytes) -> DeadLetter:
    """The dead letter in a stored row."""
    sequence, reason, answer, attempts, first_tried, stored = cast(
        "_Details", from_text(Text(details, tolerant=False))
    )
    revisions, _ = from_blob(body, tolerant=tolerant)
    return DeadLetter(
        output, sequence, revisions[0], reason, answer, attempts, to_moment(first_tried), to_moment(stored)
    )
