"""The tables of feeds and checkpoints: how far each sweep is, and from when on seen rows are complete.

**The floor.** Seen rows of a feed are complete from its floor on. It is set by the first step of the
live sweep: to the step's end, or to the oldest row seen until then if that is older (rows are never
older than the window that returned them). Other sweeps, such as a backfill, cover ranges of their own
and set none. Forgetting expired rows raises it.
"""

from __future__ import annotations

import sqlite3
from datetime import datetime

from connector.journal import gaps, kv, quarantine, refusals
from connector.journal.codec import to_micros, to_moment
from connector.model import Commit, Feed, FeedOutline, Gap, Progress, Step, Window, source_of

_LIVE = "live"


def number_of(connection: sqlite3.Connection, feed: Feed) -> int | None:
    """The feed's number, if it was ever committed."""
    row = connection.execute(
        "SELECT feed FROM feeds WHERE account = ? AND search = ? AND forgotten = 0",
        (feed.account, feed.search),
    ).fetchone()
    return None if row is None else int(row[0])


def ensure_number(connection: sqlite3.Connection, feed: Feed, fingerprint: str) -> int:
    """The feed's number, given where it is new; *fingerprint* becomes the stored one."""
    number = number_of(connection, feed)
    if number is None:
        row = connection.execute(
            "INSERT INTO feeds (account, search, fingerprint) VALUES (?, ?, ?) RETURNING feed",
            (feed.account, feed.search, fingerprint),
        ).fetchone()
        return int(row[0])
    connection.execute(
        "UPDATE feeds SET fingerprint = ? WHERE feed = ? AND fingerprint IS NOT ?",
        (fingerprint, number, fingerprint),
    )
    return number


def progress(connection: sqlite3.Connection, feed: Feed) -> Progress:
    """The progress of *feed*."""
    number = number_of(connection, feed)
    if number is None:
        return Progress({})
    fingerprint, floor = connection.execute(
        "SELECT fingerprint, floor FROM feeds WHERE feed = ?", (number,)
    ).fetchone()
    return Progress(
        _checkpoints(connection, number),
        fingerprint,
        None if floor is None else to_moment(floor),
        gaps.of(connection, number),
    )


def check_step(connection: sqlite3.Connection, commit: Commit) -> None:
    """Raise ``Moved`` unless the step starts where the checkpoint is."""
    step = commit.step
    if step is None:
        return
    number = number_of(connection, commit.feed)
    stored = None if number is None else _checkpoint(connection, number, step.sweep)
    expected = None if step.since is None else to_micros(step.since)
    if stored != expected:
        raise refusals.checkpoint_moved(commit.feed, step, stored)


def take_step(connection: sqlite3.Connection, number: int, step: Step, now: int) -> None:
    """Move the checkpoint; record the gap; set the floor at the first live step. Rows are stored before."""
    if step.since is None and step.sweep == _LIVE:
        _set_floor(connection, number, to_micros(step.until))
    connection.execute(
        "INSERT INTO checkpoints (feed, sweep, at) VALUES (?, ?, ?) "
        "ON CONFLICT (feed, sweep) DO UPDATE SET at = excluded.at",
        (number, step.sweep, to_micros(step.until)),
    )
    if step.gap is not None:
        gaps.record(connection, number, step.gap, now)


def repair(connection: sqlite3.Connection, feed: Feed, gap: Gap, part: Window) -> None:
    """Reduce *gap* to what lies outside *part*."""
    number = number_of(connection, feed)
    if number is not None:
        gaps.repair(connection, number, gap, part)


def raise_floor(connection: sqlite3.Connection, number: int, passed: int) -> None:
    """Note that rows before *passed* are deleted."""
    connection.execute("UPDATE feeds SET floor = ? WHERE feed = ? AND floor < ?", (passed, number, passed))


def forget(connection: sqlite3.Connection, feed: Feed) -> None:
    """Delete everything of *feed* at once, except its seen rows, which may be millions."""
    number = number_of(connection, feed)
    if number is None:
        return
    kv.forget(connection, feed.notes)
    connection.execute("DELETE FROM checkpoints WHERE feed = ?", (number,))
    gaps.drop(connection, number)
    quarantine.drop(connection, number)
    connection.execute("UPDATE feeds SET forgotten = 1 WHERE feed = ?", (number,))


def forgotten(connection: sqlite3.Connection) -> int | None:
    """A forgotten feed that still has seen rows; forgotten feeds without any are deleted."""
    connection.execute(
        "DELETE FROM feeds WHERE forgotten = 1 "
        "AND NOT EXISTS (SELECT 1 FROM seen WHERE seen.feed = feeds.feed)"
    )
    row = connection.execute("SELECT feed FROM feeds WHERE forgotten = 1 LIMIT 1").fetchone()
    return None if row is None else int(row[0])


def outlines(connection: sqlite3.Connection) -> tuple[FeedOutline, ...]:
    """Every feed, by name."""
    rows = connection.execute(
        "SELECT feed, account, search, seen, "
        "(SELECT count(*) FROM quarantine WHERE quarantine.feed = feeds.feed), fingerprint "
        "FROM feeds WHERE forgotten = 0 ORDER BY account, search"
    ).fetchall()
    return tuple(
        FeedOutline(
            Feed(account, search),
            _checkpoints(connection, number),
            gaps.of(connection, number),
            seen,
            items,
            source_of(fingerprint or ""),
        )
        for number, account, search, seen, items, fingerprint in rows
    )


def _set_floor(connection: sqlite3.Connection, number: int, until: int) -> None:
    others = connection.execute("SELECT count(*) FROM checkpoints WHERE feed = ?", (number,)).fetchone()[0]
    # Where another sweep read first, old rows may be its own: they prove nothing.
    oldest = None
    if not others:
        oldest = connection.execute("SELECT min(time) FROM seen WHERE feed = ?", (number,)).fetchone()[0]
    floor = until if oldest is None else min(until, oldest)
    connection.execute("UPDATE feeds SET floor = ? WHERE feed = ?", (floor, number))


def _checkpoint(connection: sqlite3.Connection, number: int, sweep: str) -> int | None:
    row = connection.execute(
        "SELECT at FROM checkpoints WHERE feed = ? AND sweep = ?", (number, sweep)
    ).fetchone()
    return None if row is None else int(row[0])


def _checkpoints(connection: sqlite3.Connection, number: int) -> dict[str, datetime]:
    rows = connection.execute("SELECT sweep, at FROM checkpoints WHERE feed = ?", (number,))
    return {sweep: to_moment(at) for sweep, at in rows}
