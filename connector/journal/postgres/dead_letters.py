"""Statements about dead letters."""

from __future__ import annotations

from collections.abc import Sequence

from connector.journal import dead_letters
from connector.journal.codec import revision_text, to_blob
from connector.journal.dead_letters import Compress, Portion
from connector.journal.postgres import outputs
from connector.journal.postgres.arrays import int8s
from connector.journal.postgres.database import Query, Statement, Transaction
from connector.journal.postgres.outputs import COUNTERS, Counters
from connector.model import DeadLetter


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
