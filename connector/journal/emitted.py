"""The revision of each record that an output emitted first: the memory behind an output's ``emit: first``.

"First" means the first revision that passed the output's filter, so it cannot be derived from a revision's
number. Rows are written with the acknowledgement and survive restarts, rewinds and reloads. After a rewind
the stored revision passes again, because it is compared by identity.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from hashlib import blake2b

_CHUNK = 250
"""Keys in one statement, as in ``seen.py``."""

EXPIRE_AT_ONCE = 500
"""Rows that one acknowledgement deletes at most: more than it usually adds, few enough not to be felt."""


def find(connection: sqlite3.Connection, output: str, keys: Sequence[str]) -> dict[str, str]:
    """Identity of the revision that *output* emitted first, by record key; unknown keys are absent."""
    hashes = {hash_of(key): key for key in keys}
    wanted = list(hashes)
    identities: dict[str, str] = {}
    for start in range(0, len(wanted), _CHUNK):
        chunk = wanted[start : start + _CHUNK]
        marks = ",".join("?" * len(chunk))
        rows = connection.execute(
            f"SELECT key, identity FROM emitted WHERE output = ? AND key IN ({marks})",  # noqa: S608, marks only
            (output, *chunk),
        )
        identities.update((hashes[key], identity.hex()) for key, identity in rows)
    return identities


def store(
    connection: sqlite3.Connection, output: str, emitted: Mapping[str, str], now: int, forget_before: int
) -> None:
    """Note what *output* emitted (identity by record key) unless an earlier one is known; drop old rows.

    Times are microseconds. Rows older than *forget_before* go, a few with each call.
    """
    connection.executemany(
        "INSERT OR IGNORE INTO emitted (output, key, identity, at) VALUES (?, ?, ?, ?)",
        [(output, hash_of(key), bytes.fromhex(identity), now) for key, identity in emitted.items()],
    )
    # Row ids grow with time: reading from the oldest on needs no index by time.
    rows = connection.execute("SELECT row, at FROM emitted ORDER BY row LIMIT ?", (EXPIRE_AT_ONCE,))
    old = [(row,) for row, at in rows.fetchall() if at < forget_before]
    connection.executemany("DELETE FROM emitted WHERE row = ?", old)


def hash_of(key: str) -> bytes:
    """16 bytes for a key of any length: a table of millions of rows stays small."""
    return blake2b(key.encode("utf-8", "surrogatepass"), digest_size=16).digest()
