"""Runs work on the database in threads, so that the main loop never waits for a server.

Work is a function of a :class:`Transaction` or a :class:`Query`. What can be repeated is repeated here: a
transaction that was refused for reasons of concurrency at once, one that could not reach the server after a
wait. A COMMIT whose answer was lost is looked up, never guessed.
"""

from __future__ import annotations

import asyncio
import random
import threading
import time
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from typing import Any, TypeAlias, TypeVar, cast

import psycopg
from psycopg.pq import TransactionStatus

from connector.errors import JournalBroken, JournalError, JournalUnavailable, LeaseLost, Moved
from connector.journal.codec import UNREADABLE
from connector.journal.outcome import finish
from connector.journal.postgres import arrays
from connector.journal.postgres.connection import Connection
from connector.journal.postgres.schema import is_current, migrate
from connector.journal.postgres.server import RETRY_AT_ONCE, Server, explain, is_lasting
from connector.net.backoff import full_jitter

T = TypeVar("T")
Row: TypeAlias = tuple[Any, ...]
Statement: TypeAlias = tuple[str, Sequence[object]]
"""Text with ``%s`` for parameters and ``@`` before the name of each table, and its parameters."""

Proof: TypeAlias = tuple[str, str, int]
"""A lease that a transaction must still hold: its name, the holder, the fencing token."""

CONNECTIONS = 6
"""Maximum connections of one replica, besides the one that listens: one per thread, opened on demand."""

_STATEMENT_MS, _LOCK_MS, _IDLE_MS = 30_000, 2_000, 5_000
"""Longest a statement runs, waits for a lock, and a transaction waits for its client.

A replica that is frozen in the middle of a transaction keeps the others waiting no longer than this.
"""

ANSWER_SECONDS = 40.0
"""Longest wait for one answer: the server itself ends a statement of a transaction before."""

USUAL = -1.0
"""Stands for the patience that the database was opened with."""

_CONFLICTS = 10
"""Transactions in a row that may fail for reasons of concurrency."""

_BASE, _CAP = 0.2, 2.0
"""Seconds between attempts to reach the server: it is back in use within two seconds."""

_LEAST = 0.05
_UNKNOWN_TRANSACTION = frozenset({"22023"})
"""The error of ``pg_xact_status`` for a transaction this server never began: a failover lost it."""


@dataclass(frozen=True, slots=True)
class Identity:
    """Which server answers: its system identifier, and the timeline that every failover counts up."""

    server: str
    timeline: str


class Query:
    """Statements without a transaction, or inside one. *qualify* puts the schema before ``@`` names."""

    def __init__(self, connection: psycopg.Connection[Row], qualify: Callable[[str], bytes]) -> None:
        self.connection = connection
        self._qualify = qualify

    def one(self, text: str, *parameters: object) -> list[Row]:
        """The rows of one statement."""
        cursor = self.connection.execute(self._qualify(text), parameters or None, binary=True)
        return cursor.fetchall() if cursor.description else []

    def run(self, *statements: Statement) -> list[list[Row]]:
        """The rows of each statement; all of them take one round trip."""
        qualify, connection = self._qualify, self.connection
        with connection.pipeline():
            cursors = [
                connection.execute(qualify(text), parameters or None, binary=True)
                for text, parameters in statements
            ]
        return [cursor.fetchall() if cursor.description else [] for cursor in cursors]


class Transaction(Query):
    """A transaction that writes. It begins with the first ``run``."""

    def __init__(
        self, connection: psycopg.Connection[Row], qualify: Callable[[str], bytes], proofs: Sequence[Proof]
    ) -> None:
        super().__init__(connection, qualify)
        self._proofs = proofs
        self.number = ""
        self.finished: list[object] = []

    def run(self, *statements: Statement) -> list[list[Row]]:
        """See ``Query``. Raises ``LeaseLost`` when the transaction may not write any more."""
        if self.number:
            return super().run(*statements)
        prologue: list[Statement] = [("BEGIN", ()), _LIMITS]
        if self._proofs:
            names, holders, tokens = zip(*self._proofs, strict=True)
            prologue.append((_PROVE, (list(names), list(holders), list(tokens))))
        rows = super().run(*prologue, *statements)
        self.number = str(rows[1][0][0])
        if self._proofs and len(rows[2]) < len(self._proofs):
            held = {row[0] for row in rows[2]}
            lost = [name for name, _, _ in self._proofs if name not in held]
            raise LeaseLost(f"another replica holds {', '.join(lost)}")
        return rows[len(prologue) :]

    def one(self, text: str, *parameters: object) -> list[Row]:
        """See ``Query``."""
        return self.run((text, parameters))[0]

    def finish(self, outcome: T, *statements: Statement) -> T:
        """Run *statements* and commit, in one round trip; returns *outcome*. Nothing may follow.

        *outcome* is that of the whole transaction, also where the answer to COMMIT is lost.
        """
        if not self.number:
            self.run()
        self.finished = [outcome]
        super().run(*statements, ("COMMIT", ()))
        return outcome


_LIMITS: Statement = (
    "SELECT pg_current_xact_id()::text, set_config('statement_timeout', %s, true), "
    "set_config('lock_timeout', %s, true), set_config('idle_in_transaction_session_timeout', %s, true)",
    (str(_STATEMENT_MS), str(_LOCK_MS), str(_IDLE_MS)),
)
_PROVE = (
    "SELECT l.name FROM @leases l JOIN unnest(%s::text[], %s::text[], %s::int8[]) AS p(name, holder, token) "
    "USING (name) WHERE l.holder = p.holder AND l.token = p.token FOR SHARE OF l"
)


class Database:
    """Connections to one schema. Use ``start`` and ``close``.

    Args:
        server: where.
        name: what the server shows of these connections.
        patience: seconds that reads and writes wait for a server that is away; ``None``: as long as it takes.
        away: called on the loop with the reason when the server cannot be reached, again with a reason that
            somebody has to see to, and with "" when the server can be reached again.
        connections: most of them.
        answer_seconds: longest wait for one answer of the server.
    """

    def __init__(
        self,
        server: Server,
        name: str,
        *,
        patience: float | None,
        away: Callable[[str], None],
        connections: int = CONNECTIONS,
        answer_seconds: float | None = None,
    ) -> None:
        self.server = server
        self.name = name
        self.is_pooled = False
        self._patience = patience
        self._answer_seconds = ANSWER_SECONDS if answer_seconds is None else answer_seconds
        self._report = away
        self._is_away = False
        self._told: set[str] = set()
        self._outages = 0
        self._closed = threading.Event()
        self._threads = ThreadPoolExecutor(max_workers=connections, thread_name_prefix="postgres")
        self._of_thread = threading.local()
        self._connections: set[psycopg.Connection[Row]] = set()
        prefix = f'"{server.schema}".'
        self.qualify: Callable[[str], bytes] = cache(lambda text: text.replace("@", prefix).encode())
        self.identity = Identity("", "")
        self.is_started = False

    def be_patient(self, seconds: float | None) -> None:
        """From now on wait so long for a server that is away."""
        self._patience = seconds

    async def start(self) -> None:
        """Connect, create or migrate the schema, learn what kind of server answers."""
        await self._patiently(lambda: self._call(self._prepare), USUAL)
        self.is_started = True

    def join(self, started: Database) -> None:
        """Use what *started* has learned of the same server."""
        self.is_pooled, self.identity, self.is_started = started.is_pooled, started.identity, True

    async def close(self) -> None:
        """Finish what was begun, then close every connection."""
        if self._closed.is_set():
            return
        self._closed.set()
        await asyncio.to_thread(self._threads.shutdown, wait=True)
        for connection in self._connections:
            connection.close()

    async def read(self, work: Callable[[Query], T], *, patience: float | None = USUAL) -> T:
        """Run *work*, which only reads. Cancelling drops the answer. *patience* replaces the usual one."""
        return await self._patiently(lambda: self._call(lambda: self._read(work)), patience)

    async def snapshot(self, *statements: Statement) -> list[list[Row]]:
        """The rows of *statements*, which only read, all as of one moment."""
        begin = ("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY", ())
        return (await self.read(lambda query: query.run(begin, *statements, ("COMMIT", ()))))[1:-1]

    async def write(
        self,
        work: Callable[[Transaction], T],
        *,
        done: Callable[[T], None] | None = None,
        proofs: Callable[[], Sequence[Proof]] = tuple,
        patience: float | None = USUAL,
    ) -> T:
        """Run *work* in one durable transaction and call *done* with its outcome, on the loop.

        Cancellation is raised only when the outcome is known: at once while nothing was begun. *proofs* is
        called for each attempt.
        """

        async def attempt() -> T:
            presented = proofs()
            return await finish(asyncio.ensure_future(self._call(lambda: self._write(work, presented))), done)

        return await self._patiently(attempt, patience)

    async def _call(self, work: Callable[[], T]) -> T:
        if self._closed.is_set():
            raise JournalError(f"the journal on {self.server.describe()} is closed")
        return await asyncio.get_running_loop().run_in_executor(self._threads, work)

    async def _patiently(self, attempt: Callable[[], Awaitable[T]], patience: float | None) -> T:
        """Make attempts until the server can be reached, or patience ends."""
        clock = asyncio.get_running_loop().time
        most = self._patience if patience == USUAL else patience
        began, number = clock(), 0
        while True:
            try:
                found = await attempt()
            except JournalUnavailable as error:
                number += 1
                self._tell(str(error))
                self.server.refresh()
                if most is not None and clock() - began >= most:
                    raise
                await asyncio.sleep(_LEAST + full_jitter(number, base=_BASE, cap=_CAP, random=random.random))
            else:
                self._tell("")
                return found

    def _tell(self, reason: str) -> None:
        is_news = bool(reason) != self._is_away
        if not is_news and (reason in self._told or not is_lasting(reason)):
            return
        self._is_away = bool(reason)
        self._outages += is_news and self._is_away
        self._told = {*self._told, reason} if reason else set()
        self._report(reason)

    def _connection(self) -> psycopg.Connection[Row]:
        """The connection of this thread, made where there is none that works."""
        known: psycopg.Connection[Row] | None = getattr(self._of_thread, "connection", None)
        outages = self._outages
        # An idle connection from before an outage is broken, but would report another one when it is used.
        if known is not None and not known.closed and self._of_thread.outages == outages:
            return known
        if known is not None:
            self._connections.discard(known)
            self._of_thread.connection = None
            known.close()
        connection = self._connect()
        arrays.register(connection)
        if self.is_pooled:
            # A pooler may hand the next transaction to another server process, which knows no statement of
            # ours.
            connection.prepare_threshold = None
        self._connections.add(connection)
        self._of_thread.connection, self._of_thread.outages = connection, outages
        return connection

    def _connect(self) -> Connection:
        connection = Connection.connect(**self._parameters(), autocommit=True)
        connection.answer_seconds = self._answer_seconds
        return connection

    def _prepare(self) -> None:
        try:
            with self._connect() as connection:
                row = connection.execute("SELECT pg_backend_pid()").fetchone()
                # A pooler such as PgBouncer invents the process id that it tells its client.
                self.is_pooled = row is not None and row[0] != connection.info.backend_pid
                if not is_current(connection, self.server.schema):
                    migrate(connection, self.server.schema)
                self.identity = identity_of(connection)
        except psycopg.Error as error:
            raise explain(error, self.server) from error

    def _parameters(self) -> dict[str, Any]:
        try:
            return dict(self.server.parameters(self.name))
        except ValueError as error:
            raise JournalBroken(f"state.postgres.url: {error}") from None

    def _read(self, work: Callable[[Query], T]) -> T:
        try:
            connection = self._connection()
        except psycopg.Error as error:
            raise self._explain(error) from error
        try:
            return work(Query(connection, self.qualify))
        except psycopg.Error as error:
            self._roll_back(connection)
            raise self._explain(error) from error
        except UNREADABLE as error:
            raise JournalBroken(
                f"{self.server.describe()}: a row cannot be read: {type(error).__name__}: {error}"
            ) from error

    def _explain(self, error: psycopg.Error) -> JournalError:
        known = explain(error, self.server)
        # A password that was rotated is refused for a while; that must not end a daemon that runs.
        is_refused = isinstance(known, JournalBroken) and (error.sqlstate or "28").startswith("28")
        return JournalUnavailable(str(known)) if is_refused and self.is_started else known

    def _write(self, work: Callable[[Transaction], T], proofs: Sequence[Proof]) -> T:
        for attempt in range(_CONFLICTS):
            try:
                return self._attempt(work, proofs)
            except psycopg.Error as error:
                if error.sqlstate not in RETRY_AT_ONCE:
                    raise self._explain(error) from error
                time.sleep(full_jitter(attempt, base=0.005, cap=0.1, random=random.random))
        raise JournalUnavailable(f"PostgreSQL at {self.server.describe()}: too many conflicts with others")

    def _attempt(self, work: Callable[[Transaction], T], proofs: Sequence[Proof]) -> T:
        connection = self._connection()
        transaction: Transaction = Transaction(connection, self.qualify, proofs)
        try:
            outcome = work(transaction)
            if not transaction.finished:
                transaction.finished = [outcome]
                connection.execute("COMMIT")
        except psycopg.Error as error:
            self._roll_back(connection)
            if not transaction.finished or _is_definite(error):
                raise
        except BaseException:
            self._roll_back(connection)
            raise
        else:
            return outcome
        if not self._was_committed(transaction.number):
            raise JournalUnavailable(f"PostgreSQL at {self.server.describe()} lost the transaction")
        return cast("T", transaction.finished[0])

    @staticmethod
    def _roll_back(connection: psycopg.Connection[Row]) -> None:
        if connection.info.transaction_status in {TransactionStatus.INTRANS, TransactionStatus.INERROR}:
            with suppress(psycopg.Error):
                connection.execute("ROLLBACK")

    def _was_committed(self, number: str) -> bool:
        """Ask the server what became of transaction *number*, until it answers.

        Raises ``Moved`` where that cannot be known: another server has taken over. Both outcomes are possible
        then, and the caller reads again what is stored.
        """
        attempt = 0
        while True:
            attempt += 1
            try:
                with self._connect() as connection:
                    if identity_of(connection) != self.identity:
                        raise Moved(
                            f"{self.server.describe()}: another server took over in the middle of a commit"
                        )
                    row = connection.execute("SELECT pg_xact_status(%s::xid8)", (number,)).fetchone()
                    status = row[0] if row else None
                    if status in {"committed", "aborted"}:
                        return bool(status == "committed")
                    if status is None:
                        raise Moved(f"{self.server.describe()}: the transaction is too old to be known")
            except psycopg.Error as error:
                if error.sqlstate in _UNKNOWN_TRANSACTION:
                    return False
            if self._closed.wait(_LEAST + full_jitter(attempt, base=_BASE, cap=_CAP, random=random.random)):
                raise JournalUnavailable(f"{self.server.describe()}: the outcome of a commit is unknown")


def identity_of(connection: psycopg.Connection[Row]) -> Identity:
    """Which server answers; empty where it does not say (some managed services)."""
    try:
        row = connection.execute(
            "SELECT system_identifier::text, substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8) "
            "FROM pg_control_system()"
        ).fetchone()
    except (
        psycopg.errors.InsufficientPrivilege,
        psycopg.errors.FeatureNotSupported,
        psycopg.errors.UndefinedFunction,
    ):
        return Identity("", "")
    return Identity(row[0], row[1]) if row else Identity("", "")


def _is_definite(error: psycopg.Error) -> bool:
    """Whether *error*, raised by COMMIT or by what went with it, means that nothing was stored."""
    code = error.sqlstate or ""
    return bool(code) and not code.startswith(("08", "57P"))
