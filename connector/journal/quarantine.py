"""Dead letters of collection: items of a page that cannot become a record, kept with their bytes.

An item that returns with every poll is stored once: its hash is the key. The bytes of the newest
``MOST_KEPT`` items per feed are kept, so that a hostile sender cannot fill the disk with them.
"""

from __future__ import annotations

import sqlite3
import zlib
from collections.abc import Iterable, Sequence
from hashlib import blake2b

from connector.journal.codec import printable, to_moment
from connector.model import Feed, Quarantined, QuarantinedItem

MOST_KEPT = 1000
"""Items per feed whose bytes are kept: enough to see what happened, and a few megabytes compressed."""


def store(
    connection: sqlite3.Connection, feed: int, items: Iterable[Quarantined], now: int
) -> tuple[Quarantined, ...]:
    """Store *items*; return those that were not stored before."""
    new = []
    for item in items:
        row = connection.execute(
            "INSERT OR IGNORE INTO quarantine (feed, hash, reason, raw, at) VALUES (?, ?, ?, ?, ?)",
            (
                feed,
                blake2b(item.raw, digest_size=16).digest(),
                printable(item.reason),
                zlib.compress(item.raw, 1),
                now,
            ),
        )
        if row.rowcount:
            new.append(item)
    if new:
        # The rows stay, so that an item that returns is not reported as new.
        connection.execute(
            "UPDATE quarantine SET raw = x'' WHERE feed = ? AND raw <> x'' AND number <= "
            "(SELECT number FROM quarantine WHERE feed = ? ORDER BY number DESC LIMIT 1 OFFSET ?)",
            (feed, feed, MOST_KEPT),
        )
    return tuple(new)


def read(connection: sqlite3.Connection, after: int, limit: int) -> list[QuarantinedItem]:
    """Stored items with a number greater than *after*, oldest first."""
    rows = connection.execute(
        "SELECT number, account, search, reason, raw, at FROM quarantine JOIN feeds USING (feed) "
        "WHERE number > ? ORDER BY number LIMIT ?",
        (after, limit),
    )
    return [item_of(*row) for row in rows]


def item_of(number: int, account: str, search: str, reason: str, raw: bytes, at: int) -> QuarantinedItem:
    """The item of a row; its bytes are empty where they are not kept."""
    kept = Quarantined(zlib.decompress(raw) if raw else b"", reason)
    return QuarantinedItem(number, Feed(account, search), kept, to_moment(at))


def purge(connection: sqlite3.Connection, numbers: Sequence[int]) -> int:
    """Delete items; returns how many there were."""
    return sum(
        connection.execute("DELETE FROM quarantine WHERE number = ?", (number,)).rowcount
        for number in numbers
    )


def drop(connection: sqlite3.Connection, feed: int) -> None:
    """Delete the items of a feed that is forgotten."""
    connection.execute("DELETE FROM quarantine WHERE feed = ?", (feed,))
