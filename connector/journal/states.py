"""States of records, each kept once: millions of seen rows share a few hundred of them."""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Mapping
from typing import cast

from connector.journal.codec import Text, from_text, to_text
from connector.model import Body

_MOST = 4096


class States:
    """The table of states, with a cache of those used last. It belongs to the journal's thread."""

    def __init__(self) -> None:
        self._numbers: dict[tuple[str, bytes], int] = {}
        self._states: dict[int, tuple[str, Body]] = {}

    def clear(self) -> None:
        """Drop the cache: after a rollback it may name rows that do not exist."""
        self._numbers.clear()
        self._states.clear()

    def number(self, connection: sqlite3.Connection, digest: str, state: Body) -> int:
        """The number of *state*, adding it where it is new."""
        text = to_text(state)
        known = self._numbers.get((digest, text.data))
        if known is not None:
            return known
        row = connection.execute(
            "SELECT state FROM states WHERE digest = ? AND body = ?", (digest, text.data)
        ).fetchone()
        if row is None:
            row = connection.execute(
                "INSERT INTO states (digest, tolerant, body, uses) VALUES (?, ?, ?, 0) RETURNING state",
                (digest, text.tolerant, text.data),
            ).fetchone()
        number = int(row[0])
        self._shrink(self._numbers)
        self._numbers[digest, text.data] = number
        return number

    def load(self, connection: sqlite3.Connection, number: int) -> tuple[str, Body]:
        """Digest and state by number. Many rows share the mapping: it must not be changed."""
        known = self._states.get(number)
        if known is None:
            digest, tolerant, body = connection.execute(
                "SELECT digest, tolerant, body FROM states WHERE state = ?", (number,)
            ).fetchone()
            known = digest, cast("Body", from_text(Text(body, bool(tolerant))))
            self._shrink(self._states)
            self._states[number] = known
        return known

    def count(self, connection: sqlite3.Connection, uses: Mapping[int, int]) -> None:
        """Add *uses* to how often each state is used; drop those that no row uses any more."""
        changes = [(change, number) for number, change in Counter(uses).items() if change]
        connection.executemany("UPDATE states SET uses = uses + ? WHERE state = ?", changes)
        fewer = [(number,) for change, number in changes if change < 0]
        cursor = connection.executemany("DELETE FROM states WHERE state = ? AND uses <= 0", fewer)
        if fewer and cursor.rowcount:
            self.clear()

    @staticmethod
    def _shrink(cache: dict[int, tuple[str, Body]] | dict[tuple[str, bytes], int]) -> None:
        if len(cache) >= _MOST:
            cache.clear()
