"""Statements about dead letters, quarantined items and what outputs emitted first."""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from hashlib import blake2b

from connector.journal import dead_letters, emitted
from connector.journal.codec import printable, revision_text, to_blob
from connector.journal.dead_letters import Compress, Portion
from connector.journal.postgres import outputs
from connector.journal.postgres.arrays import byteas, int8s
from connector.journal.postgres.database import Query, Statement, Transaction
from connector.journal.postgres.outputs import COUNTERS, Counters
from connector.journal.quarantine import MOST_KEPT, item_of
from connector.model import DeadLetter, Quarantined, QuarantinedItem


def store(output: str, dead: Sequence[DeadLetter], compress: Compress) -> list[Statement]:
    """What stores the dead letters of *output*."""
    statements: list[Statement] = []
    for letter in dead:
        blob = to_blob([revision_text(letter.revision)], compress)
        statements.append(
            (
                "INSERT INTO @dead_letters (output, details, raw, tolerant, body) VALUES (%s, %s, %s, %s, "
                "%s)",
                (output, dead_letters.details_of(letter), blob.raw, blob.tolerant, blob.data),
            )
        )
    if dead:
        statements.append(
            ("UPDATE @outputs SET dead_letters = dead_letters + %s WHERE output = %s", (len(dead), output))
        )
    return statements


def read(query: Query, output: str | None, after: int, limit: int) -> list[tuple[int, DeadLetter]]:
    """Dead letters with their numbers, oldest first."""
    rows = query.one(
        "SELECT number, output, details, tolerant, body FROM @dead_letters "
        "WHERE (%s::text IS NULL OR output = %s) AND number > %s ORDER BY number LIMIT %s",
        output, output, after, limit,
    )  # fmt: skip
    return [(number, dead_letters.to_dead_letter(*row)) for number, *row in rows]


def beyond(query: Query, output: str, position: int) -> list[int]:
    """Numbers of the dead letters of *output* whose revisions lie after *position*."""
    rows = query.one("SELECT number, details FROM @dead_letters WHERE output = %s", output)
    return [number for number, details in rows if dead_letters.sequence_in(details) > position]


def purge(transaction: Transaction, numbers: Sequence[int]) -> int:
    """Delete dead letters; returns how many there were."""
    rows = transaction.one(
        "WITH gone AS (DELETE FROM @dead_letters WHERE number = ANY(%s) RETURNING output), "
        "counted AS (SELECT output, count(*) AS rows FROM gone GROUP BY output) "
        "UPDATE @outputs AS o SET dead_letters = o.dead_letters - c.rows FROM counted AS c "
        "WHERE o.output = c.output RETURNING c.rows",
        int8s(list(numbers)),
    )
    return sum(row[0] for row in rows)


def replay(
    transaction: Transaction, numbers: Sequence[int], now: int, compress: Compress, portion: Portion
) -> tuple[int, int]:
    """Append the revisions of dead letters for their own outputs only, and delete them.

    Dead letters of an output that is not attached stay. Returns how many moved, and the head.
    """
    counters = Counters(*transaction.one(COUNTERS + " FOR UPDATE")[0])
    rows = transaction.one(
        "SELECT number, output, tolerant, body FROM @dead_letters JOIN @outputs USING (output) "
        "WHERE number = ANY(%s) AND attached",
        int8s(list(numbers)),
    )
    new_entries = dead_letters.replay_entries(
        [(row[0], row[1], row[2], row[3]) for row in rows], compress, portion
    )
    if not new_entries:
        return 0, 0
    after, statements = outputs.append(counters, new_entries, now)
    transaction.run(*statements)
    return purge(transaction, [row[0] for row in rows]), after.head


def quarantine(
    transaction: Transaction, feed: int, items: Sequence[Quarantined], now: int
) -> tuple[Quarantined, ...]:
    """Store *items*, each once; return those that were not stored before."""
    new = []
    for item in items:
        made = transaction.one(
            "INSERT INTO @quarantine (feed, hash, reason, raw, at) VALUES (%s, %s, %s, %s, %s) "
            "ON CONFLICT (feed, hash) DO NOTHING RETURNING number",
            feed, blake2b(item.raw, digest_size=16).digest(), printable(item.reason), zlib.compress(item.raw,
            1), now,
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


def quarantined(query: Query, after: int, limit: int) -> list[QuarantinedItem]:
    """Stored items with a number greater than *after*, oldest first."""
    rows = query.one(
        "SELECT number, account, search, reason, raw, at FROM @quarantine JOIN @feeds USING (feed) "
        "WHERE number > %s ORDER BY number LIMIT %s",
        after, limit,
    )  # fmt: skip
    return [item_of(*row) for row in rows]


def purge_quarantined(transaction: Transaction, numbers: Sequence[int]) -> int:
    """Delete quarantined items; returns how many there were."""
    rows = transaction.one(
        "DELETE FROM @quarantine WHERE number = ANY(%s) RETURNING number", int8s(list(numbers))
    )
    return len(rows)


def emitted_first(query: Query, output: str, keys: Sequence[str]) -> dict[str, str]:
    """Identity of the revision that *output* emitted first, by record key; unknown keys are absent."""
    hashes = {emitted.hash_of(key): key for key in keys}
    rows = query.one(
        "SELECT key, identity FROM @emitted WHERE output = %s AND key = ANY(%s)", output, byteas(list(hashes))
    )
    return {hashes[key]: identity.hex() for key, identity in rows}


def note_emitted(output: str, first: Mapping[str, str], now: int, forget_before: int) -> list[Statement]:
    """What notes *first* (identity by record key) unless one is known, and drops a few old rows."""
    if not first:
        return []
    pairs = sorted((emitted.hash_of(key), bytes.fromhex(identity)) for key, identity in first.items())
    return [
        (
            "INSERT INTO @emitted (output, key, identity, at) SELECT %s, k, i, %s "
            "FROM unnest(%s::bytea[], %s::bytea[]) AS n(k, i) ON CONFLICT DO NOTHING",
            (output, now, byteas([key for key, _ in pairs]), byteas([identity for _, identity in pairs])),
        ),
        (
            "DELETE FROM @emitted WHERE ctid = ANY(ARRAY(SELECT ctid FROM @emitted WHERE at < %s ORDER BY "
            "at LIMIT %s))",
            (forget_before, emitted.EXPIRE_AT_ONCE),
        ),
    ]
