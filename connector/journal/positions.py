"""The table of outputs: positions, backlog limits (backpressure), trimming, skipped revisions."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from datetime import datetime

from connector.interfaces import Start
from connector.journal import entries, refusals
from connector.journal.codec import to_micros, to_moment, whole_seconds
from connector.model import Backlog, Gap, GapCause, OutputOutline, RewindPreview, WhenFull, Window
from connector.values import dataclass


@dataclass(frozen=True, slots=True)
class Skip:
    """What an output skipped: how many revisions, and the gap as recorded now."""

    output: str
    revisions: int
    gap: Gap


@dataclass(frozen=True, slots=True)
class Trim:
    """What trimming deleted; *floor* is the newest sequence number that is gone."""

    floor: int
    entries: int
    bytes: int


def attach(
    connection: sqlite3.Connection, output: str, start: Start, backlog: Backlog
) -> tuple[int, Skip | None]:
    """Start or resume; returns the position, and what was deleted while the output was detached."""
    row = connection.execute("SELECT position, missed FROM outputs WHERE output = ?", (output,)).fetchone()
    if row is None:
        counters = entries.read_counters(connection)
        position = counters.head if start == "head" else counters.floor
        reached = entries.bytes_at(connection, position)
        connection.execute(
            "INSERT INTO outputs (output, position, bytes, high_water, attached, max_bytes, when_full) "
            "VALUES (?, ?, ?, ?, 1, ?, ?)",
            (output, position, reached, reached, backlog.max_bytes, str(backlog.when_full)),
        )
        return position, None
    position, missed = row
    connection.execute(
        "UPDATE outputs SET attached = 1, missed = 0, max_bytes = ?, when_full = ? WHERE output = ?",
        (backlog.max_bytes, str(backlog.when_full), output),
    )
    gap = newest_gap(connection, output)
    return position, Skip(output, missed, gap) if missed and gap else None


def detach(connection: sqlite3.Connection, output: str) -> None:
    """Stop retaining entries for the output."""
    connection.execute("UPDATE outputs SET attached = 0 WHERE output = ?", (output,))


def acknowledge(connection: sqlite3.Connection, output: str, after: int, upto: int) -> None:
    """Move the position; raise ``Moved`` unless it is *after*."""
    row = connection.execute("SELECT position FROM outputs WHERE output = ?", (output,)).fetchone()
    position = None if row is None else row[0]
    head = entries.read_counters(connection).head
    if position != after or not after <= upto <= head:
        raise refusals.not_acknowledged(output, position, after, upto, head)
    _place(connection, output, upto)


def check_room(connection: sqlite3.Connection) -> None:
    """Raise ``JournalFull`` with the outputs over their limit that pause collection.

    What a rewind brings back does not count: it was delivered or skipped before, within its limit.
    """
    total = entries.read_counters(connection).bytes
    rows = connection.execute(
        "SELECT output FROM outputs WHERE attached = 1 AND when_full = ? AND ? - high_water > max_bytes "
        "ORDER BY output",
        (str(WhenFull.PAUSE), total),
    ).fetchall()
    if rows:
        raise refusals.backlog_full(tuple(name for (name,) in rows))


def enforce_skips(connection: sqlite3.Connection) -> list[Skip]:
    """Skip the oldest revisions of outputs over a limit with ``when_full: skip``, never the newest one.

    A tenth of the limit is cleared at once: an output that is moved at every commit could never acknowledge.
    What a rewind brings back does not count, or the next commit would undo the rewind.
    """
    counters = entries.read_counters(connection)
    rows = connection.execute(
        "SELECT output, position, max_bytes FROM outputs "
        "WHERE attached = 1 AND when_full = ? AND ? - high_water > max_bytes",
        (str(WhenFull.SKIP), counters.bytes),
    ).fetchall()
    skips = []
    for output, position, most in rows:
        least = counters.bytes - (most - most // 10)
        target = min(entries.position_at(connection, position, least), max(position, counters.head - 1))
        if target > position:
            cause = GapCause.BACKLOG_FULL, f"limit {most} bytes"
            skips.append(_lose(connection, output, position, target, *cause))
    return skips


def trim(connection: sqlite3.Connection, written_before: int, most: int) -> Trim | None:
    """Delete at most *most* of the oldest entries that every attached output has acknowledged.

    Without any attached output nothing is deleted. Detached outputs that had not read it get a gap.
    """
    done = connection.execute("SELECT min(position) FROM outputs WHERE attached = 1").fetchone()[0]
    if done is None:
        return None
    floor, trimmed, freed = entries.trimmable(connection, done, written_before, most)
    if not trimmed:
        return None
    behind = connection.execute(
        "SELECT output, position FROM outputs WHERE attached = 0 AND position < ?", (floor,)
    ).fetchall()
    for output, position in behind:
        lost = _lose(connection, output, position, floor, GapCause.OUTPUT_NOT_CONFIGURED)
        connection.execute(
            "UPDATE outputs SET missed = missed + ? WHERE output = ?", (lost.revisions, output)
        )
    entries.delete_through(connection, floor, freed)
    return Trim(floor, trimmed, freed)


def preview(connection: sqlite3.Connection, output: str, to: int | datetime) -> RewindPreview:
    """How far back *output* can go: as far as retained; never forward.

    A time means: what was journaled at that time or later comes again.
    """
    row = connection.execute("SELECT position FROM outputs WHERE output = ?", (output,)).fetchone()
    if row is None:
        known = [name for (name,) in connection.execute("SELECT output FROM outputs ORDER BY output")]
        raise refusals.unknown_output(output, known)
    floor = entries.read_counters(connection).floor
    if isinstance(to, datetime):
        asked = entries.position_before(connection, to_micros(to))
        complete = entries.holds_since(connection, to_micros(to))
    else:
        asked, complete = to, to >= floor
    target = max(min(asked, row[0]), floor)
    return RewindPreview(row[0], target, entries.count_for(connection, output, target, row[0]), complete)


def rewind(connection: sqlite3.Connection, output: str, to: int | datetime) -> int:
    """Move the position as far as :func:`preview` says."""
    target = preview(connection, output, to).target
    gap_after = connection.execute("SELECT gap_after FROM outputs WHERE output = ?", (output,)).fetchone()[0]
    _place(connection, output, target)
    if gap_after is not None and target <= gap_after:
        _record_gap(connection, output, None, None, None)
    return target


def newest_gap(connection: sqlite3.Connection, output: str) -> Gap | None:
    """The newest gap of *output*, unless a rewind repaired it."""
    row = connection.execute(
        "SELECT gap_start, gap_end, gap_cause FROM outputs WHERE output = ?", (output,)
    ).fetchone()
    if row is None or row[0] is None:
        return None
    return Gap.of_reason(Window(to_moment(row[0]), to_moment(row[1])), row[2])


def outlines(connection: sqlite3.Connection) -> tuple[OutputOutline, ...]:
    """Every output, by name."""
    counters = entries.read_counters(connection)
    rows = connection.execute(
        "SELECT output, position, bytes, high_water, dead_letters, attached FROM outputs ORDER BY output"
    ).fetchall()
    outputs = []
    for output, position, reached, high_water, dead_letters, attached in rows:
        oldest = entries.written_at(connection, position + 1)
        outputs.append(
            OutputOutline(
                output,
                position,
                counters.head - position,
                counters.bytes - reached,
                None if oldest is None else to_moment(oldest),
                dead_letters,
                bool(attached),
                counters.bytes - max(reached, high_water),
            )
        )
    return tuple(outputs)


def attached_among(connection: sqlite3.Connection, outputs: Sequence[str]) -> set[str]:
    """Which of *outputs* are attached."""
    rows = connection.execute("SELECT output FROM outputs WHERE attached = 1")
    return {output for (output,) in rows} & set(outputs)


def _place(connection: sqlite3.Connection, output: str, position: int) -> None:
    reached = entries.bytes_at(connection, position)
    connection.execute(
        "UPDATE outputs SET position = ?, bytes = ?, high_water = max(high_water, ?) WHERE output = ?",
        (position, reached, reached, output),
    )


def _lose(
    connection: sqlite3.Connection,
    output: str,
    position: int,
    target: int,
    cause: GapCause,
    detail: str = "",
) -> Skip:
    """Move *output* over ``(position, target]`` and record the gap, joined to one that ends there."""
    times = entries.times_between(connection, position, target)
    start, end = whole_seconds(*times) if times else (0, 0)
    gap_after, gap_upto, gap_start, gap_end = connection.execute(
        "SELECT gap_after, gap_upto, gap_start, gap_end FROM outputs WHERE output = ?", (output,)
    ).fetchone()
    joined = gap_upto == position
    if joined:
        start, end = min(start, gap_start), max(end, gap_end)
    _place(connection, output, target)
    gap = Gap(Window(to_moment(start), to_moment(end)), cause, detail)
    _record_gap(connection, output, (gap_after if joined else position, target), (start, end), gap.reason)
    return Skip(output, target - position, gap)


def _record_gap(
    connection: sqlite3.Connection,
    output: str,
    positions: tuple[int, int] | None,
    times: tuple[int, int] | None,
    cause: str | None,
) -> None:
    connection.execute(
        "UPDATE outputs SET gap_after = ?, gap_upto = ?, gap_start = ?, gap_end = ?, gap_cause = ? "
        "WHERE output = ?",
        (*(positions or (None, None)), *(times or (None, None)), cause, output),
    )
