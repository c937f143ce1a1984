"""Statements about what outputs emitted first (``emit: first``)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from connector.journal.emitted import EXPIRE_AT_ONCE, hash_of
from connector.journal.postgres.arrays import byteas
from connector.journal.postgres.database import Query, Statement


def find(query: Query, output: str, keys: Sequence[str]) -> dict[str, str]:
    """Identity of the revision that *output* emitted first, by record key; unknown keys are absent."""
    hashes = {hash_of(key): key for key in keys}
    rows = query.one(
        "SELECT key, identity FROM @emitted WHERE output = %s AND key = ANY(%s)", output, byteas(list(hashes))
    )
    return {hashes[key]: identity.hex() for key, identity in rows}


def store(output: str, first: Mapping[str, str], now: int, forget_before: int) -> list[Statement]:
    """What notes *first* (identity by record key) unless one is known, and drops a few old rows."""
    if not first:
        return []
    pairs = sorted((hash_of(key), bytes.fromhex(identity)) for key, identity in first.items())
    return [
        (
            "INSERT INTO @emitted (output, key, identity, at) SELECT %s, k, i, %s "
            "FROM unnest(%s::bytea[], %s::bytea[]) AS n(k, i) ON CONFLICT DO NOTHING",
            (output, now, byteas([key for key, _ in pairs]), byteas([identity for _, identity in pairs])),
        ),
        (
            "DELETE FROM @emitted WHERE ctid = ANY(ARRAY(SELECT ctid FROM @emitted WHERE at < %s ORDER BY "
            "at LIMIT %s))",
            (forget_before, EXPIRE_AT_ONCE),
        ),
    ]
