"""The tables of seen rows and their states: what is remembered of records to tell new from known."""

from __future__ import annotations

import re
import sqlite3
from collections import Counter
from collections.abc import Collection, Container, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from functools import lru_cache
from typing import Any, TypeAlias, cast

from connector.journal.codec import Text, from_text, to_micros, to_moment, to_text
from connector.model import Body, Seen, Window
from connector.values import dataclass

_MOST = 4096
"""States in the cache: real feeds have a few hundred."""


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


LATEST = 2_000_000
"""Microseconds by which a row's time may lie beyond the end of the windows that returned it. So rows that may
go are found by their time; those among them that a longer window returned stay, and are few."""

_TIME = re.compile(rb"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}")
_PLAIN = b"\x00"
_TIMED = b"\x01"
_LONGEST = 255
"""Furthest place of a time in an id: it is kept in one byte."""


@lru_cache(maxsize=4096)
def to_key(text: str) -> bytes:
    """The key of an id. Different ids have different keys."""
    data = text.encode("utf-8", "surrogatepass")
    at = data.find(b":") - 13  # faster than a search, which tries every digit of an id
    if at < 0 or _TIME.match(data, at) is None:
        match = _TIME.search(data)
        at = match.start() if match else _LONGEST + 1
    if at > _LONGEST:
        return _PLAIN + data
    return b"%b%c%b%b" % (_packed(data[at : at + 19]), at, data[:at], data[at + 19 :])


@lru_cache(maxsize=4096)
def _packed(time: bytes) -> bytes:
    return _TIMED + int(time.translate(None, b"-T:")).to_bytes(6, "big")


def from_key(key: bytes) -> str:
    """The id of a key."""
    if key[:1] == _PLAIN:
        return key[1:].decode("utf-8", "surrogatepass")
    at = 8 + key[7]
    return (key[8:at] + _time_of(key[1:7]) + key[at:]).decode("utf-8", "surrogatepass")


@lru_cache(maxsize=4096)  # rows that are read together have few times
def _time_of(packed: bytes) -> bytes:
    digits = b"%014d" % int.from_bytes(packed, "big")
    return b"%b-%b-%bT%b:%b:%b" % (
        digits[:4], digits[4:6], digits[6:8], digits[8:10], digits[10:12], digits[12:],
    )  # fmt: skip


LOOKED_AT_ONCE = 5000
"""Rows that one piece of the journal's work looks at, about 10 ms: acknowledgements are waiting."""

_CHUNK = 250
"""Keys in one statement: a page of 1000 records takes four."""

_MARKS = ",".join("?" * _CHUNK)

_NEIGHBOURS = 2
"""How many times as many rows as keys are read where the keys' rows are expected to lie together."""

_TOGETHER = 50
"""Rows that one statement inserts; more gain nothing."""

_INSERT = (
    "INSERT INTO seen (feed, key, time, until, state, number, occurrences, message, mark) "
    "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"
)
_FIRST_SIGHTS = ", ".join(["(?, ?, ?, ?, ?, 1, ?, ?)"] * _TOGETHER)
_INSERT_FIRST_SIGHTS = (
    f"INSERT INTO seen (feed, key, time, until, state, number, message, mark) VALUES {_FIRST_SIGHTS}"  # noqa: S608
)

_Values: TypeAlias = tuple[int, int, int, int, bytes | None, bytes | None, bytes | None]
"""time, until, state, number, occurrences, message, mark"""


@dataclass(slots=True)
class _Changes:
    """What a commit does to rows of the table, by kind: most rows seen again only get a later window."""

    moved: list[tuple[int, int]]
    rewritten: list[tuple[int | bytes | None, ...]]
    uses: Counter[int]

    def note(self, values: _Values, known: tuple[int, _Values]) -> None:
        """Sort in what becomes of the row that is stored as *known*."""
        row, before = known
        if before == values:
            return
        if (before[0], *before[2:]) == (values[0], *values[2:]):
            self.moved.append((values[1], row))
            return
        self.rewritten.append((*values, row))
        self.uses[values[2]] += 1
        self.uses[before[2]] -= 1


def split_by_mark(
    rows: Iterable[tuple[bytes, bytes | None, int, int]],
    names: Mapping[bytes, str],
    marks: Mapping[str, bytes],
    within: Window,
    since: datetime,
) -> tuple[frozenset[str], list[str]]:
    """Ids of *rows* (key, mark, time, until) that ``FeedLog.recognise`` need not compare, and the others."""
    first, last, least = to_micros(within.start), to_micros(within.end), to_micros(since)
    same: list[str] = []
    others: list[str] = []
    for key, mark, time, until in rows:
        name = names[key]
        is_same = mark is not None and mark == marks[name] and first <= time <= last and until >= least
        (same if is_same else others).append(name)
    return frozenset(same), others


class SeenTable:
    """The rows of all feeds. Feeds are named by their number; it belongs to the journal's thread."""

    def __init__(self, states: States) -> None:
        self._states = states

    def find(self, connection: sqlite3.Connection, feed: int, ids: Sequence[str]) -> dict[str, Seen]:
        """What is remembered of *ids*."""
        keys = {to_key(one): one for one in ids}
        rows = _rows(connection, feed, keys)
        return {keys[key]: self._seen(connection, keys[key], values) for key, (_, values) in rows.items()}

    def recognise(
        self,
        connection: sqlite3.Connection,
        feed: int,
        marks: Mapping[str, bytes],
        within: Window,
        since: datetime,
    ) -> tuple[frozenset[str], dict[str, Seen]]:
        """The ids whose rows have the same mark, and the rows of the others. See ``FeedLog.recognise``."""
        keys = {to_key(one): one for one in marks}
        rows = _select(connection, "key, mark, time, until", feed, keys)
        same, others = split_by_mark(rows, keys, marks, within, since)
        return same, self.find(connection, feed, others) if others else {}

    def seen_in(
        self,
        connection: sqlite3.Connection,
        feed: int,
        window: Window,
        without: Container[str],
        after: tuple[int, int] | None,
    ) -> tuple[list[Seen], tuple[int, int] | None]:
        """The next rows whose time lies in *window*, by time, and where to continue (``None``: at the end).

        Those whose id is in *without* are only looked at.
        """
        time, row = after or (to_micros(window.start), -1)
        end = to_micros(window.end)
        if time >= end:
            return [], None
        # Two statements: no index serves a comparison of pairs of which the second is the row's number.
        rows = connection.execute(
            "SELECT time, row, key FROM seen INDEXED BY seen_by_time "
            "WHERE feed = ? AND time = ? AND row > ? ORDER BY row LIMIT ?",
            (feed, time, row, LOOKED_AT_ONCE),
        ).fetchall()
        rows += connection.execute(
            "SELECT time, row, key FROM seen INDEXED BY seen_by_time "
            "WHERE feed = ? AND time > ? AND time < ? ORDER BY time, row LIMIT ?",
            (feed, time, end, LOOKED_AT_ONCE - len(rows)),
        ).fetchall()
        names = {key: name for _, _, key in rows if (name := from_key(key)) not in without}
        known = _rows(connection, feed, names)
        found = [self._seen(connection, name, known[key][1]) for key, name in names.items()]
        return found, rows[-1][:2] if len(rows) == LOOKED_AT_ONCE else None

    def store(self, connection: sqlite3.Connection, feed: int, seen: Iterable[Seen]) -> None:
        """Add or replace rows; of several for one id the last counts."""
        latest = {to_key(one.id): one for one in seen}
        if not latest:
            return
        known = _rows(connection, feed, latest)
        added: list[tuple[bytes, _Values]] = []
        changes = _Changes([], [], Counter())
        # A page has few states, and the same mapping stands for each: looked up by identity.
        numbers: dict[tuple[int, str], int] = {}
        until, until_micros = None, 0
        for key, one in latest.items():
            state = numbers.get((id(one.state), one.digest))
            if state is None:
                state = self._states.number(connection, one.digest, one.state)
                numbers[id(one.state), one.digest] = state
            if one.until is not until:
                until, until_micros = one.until, to_micros(one.until)
            values = (
                to_micros(one.time),
                until_micros,
                state,
                one.number,
                None if one.occurrences == {one.digest: 1} else to_text(one.occurrences).data,
                one.message or None,
                one.mark or None,
            )
            if key in known:
                changes.note(values, known[key])
            else:
                added.append((key, values))
        _insert(connection, feed, added)
        changes.uses.update([values[2] for _, values in added])
        connection.executemany("UPDATE seen SET until = ? WHERE row = ?", changes.moved)
        connection.executemany(
            "UPDATE seen SET time = ?, until = ?, state = ?, number = ?, occurrences = ?, message = ?, "
            "mark = ? WHERE row = ?",
            changes.rewritten,
        )
        self._states.count(connection, changes.uses)
        _count(connection, feed, len(added))

    def expire(self, connection: sqlite3.Connection, feed: int, passed: int | None, most: int) -> int:
        """Delete at most *most* rows whose window ended at or before *passed* (``None``: any)."""
        if passed is None:
            rows = connection.execute("SELECT row, state FROM seen WHERE feed = ? LIMIT ?", (feed, most))
        else:
            rows = connection.execute(
                "SELECT row, state FROM seen INDEXED BY seen_by_time "
                "WHERE feed = ? AND time <= ? AND until <= ? LIMIT ?",
                (feed, passed + LATEST, passed, most),
            )
        gone = rows.fetchall()
        connection.executemany("DELETE FROM seen WHERE row = ?", [(row,) for row, _ in gone])
        uses = Counter(state for _, state in gone)
        self._states.count(connection, {state: -count for state, count in uses.items()})
        _count(connection, feed, -len(gone))
        return len(gone)

    def _seen(self, connection: sqlite3.Connection, name: str, values: _Values) -> Seen:
        time, until, state, number, occurrences, message, mark = values
        digest, watched = self._states.load(connection, state)
        return Seen(
            name,
            to_moment(time),
            watched,
            digest,
            {digest: 1} if occurrences is None else from_occurrences(occurrences),
            number,
            to_moment(until),
            message or b"",
            mark or b"",
        )


def _rows(
    connection: sqlite3.Connection, feed: int, keys: Collection[bytes]
) -> dict[bytes, tuple[int, _Values]]:
    """Number and values of the rows of *keys*, by key."""
    rows = _select(connection, "key, row, time, until, state, number, occurrences, message, mark", feed, keys)
    return {row[0]: (row[1], row[2:]) for row in rows}


def _select(
    connection: sqlite3.Connection, columns: str, feed: int, keys: Collection[bytes]
) -> list[tuple[Any, ...]]:
    """*columns*, of which the first is the key, of the rows of *keys*."""
    select = f"SELECT {columns} FROM seen WHERE feed = ? AND key"  # noqa: S608, no text of others
    low, high = min(keys, default=b""), max(keys, default=b"")
    if low.startswith(_TIMED):
        # Most keys are those of a page: their rows are read in a row, in half of the time.
        most = _NEIGHBOURS * len(keys)
        rows = connection.execute(f"{select} BETWEEN ? AND ? LIMIT ?", (feed, low, high, most)).fetchall()
        if len(rows) < most:
            return [row for row in rows if row[0] in keys]
    query = f"{select} IN ({_MARKS})"
    return [row for chunk in _chunks(keys) for row in connection.execute(query, (feed, *chunk))]


def _insert(connection: sqlite3.Connection, feed: int, rows: Sequence[tuple[bytes, _Values]]) -> None:
    """Insert *rows*, those at first sight many in one statement: each statement has a cost of its own."""
    usual: list[tuple[bytes, _Values]] = []
    others: list[tuple[bytes, _Values]] = []
    for row in rows:
        _, _, _, number, occurrences, message, mark = row[1]
        is_usual = number == 1 and occurrences is None and message and mark
        (usual if is_usual else others).append(row)
    for start in range(0, len(usual) - _TOGETHER + 1, _TOGETHER):
        values: list[int | bytearray] = []
        for key, (time, until, state, _, _, message, mark) in usual[start : start + _TOGETHER]:
            # The driver binds a bytearray five times as fast as bytes or None, which it tries to adapt.
            bound = bytearray(key), time, until, state, bytearray(message or b""), bytearray(mark or b"")
            values += (feed, *bound)
        connection.execute(_INSERT_FIRST_SIGHTS, values)
    others += usual[len(usual) - len(usual) % _TOGETHER :]
    connection.executemany(_INSERT, [(feed, key, *values) for key, values in others])


def _chunks(keys: Collection[bytes]) -> Iterator[list[bytearray | int]]:
    """*keys* in lists of the length that a statement takes; no key is a number."""
    bound: list[bytearray | int] = [bytearray(key) for key in keys]
    bound += [0] * (-len(bound) % _CHUNK)
    return (bound[start : start + _CHUNK] for start in range(0, len(bound), _CHUNK))


def from_occurrences(data: bytes) -> dict[str, int]:
    """How often a record entered each state, as stored."""
    return cast("dict[str, int]", from_text(Text(data, tolerant=False)))


def _count(connection: sqlite3.Connection, feed: int, change: int) -> None:
    if change:
        connection.execute("UPDATE feeds SET seen = seen + ? WHERE feed = ?", (change, feed))
