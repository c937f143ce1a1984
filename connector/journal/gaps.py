"""The table of gaps: recorded with the step that skips time, reduced by what is read after all.

A gap that is no longer retried is final. Final gaps of one cause that touch are merged, so that a revisit
age beyond the API's retention does not add a row per poll.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence

from connector.journal.codec import printable, to_micros, to_moment
from connector.model import RETRIED, Gap, Window

_RETRIED = RETRIED.days * 86_400_000_000


def of(connection: sqlite3.Connection, number: int) -> tuple[Gap, ...]:
    """The gaps of the feed *number*, oldest first."""
    rows = connection.execute(
        "SELECT start, end, cause, recorded FROM gaps WHERE feed = ? ORDER BY start, end", (number,)
    )
    return tuple(
        Gap.of_reason(Window(to_moment(start), to_moment(end)), reason, to_moment(recorded))
        for start, end, reason, recorded in rows
    )


def record(connection: sqlite3.Connection, number: int, gap: Gap, now: int) -> None:
    """Record *gap*."""
    cause = printable(gap.reason)
    _fold(connection, number, cause, now - _RETRIED)
    _add(connection, number, (to_micros(gap.window.start), to_micros(gap.window.end)), cause, now)


def repair(connection: sqlite3.Connection, number: int, gap: Gap, part: Window) -> None:
    """Reduce *gap* to what lies before and after *part*."""
    start, end = to_micros(gap.window.start), to_micros(gap.window.end)
    cause = printable(gap.reason)
    row = connection.execute(
        "DELETE FROM gaps WHERE feed = ? AND start = ? AND end = ? AND cause = ? RETURNING recorded",
        (number, start, end, cause),
    ).fetchone()
    if row is None:
        return
    for left in ((start, min(end, to_micros(part.start))), (max(start, to_micros(part.end)), end)):
        if left[0] < left[1]:
            _add(connection, number, left, cause, row[0])


def drop(connection: sqlite3.Connection, number: int) -> None:
    """Delete all gaps of the feed."""
    connection.execute("DELETE FROM gaps WHERE feed = ?", (number,))


def _add(
    connection: sqlite3.Connection, number: int, window: tuple[int, int], cause: str, recorded: int
) -> None:
    connection.execute(
        "INSERT OR IGNORE INTO gaps (feed, start, end, cause, recorded) VALUES (?, ?, ?, ?, ?)",
        (number, *window, cause, recorded),
    )


def _fold(connection: sqlite3.Connection, number: int, cause: str, final: int) -> None:
    """Merge final gaps that touch."""
    rows = connection.execute(
        "SELECT start, end, recorded FROM gaps WHERE feed = ? AND cause = ? AND recorded <= ? ORDER BY start",
        (number, cause, final),
    ).fetchall()
    folded = merge_touching(rows)
    if len(folded) == len(rows):
        return
    connection.execute(
        "DELETE FROM gaps WHERE feed = ? AND cause = ? AND recorded <= ?", (number, cause, final)
    )
    for start, end, recorded in folded:
        _add(connection, number, (start, end), cause, recorded)


def merge_touching(rows: Iterable[Sequence[int]]) -> list[tuple[int, int, int]]:
    """Rows of start, end and time of recording, by start, with those that touch or overlap made one."""
    merged: list[tuple[int, int, int]] = []
    for start, end, recorded in rows:
        if merged and start <= merged[-1][1]:
            first, last, noted = merged[-1]
            merged[-1] = (first, max(last, end), max(noted, recorded))
        else:
            merged.append((start, end, recorded))
    return merged
