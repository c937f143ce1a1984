"""A journal on PostgreSQL as one side of a copy: see ``connector.journal.transfer``. Rows go in by COPY."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from hashlib import blake2b
from typing import Any

import psycopg
from psycopg import sql

from connector.errors import JournalBroken, JournalError
from connector.journal.postgres.schema import is_current, migrate
from connector.journal.postgres.server import Server, explain
from connector.journal.transfer import UNFINISHED, Row, Table, Value

_NAMES = {("entries", "only"): "addressee", ("gaps", "start"): "start_at", ("gaps", "end"): "end_at"}
"""Columns that have another name here."""

_BOOLEAN = frozenset({"forgotten", "tolerant", "attached"})
_TEXT_KEYS = frozenset({"sweep", "cause", "output", "key"})
_IDENTITIES = (
    ("feeds", "feed"),
    ("dead_letters", "number"),
    ("quarantine", "number"),
    ("actions", "number"),
)
_MOST_DEAD_LETTERS = 10_000
"""Until the output attaches, which sets its own limit."""


class PostgresSide:
    """A schema of a database. Use :func:`postgres_side`."""

    def __init__(self, connection: psycopg.Connection[Any], server: Server) -> None:
        self._connection = connection
        self._server = server

    @property
    def name(self) -> str:
        """See ``Side``."""
        return self._server.describe()

    def rows(self, table: Table, after: Row | None, limit: int) -> list[Row]:
        """See ``Side``."""
        source: sql.Composable = self._table(table.name)
        if table.name == "seen":
            source = sql.SQL(
                "{} JOIN (SELECT feed, state, digest, tolerant, body FROM {}) AS s USING (feed, state)"
            ).format(source, self._table("states"))
        keys = [self._key(table, column) for column in table.columns[: table.key]]
        query = sql.SQL("SELECT {} FROM {} ").format(
            sql.SQL(", ").join(sql.Identifier(_name(table, column)) for column in table.columns), source
        )
        if after is not None:
            marks = sql.SQL(", ").join([sql.Placeholder()] * len(keys))
            query += sql.SQL("WHERE ({}) > ({}) ").format(sql.SQL(", ").join(keys), marks)
        query += sql.SQL("ORDER BY {} LIMIT {}").format(sql.SQL(", ").join(keys), limit)
        found = self._connection.execute(query, after, binary=True).fetchall()
        return [tuple(map(_plain, row)) for row in found]

    def insert(self, table: Table, rows: Sequence[Row]) -> None:
        """See ``Side``."""
        if table.name == "counters":
            self._set_counters(table, rows[0])
            return
        with self._connection.transaction():
            columns = [_name(table, column) for column in table.columns]
            made: list[Sequence[Value | bool]] = [_typed(table, row) for row in rows]
            if table.name == "seen":
                columns, made = self._split_states(made)
            elif table.name == "outputs":
                columns, made = [*columns, "max_dead_letters"], [[*row, _MOST_DEAD_LETTERS] for row in made]
            self._copy(table.name, columns, made)

    def last_key(self, table: Table) -> Row | None:
        """See ``Side``."""
        keys = [self._key(table, column) for column in table.columns[: table.key]]
        query = sql.SQL("SELECT {} FROM {} ").format(
            sql.SQL(", ").join(sql.Identifier(_name(table, c)) for c in table.columns[: table.key]),
            self._table(table.name),
        )
        if table.name == "key_values":
            query += sql.SQL("WHERE key <> {} ").format(UNFINISHED)
        descending = (sql.SQL("{} DESC").format(key) for key in keys)
        query += sql.SQL("ORDER BY {} LIMIT 1").format(sql.SQL(", ").join(descending))
        row = self._connection.execute(query, binary=True).fetchone()
        return None if row is None else tuple(map(_plain, row))

    def note(self, text: str | None) -> None:
        """See ``Side``."""
        table = self._table("key_values")
        self._connection.execute(sql.SQL("DELETE FROM {} WHERE key = %s").format(table), (UNFINISHED,))
        if text is not None:
            self._connection.execute(
                sql.SQL("INSERT INTO {} VALUES (%s, %s)").format(table), (UNFINISHED, text)
            )

    def noted(self) -> str | None:
        """See ``Side``."""
        query = sql.SQL("SELECT value FROM {} WHERE key = %s").format(self._table("key_values"))
        row = self._connection.execute(query, (UNFINISHED,)).fetchone()
        return None if row is None else str(row[0])

    def finish(self) -> None:
        """See ``Side``."""
        for table, column in _IDENTITIES:
            self._connection.execute(
                sql.SQL(
                    "SELECT setval(pg_get_serial_sequence(%s, %s), greatest(1, (SELECT max({}) FROM {})), "
                    "EXISTS (SELECT 1 FROM {}))"
                ).format(sql.Identifier(column), self._table(table), self._table(table)),
                (f'"{self._server.schema}".{table}', column),
            )
        self._connection.execute(sql.SQL("ANALYZE {}").format(self._table("seen")))

    def _split_states(self, rows: Sequence[Sequence[Any]]) -> tuple[list[str], list[Sequence[Any]]]:
        """Store the states of seen rows; return the columns and rows that are left."""
        states: dict[tuple[int, bytes], tuple[Any, ...]] = {}
        left: list[Sequence[Any]] = []
        for feed, key, time, until, number, occurrences, message, mark, digest, tolerant, body in rows:
            state = blake2b(digest.encode() + b"\0" + body, digest_size=16).digest()
            latest = max(until, states[feed, state][-1]) if (feed, state) in states else until
            states[feed, state] = (feed, state, digest, tolerant, body, latest)
            left.append((feed, key, time, until, state, number, occurrences, message, mark))
        with self._connection.cursor() as cursor:
            cursor.executemany(
                sql.SQL(
                    "INSERT INTO {} AS s (feed, state, digest, tolerant, body, until) "
                    "VALUES (%s, %s, %s, %s, %s, %s) "
                    "ON CONFLICT (feed, state) DO UPDATE SET until = greatest(s.until, excluded.until)"
                ).format(self._table("states")),
                list(states.values()),
            )
        return ["feed", "key", "time", "until", "state", "number", "occurrences", "message", "mark"], left

    def _copy(self, table: str, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
        names = sql.SQL(", ").join(map(sql.Identifier, columns))
        query = sql.SQL("COPY {} ({}) FROM STDIN").format(self._table(table), names)
        with self._connection.cursor() as cursor, cursor.copy(query) as copy:
            for row in rows:
                copy.write_row(row)

    def _set_counters(self, table: Table, row: Row) -> None:
        columns = table.columns[1:]
        pairs = sql.SQL(", ").join(sql.SQL("{} = %s").format(sql.Identifier(column)) for column in columns)
        query = sql.SQL("UPDATE {} SET {}").format(self._table("counters"), pairs)
        self._connection.execute(query, row[1:])

    def _table(self, name: str) -> sql.Identifier:
        return sql.Identifier(self._server.schema, name)

    def _key(self, table: Table, column: str) -> sql.Composable:
        name = sql.Identifier(_name(table, column))
        is_text = column in _TEXT_KEYS and not (column == "key" and table.name in {"seen", "emitted"})
        # SQLite orders text by its bytes.
        return sql.SQL('{} COLLATE "C"').format(name) if is_text else name


@contextmanager
def postgres_side(server: Server, *, is_new: bool) -> Iterator[PostgresSide]:
    """The journal on *server*, which no replica may use meanwhile; *is_new*: made where there is none."""
    try:
        parameters: dict[str, Any] = dict(server.parameters("email-connector migrate"))
    except ValueError as error:
        raise JournalBroken(str(error)) from None
    try:
        with psycopg.connect(**parameters, autocommit=True) as connection:
            if is_new:
                migrate(connection, server.schema)
            elif not is_current(connection, server.schema):
                raise JournalError(f"no journal of this version at {server.describe()}")
            replicas = connection.execute(
                sql.SQL("SELECT count(*) FROM {} WHERE expires > clock_timestamp()").format(
                    sql.Identifier(server.schema, "replicas")
                )
            ).fetchone()
            if replicas and replicas[0]:
                raise JournalError(
                    f"{replicas[0]} replicas use {server.describe()}: stop them, and wait 15 seconds after "
                    "a crash"
                )
            yield PostgresSide(connection, server)
    except psycopg.Error as error:
        raise explain(error, server) from error


def _name(table: Table, column: str) -> str:
    return _NAMES.get((table.name, column), column)


def _typed(table: Table, row: Row) -> list[Value | bool]:
    return [
        bool(value) if column in _BOOLEAN else value for column, value in zip(table.columns, row, strict=True)
    ]


def _plain(value: Any) -> Value:
    if isinstance(value, bool):
        return int(value)
    return bytes(value) if isinstance(value, memoryview) else value
