"""Statements about quarantined items: what collection could not make a record of."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from hashlib import blake2b

from connector.journal.codec import printable
from connector.journal.postgres.arrays import int8s
from connector.journal.postgres.database import Query, Transaction
from connector.journal.quarantine import MOST_KEPT, item_of
from connector.model import Quarantined, QuarantinedItem


def store(
    transaction: Transaction, feed: int, items: Sequence[Quarantined], now: int
) -> tuple[Quarantined, ...]:
    """Store *items*, each once; return those that were not stored before."""
    new = []
    for item in items:
        made = transaction.one(
            "INSERT INTO @quarantine (feed, hash, reason, raw, at) VALUES (%s, %s, %s, %s, %s) "
            "ON CONFLICT (feed, hash) DO NOTHING RETURNING number",
            feed, blake2b(item.raw, digest_size=16).digest(), printable(item.reason),
            zlib.compress(item.raw, 1), now,
        )  # fmt: skip
        if made:
            new.append(item)
    if new:
        # The rows stay, so that an item that returns is not reported as new.
        transaction.one(
            "UPDATE @quarantine SET raw = '' WHERE feed = %s AND raw <> '' AND number <= "
            "(SELECT number FROM @quarantine WHERE feed = %s ORDER BY number DESC LIMIT 1 OFFSET %s)",
            feed, feed, MOST_KEPT,
        )  # fmt: skip
    return tuple(new)


def read(query: Query, after: int, limit: int) -> list[QuarantinedItem]:
    """Stored items with a number greater than *after*, oldest first."""
    rows = query.one(
        "SELECT number, account, search, reason, raw, at FROM @quarantine JOIN @feeds USING (feed) "
        "WHERE number > %s ORDER BY number LIMIT %s",
        after, limit,
    )  # fmt: skip
    return [item_of(*row) for row in rows]


def purge(transaction: Transaction, numbers: Sequence[int]) -> int:
    """Delete quarantined items; returns how many there were."""
    rows = transaction.one(
        "DELETE FROM @quarantine WHERE number = ANY(%s) RETURNING number", int8s(list(numbers))
    )
    return len(rows)
