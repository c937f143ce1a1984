"""Leases in the database, on the database's clock. See ``connector.leases``."""

from __future__ import annotations

import asyncio
import json
import os
import socket
from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

from connector.broadcast import Broadcast
from connector.errors import JournalUnavailable
from connector.journal.postgres.arrays import int8s
from connector.journal.postgres.database import Database, Query, Row, Statement, Transaction
from connector.leases import TTL, Lease, Replica, Replicas, Request

T = TypeVar("T")

_EXPIRES = f"clock_timestamp() + interval '{TTL} seconds'"
_FORGET = "clock_timestamp() - interval '1 hour'"
_LOCK_MS = 1_000
"""Longest wait for the row of a lease: its former holder may be frozen in the middle of a transaction."""


class PostgresLeases:
    """Implements ``connector.leases.Leases`` with a connection of its own, which no other work delays.

    Args:
        database: connections of one thread.
        replica: the id of this replica.
        version: of the program.
        notification: makes the statement that tells others of a change of a kind.
        leases_changed: notified when others told of a change of leases.
        requests_changed: the same for requests.
    """

    def __init__(
        self,
        database: Database,
        replica: str,
        version: str,
        notification: Callable[[str], Statement],
        leases_changed: Broadcast,
        requests_changed: Broadcast,
    ) -> None:
        self._database = database
        self._replica = replica
        self._version = version
        self._notification = notification
        self._leases_changed = leases_changed
        self._requests_changed = requests_changed
        self._last_request: int | None = None

    @property
    def replica(self) -> str:
        """See ``Leases``."""
        return self._replica

    async def renew(self, serves: Sequence[str], held: Mapping[str, int]) -> Replicas:
        """See ``Leases``."""
        names = sorted(held)

        def work(transaction: Transaction) -> Replicas:
            *_, replicas, leases = transaction.run(
                (
                    "INSERT INTO @replicas (replica, host, process, version, serves, started, expires) "
                    f"VALUES (%s, %s, %s, %s, %s, clock_timestamp(), {_EXPIRES}) "
                    "ON CONFLICT (replica) DO UPDATE "
                    "SET serves = excluded.serves, expires = excluded.expires",
                    (self._replica, socket.gethostname(), os.getpid(), self._version, list(serves)),
                ),
                (
                    f"UPDATE @leases AS l SET expires = {_EXPIRES} "
                    "FROM unnest(%s::text[], %s::int8[]) AS h(name, token) "
                    "WHERE l.name = h.name AND l.holder = %s AND l.token = h.token",
                    (names, int8s([held[name] for name in names]), self._replica),
                ),
                (f"DELETE FROM @replicas WHERE expires < {_FORGET}", ()),
                (f"DELETE FROM @requests WHERE at < {_FORGET}", ()),
                (_REPLICAS, ()),
                (_LEASES, ()),
            )
            return Replicas(tuple(map(_replica, replicas)), tuple(Lease(*row) for row in leases))

        return await self._write(work)

    async def take(self, names: Sequence[str]) -> Mapping[str, int] | None:
        """See ``Leases``."""
        ordered = sorted(names)

        def free(query: Query) -> None:
            # Its connections may hold locks on the row: it was frozen inside of a transaction, or cut off.
            query.one(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = current_user "
                "AND datname = current_database() AND pid <> pg_backend_pid() AND application_name IN "
                "(SELECT 'email-connector ' || holder FROM @leases WHERE name = ANY(%s) "
                "AND holder <> %s AND expires < clock_timestamp())",
                ordered, self._replica,
            )  # fmt: skip

        def work(transaction: Transaction) -> Mapping[str, int] | None:
            *_, rows = transaction.run(
                ("SELECT set_config('lock_timeout', %s, true)", (str(_LOCK_MS),)),
                (
                    "INSERT INTO @leases (name, holder, token, expires, since) "
                    "SELECT n, NULL, 0, clock_timestamp(), clock_timestamp() "
                    "FROM unnest(%s::text[]) AS w(n) "
                    "WHERE NOT EXISTS (SELECT 1 FROM @leases WHERE name = n) ON CONFLICT DO NOTHING",
                    (ordered,),
                ),
                (
                    "SELECT name, holder IS NULL OR holder = %s OR expires < clock_timestamp() FROM @leases "
                    "WHERE name = ANY(%s) ORDER BY name FOR UPDATE",
                    (self._replica, ordered),
                ),
            )
            if not all(is_free for _, is_free in rows):
                return None
            taken = transaction.one(
                f"UPDATE @leases SET holder = %s, token = token + 1, expires = {_EXPIRES}, "
                "since = clock_timestamp() WHERE name = ANY(%s) RETURNING name, token",
                self._replica, ordered,
            )  # fmt: skip
            transaction.run(self._notification("leases"))
            return dict(map(tuple, taken))

        await self._database.read(free, patience=0.0)
        return await self._write(work)

    async def release(self, held: Mapping[str, int]) -> None:
        """See ``Leases``."""
        names = sorted(held)

        def work(transaction: Transaction) -> None:
            transaction.finish(
                None,
                (
                    "UPDATE @leases AS l SET holder = NULL, expires = clock_timestamp() "
                    "FROM unnest(%s::text[], %s::int8[]) AS h(name, token) "
                    "WHERE l.name = h.name AND l.holder = %s AND l.token = h.token",
                    (names, int8s([held[name] for name in names]), self._replica),
                ),
                self._notification("leases"),
            )

        await self._write(work)

    async def leave(self) -> None:
        """See ``Leases``."""
        await self._write(
            lambda transaction: transaction.finish(
                None,
                ("DELETE FROM @replicas WHERE replica = %s", (self._replica,)),
                self._notification("leases"),
            )
        )

    async def changed(self) -> None:
        """See ``Leases``."""
        await self._leases_changed.wait()

    async def request(self, command: str, arguments: Mapping[str, object]) -> None:
        """See ``Leases``."""
        await self._write(
            lambda transaction: transaction.finish(
                None,
                (
                    "INSERT INTO @requests (replica, command, arguments, at) VALUES (%s, %s, %s, "
                    "clock_timestamp())",
                    (self._replica, command, json.dumps(dict(arguments))),
                ),
                self._notification("request"),
            )
        )

    async def requests(self) -> Sequence[Request]:
        """See ``Leases``."""
        while True:
            if self._last_request is None:
                rows = await self._read("SELECT coalesce(max(number), 0) FROM @requests")
                self._last_request = int(rows[0][0])
            rows = await self._read(
                "SELECT number, command, arguments FROM @requests WHERE number > %s AND replica <> %s "
                "ORDER BY number",
                self._last_request, self._replica,
            )  # fmt: skip
            if rows:
                self._last_request = int(rows[-1][0])
                return [Request(command, json.loads(arguments)) for _, command, arguments in rows]
            await self._requests_changed.wait()

    async def _read(self, text: str, *parameters: object) -> list[Row]:
        while True:
            try:
                return await self._database.read(lambda query: query.one(text, *parameters), patience=0.0)
            except JournalUnavailable:
                await asyncio.sleep(1.0)

    async def _write(self, work: Callable[[Transaction], T]) -> T:
        return await self._database.write(work, patience=0.0)


_REPLICAS = (
    "SELECT replica, host, process, version, serves, extract(epoch FROM clock_timestamp() - started)::float8 "
    "FROM @replicas WHERE expires > clock_timestamp() ORDER BY replica"
)
_LEASES = (
    "SELECT name, CASE WHEN expires > clock_timestamp() THEN holder END, token, "
    "extract(epoch FROM expires - clock_timestamp())::float8, "
    "extract(epoch FROM clock_timestamp() - since)::float8 "
    "FROM @leases ORDER BY name"
)


def _replica(row: Row) -> Replica:
    name, host, process, version, serves, age = row
    return Replica(name, host, process, version, frozenset(serves), age)
