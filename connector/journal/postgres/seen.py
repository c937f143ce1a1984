"""Statements about seen rows and their states.

A state is stored once per feed under a hash of its content, so that it needs no number, and a cache of it can
never be wrong. States that no row uses any more go when rows expire: see ``states.until``.
"""

from __future__ import annotations

import threading
from collections.abc import Container, Iterable, Mapping, Sequence
from datetime import datetime
from hashlib import blake2b
from typing import cast

from connector.journal.codec import Text, from_text, to_micros, to_moment, to_text
from connector.journal.postgres.arrays import byteas, int4s, int8s
from connector.journal.postgres.database import Query, Row, Statement
from connector.journal.seen import LATEST, LOOKED_AT_ONCE, from_key, split_by_mark, to_key
from connector.model import Body, Feed, Seen, Window

_MOST = 4096
"""States in the cache: real feeds have a few hundred."""

_DAY = 86_400_000_000
"""How much later a row may be than its state says: a state is written once a day, not with each page."""

_OF_FEED = "feed = (SELECT feed FROM @feeds WHERE account = %s AND search = %s AND NOT forgotten)"
_COLUMNS = "feed, key, time, until, state, number, occurrences, message, mark"


class States:
    """Known states by hash, and until when each is noted as used. Several threads use it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._bodies: dict[bytes, tuple[str, Body]] = {}
        self._hashes: dict[tuple[str, bytes], bytes] = {}
        self._noted: dict[tuple[int, bytes], int] = {}

    def clear(self) -> None:
        """Forget what is noted: another server may not have it."""
        with self._lock:
            self._noted.clear()

    def hash_of(self, digest: str, text: Text) -> bytes:
        """The name of a state."""
        known = self._hashes.get((digest, text.data))
        if known is None:
            known = blake2b(digest.encode() + b"\0" + text.data, digest_size=16).digest()
            with self._lock:
                if len(self._hashes) >= _MOST:
                    self._hashes.clear()
                self._hashes[digest, text.data] = known
        return known

    def is_noted(self, feed: int, state: bytes, until: int) -> bool:
        """Whether *state* of *feed* is stored as used until *until*, give or take a day."""
        return self._noted.get((feed, state), -1) + _DAY > until

    def note(self, feed: int, used: Mapping[bytes, int]) -> None:
        """Note what is stored by now."""
        with self._lock:
            if len(self._noted) >= _MOST:
                self._noted.clear()
            self._noted.update(((feed, state), until) for state, until in used.items())

    def load(self, query: Query, rows: Sequence[Row]) -> dict[bytes, tuple[str, Body]]:
        """Digest and body of the states of *rows*. Many rows share one: do not modify it."""
        wanted = {row[4] for row in rows}
        found = {state: self._bodies[state] for state in wanted if state in self._bodies}
        missing = [state for state in wanted if state not in found]
        if missing:
            stored = query.one(
                "SELECT state, digest, tolerant, body FROM @states WHERE feed = %s AND state = ANY(%s)",
                rows[0][0], byteas(missing),
            )  # fmt: skip
            for state, digest, tolerant, body in stored:
                found[state] = digest, cast("Body", from_text(Text(body, tolerant)))
            with self._lock:
                if len(self._bodies) >= _MOST:
                    self._bodies.clear()
                self._bodies.update((state, found[state]) for state in missing)
        return found


def find(query: Query, states: States, feed: Feed, ids: Sequence[str]) -> dict[str, Seen]:
    """What is remembered of *ids*."""
    keys = byteas([to_key(one) for one in dict.fromkeys(ids)])
    rows = query.one(
        f"SELECT {_COLUMNS} FROM @seen WHERE {_OF_FEED} AND key = ANY(%s)", feed.account, feed.search, keys
    )
    known = states.load(query, rows) if rows else {}
    found = (_seen(row, known) for row in rows)
    return {seen.id: seen for seen in found}


def recognise(
    query: Query, states: States, feed: Feed, marks: Mapping[str, bytes], within: Window, since: datetime
) -> tuple[frozenset[str], dict[str, Seen]]:
    """The ids whose rows have the same mark, and the rows of the others. See ``FeedLog.recognise``."""
    keys = {to_key(one): one for one in marks}
    rows = query.one(
        f"SELECT key, mark, time, until FROM @seen WHERE {_OF_FEED} AND key = ANY(%s)",
        feed.account, feed.search, byteas(list(keys)),
    )  # fmt: skip
    same, others = split_by_mark(rows, keys, marks, within, since)
    return same, find(query, states, feed, others) if others else {}


def find_in(
    query: Query,
    states: States,
    feed: Feed,
    window: Window,
    without: Container[str],
    after: tuple[int, bytes] | None,
) -> tuple[list[Seen], tuple[int, bytes] | None]:
    """The next rows whose time lies in *window*, by time, and where to continue (``None``: at the end).

    Those whose id is in *without* are only looked at.
    """
    start = to_micros(window.start)
    rows = query.one(
        f"SELECT time, key FROM @seen WHERE {_OF_FEED} AND time >= %s AND time < %s "
        "AND (time, key) > (%s, %s) ORDER BY time, key LIMIT %s",
        feed.account, feed.search, start, to_micros(window.end), *(after or (start, b"")), LOOKED_AT_ONCE,
    )  # fmt: skip
    names = [name for _, key in rows if (name := from_key(key)) not in without]
    known = find(query, states, feed, names) if names else {}
    found = [known[name] for name in names if name in known]
    return found, (rows[-1][0], rows[-1][1]) if len(rows) == LOOKED_AT_ONCE else None


def store(states: States, feed: int, seen: Iterable[Seen]) -> tuple[list[Statement], dict[bytes, int]]:
    """What adds or replaces rows; of several for one id the last counts.

    Also returns the states that are then noted as used, for ``States.note``.
    """
    latest = {to_key(one.id): one for one in seen}
    if not latest:
        return [], {}
    keys = sorted(latest)  # in one order always, so that two transactions cannot block each other
    rows = [latest[key] for key in keys]
    texts = [to_text(one.state) for one in rows]
    hashes = [states.hash_of(one.digest, text) for one, text in zip(rows, texts, strict=True)]
    untils = [to_micros(one.until) for one in rows]
    used: dict[bytes, int] = {}
    for state, until in zip(hashes, untils, strict=True):
        used[state] = max(until, used.get(state, until))
    new = {state: until for state, until in used.items() if not states.is_noted(feed, state, until)}
    statements: list[Statement] = []
    if new:
        by_hash = {state: (one.digest, text) for state, one, text in zip(hashes, rows, texts, strict=True)}
        statements += [
            (
                "INSERT INTO @states (feed, state, digest, tolerant, body, until) "
                "VALUES (%s, %s, %s, %s, %s, %s) "
                "ON CONFLICT (feed, state) DO UPDATE SET until = greatest(states.until, excluded.until)",
                (
                    feed,
                    state,
                    by_hash[state][0],
                    by_hash[state][1].tolerant,
                    by_hash[state][1].data,
                    new[state],
                ),
            )
            for state in sorted(new)
        ]
    statements.append(
        (
            "WITH stored AS ("
            "INSERT INTO @seen (feed, key, time, until, state, number, occurrences, message, mark) "
            "SELECT %s, * FROM unnest(%s::bytea[], %s::int8[], %s::int8[], %s::bytea[], %s::int4[], "
            "%s::bytea[], %s::bytea[], %s::bytea[]) "
            "ON CONFLICT (feed, key) DO UPDATE SET time = excluded.time, until = excluded.until, "
            "state = excluded.state, number = excluded.number, occurrences = excluded.occurrences, "
            "message = excluded.message, mark = excluded.mark RETURNING xmax = 0 AS is_new), "
            "added AS (SELECT count(*) AS rows FROM stored WHERE is_new) "
            "UPDATE @feeds SET seen = seen + added.rows FROM added WHERE feed = %s AND added.rows > 0",
            (
                feed,
                byteas(keys),
                int8s([to_micros(one.time) for one in rows]),
                int8s(untils),
                byteas(hashes),
                int4s([one.number for one in rows]),
                byteas([_occurrences(one) for one in rows]),
                byteas([one.message or None for one in rows]),
                byteas([one.mark or None for one in rows]),
                feed,
            ),
        )
    )
    return statements, new


def expire(query: Query, feed: int, passed: int | None, most: int) -> int:
    """Delete at most *most* rows whose window ended by *passed* (``None``: any); return how many."""
    chosen = "SELECT ctid FROM @seen WHERE feed = %s LIMIT %s"
    parameters: tuple[int, ...] = (feed, most)
    if passed is not None:
        chosen = "SELECT ctid FROM @seen WHERE feed = %s AND time <= %s AND until <= %s LIMIT %s"
        parameters = (feed, passed + LATEST, passed, most)
    rows = query.one(
        f"WITH gone AS (DELETE FROM @seen WHERE ctid = ANY(ARRAY({chosen})) RETURNING 1), "
        "counted AS (SELECT count(*) AS rows FROM gone) "
        "UPDATE @feeds SET seen = seen - counted.rows FROM counted WHERE feed = %s RETURNING counted.rows",
        *parameters, feed,
    )  # fmt: skip
    return int(rows[0][0]) if rows else 0


def expire_states(feed: int, passed: int | None) -> Statement:
    """What deletes the states that no row can be in any more, after rows up to *passed* have gone."""
    if passed is None:
        return "DELETE FROM @states WHERE feed = %s", (feed,)
    return "DELETE FROM @states WHERE feed = %s AND until + %s <= %s", (feed, _DAY, passed)


def _seen(row: Row, known: Mapping[bytes, tuple[str, Body]]) -> Seen:
    _, key, time, until, state, number, occurrences, message, mark = row
    digest, watched = known[state]
    entered = (
        {digest: 1}
        if occurrences is None
        else cast("dict[str, int]", from_text(Text(occurrences, tolerant=False)))
    )
    return Seen(
        from_key(key),
        to_moment(time),
        watched,
        digest,
        entered,
        number,
        to_moment(until),
        message or b"",
        mark or b"",
    )


def _occurrences(seen: Seen) -> bytes | None:
    return None if seen.occurrences == {seen.digest: 1} else to_text(seen.occurrences).data
