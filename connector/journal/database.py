"""Runs the SQLite database on a thread of its own, so that the main loop never waits for a disk.

Work is a function of the connection. Work that writes runs in a transaction, finishes once it was handed
over even if its caller is cancelled, and may use the ballast as its last resort.
"""

from __future__ import annotations

import asyncio
import os
import sqlite3
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path
from typing import TypeVar

from connector.errors import JournalBroken, JournalError, JournalFull
from connector.journal.ballast import Ballast
from connector.journal.codec import UNREADABLE
from connector.journal.integrity import damaged, find_damage
from connector.journal.outcome import finish
from connector.journal.schema import migrate

SQLITE = sqlite3.sqlite_version
"""The version of SQLite in use."""

_PAGE = 4096
"""Bytes: SQLite's default, and the block size of common file systems."""

_CHECKPOINT_PAGES = 1024
"""Length of the write-ahead log at which it is folded in. The ballast must hold as much, and some more."""

_CHECK_SECONDS = 5.0
"""Longest check for damage at the start; it covers a journal of about a gigabyte on an ordinary disk."""

_WAL_LIMIT = 64 << 20
"""Bytes that the write-ahead log keeps after it was folded in: one large transaction may exceed them."""

_CACHE_KIB = 4 << 10
"""Page cache, in KiB: 1024 pages hold the inner pages of the indexes over some million seen rows."""


_NO_ROOM = frozenset(
    {sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY}
)
_DAMAGED = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})
_READING = frozenset(
    {sqlite3.SQLITE_IOERR_READ, sqlite3.SQLITE_IOERR_SHORT_READ, sqlite3.SQLITE_READONLY_DBMOVED}
)

_LOCKING = frozenset(
    {
        sqlite3.SQLITE_IOERR_LOCK,
        sqlite3.SQLITE_IOERR_RDLOCK,
        sqlite3.SQLITE_IOERR_UNLOCK,
        sqlite3.SQLITE_IOERR_CHECKRESERVEDLOCK,
    }
)


def connect(path: Path) -> sqlite3.Connection:
    """Open the database, made readable for its owner only where it is new.

    One connection, exclusively: SQLite before 3.51.3 can damage a file that two write to.
    """
    os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
    connection = sqlite3.connect(path, isolation_level=None, cached_statements=256)
    try:
        connection.execute("PRAGMA locking_mode = EXCLUSIVE")
        if path.stat().st_size == 0:
            # Only where it is new: these write, which a full disk would not let them.
            connection.execute(f"PRAGMA page_size = {_PAGE}")
            connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
        connection.execute("PRAGMA journal_mode = WAL").fetchone()
        connection.execute("PRAGMA synchronous = FULL")
        # Deleted pages are reused, and the file is its owner's: overwriting them doubles the writing.
        connection.execute("PRAGMA secure_delete = OFF")
        connection.execute("PRAGMA temp_store = MEMORY")
        connection.execute(f"PRAGMA cache_size = -{_CACHE_KIB}")
        connection.execute(f"PRAGMA wal_autocheckpoint = {_CHECKPOINT_PAGES}")
        connection.execute(f"PRAGMA journal_size_limit = {_WAL_LIMIT}")
    except BaseException:
        connection.close()
        raise
    return connection


def explain(error: sqlite3.Error | OSError, path: Path) -> JournalError:
    """The journal's own error for *error*."""
    if isinstance(error, OSError):
        return JournalBroken(f"{path} cannot be opened: {error.strerror}; make it readable and writable")
    code = getattr(error, "sqlite_errorcode", None)
    primary = code & 0xFF if isinstance(code, int) else None
    known: JournalError = JournalError(f"{path}: {error}")
    if primary in _DAMAGED or code in _READING:
        known = damaged(path, str(error))
    elif code in _LOCKING or primary == sqlite3.SQLITE_PROTOCOL:
        known = JournalBroken(
            f"{path} cannot be locked ({error}); a network file system such as NFS may not support the locks "
            "of SQLite: set state.directory to a local disk"
        )
    elif primary in _NO_ROOM:
        name = getattr(error, "sqlite_errorname", "")
        known = JournalFull(
            f"{path} cannot be written ({error}, {name}); free disk space, then writing resumes automatically"
        )
    elif primary in {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}:
        known = JournalFull(
            f"{path} is locked by another program; writing resumes automatically when that ends"
        )
    elif primary is not None or isinstance(error, sqlite3.OperationalError):
        # Without a code: the driver could not decode a text (Could not decode to UTF-8).
        # Every statement is tested: what SQLite refuses beyond the above, the file is to blame for.
        known = damaged(path, str(error))
    return known


def _unreadable(error: BaseException) -> str:
    return f"a row cannot be read: {type(error).__name__}: {error}"


@contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """All of it durable at the end, or none of it."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        # A full disk may have ended the transaction already.
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


T = TypeVar("T")

_KEPT_FREE = 64 << 20
_GIVEN_BACK = 256
"""Free bytes that the file may keep, and pages given back to the disk in one go when it has more."""

_SHRINK_TIMES = 16
"""How often in a row that is done to make the ballast whole again."""


class Database:
    """One connection, one thread. Use :func:`open_database`."""

    def __init__(self, path: Path, ballast: Ballast) -> None:
        self.path = path
        self._ballast = ballast
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="journal")
        self._connection: sqlite3.Connection | None = None
        self._closed = False

    async def read(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Run *work*, which only reads. Cancelling drops the answer."""
        self._check_open()
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._read, work)

    async def write(
        self,
        work: Callable[[sqlite3.Connection], T],
        *,
        done: Callable[[T], None] | None = None,
        last_resort: bool = False,
        undo: Callable[[], None] | None = None,
    ) -> T:
        """Run *work* in one durable transaction and call *done* with its outcome, on the loop.

        Cancellation is raised only when the outcome is known. *last_resort* is for what must not fail
        for want of room; all else first makes the ballast whole again. *undo* runs (on the thread) after
        a rollback.
        """
        self._check_open()
        loop = asyncio.get_running_loop()
        return await finish(loop.run_in_executor(self._thread, self._write, work, last_resort, undo), done)

    async def start(self) -> None:
        """Open and migrate."""
        await asyncio.get_running_loop().run_in_executor(self._thread, self._start)

    async def close(self) -> None:
        """Finish what was handed over, then close; the write-ahead log is folded in."""
        if self._closed:
            return
        self._closed = True
        await asyncio.get_running_loop().run_in_executor(self._thread, self._close)
        self._thread.shutdown(wait=True)

    def _start(self) -> None:
        try:
            self._connect()
        except JournalFull:
            if not self._ballast.release():
                raise
            self._connect()
        self._ballast.restore()

    def _connect(self) -> None:
        try:
            self._connection = connect(self.path)
            migrate(self._connection, str(self.path))
            problem = find_damage(self._connection, _CHECK_SECONDS)
        except (sqlite3.Error, OSError) as error:
            self._close()
            raise explain(error, self.path) from error
        except UNREADABLE as error:
            self._close()
            raise damaged(self.path, _unreadable(error)) from error
        if problem:
            self._close()
            raise damaged(self.path, problem)

    def _close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            # What was committed is durable in the write-ahead log, whatever closing says.
            with suppress(sqlite3.Error):
                connection.close()

    def _check_open(self) -> None:
        if self._closed:
            raise JournalError(f"{self.path} is closed")

    def _open(self) -> sqlite3.Connection:
        if self._connection is None:
            raise JournalError(f"{self.path} is closed")
        return self._connection

    def _read(self, work: Callable[[sqlite3.Connection], T]) -> T:
        connection = self._open()
        try:
            return work(connection)
        except sqlite3.Error as error:
            known = explain(error, self.path)
            if isinstance(known, JournalFull):
                known = JournalBroken(f"{self.path} cannot be read: {error}; check that disk")
            raise known from error
        except UNREADABLE as error:
            raise damaged(self.path, _unreadable(error)) from error

    def _write(
        self,
        work: Callable[[sqlite3.Connection], T],
        last_resort: bool,
        undo: Callable[[], None] | None,
    ) -> T:
        connection = self._open()
        if not last_resort and not self._has_ballast():
            raise JournalFull(
                f"the disk of {self.path} is full; what is left is reserved for acknowledgements. "
                "Free disk space, then writing resumes automatically"
            )
        remedies: list[Callable[[], object]] = [self._ballast.release] if last_resort else []
        for remedy in (*remedies, self._fold):
            try:
                return self._attempt(connection, work, undo)
            except JournalFull as full:
                if full.outputs:
                    raise
                remedy()
        return self._attempt(connection, work, undo)

    def _has_ballast(self) -> bool:
        """Whether the ballast is whole; what the file itself can spare goes into it."""
        for _ in range(_SHRINK_TIMES):
            if self._ballast.restore():
                return True
            with suppress(sqlite3.Error):
                if not _give_back(self._open(), keep=0):
                    break
            self._fold()
        return self._ballast.restore()

    def _fold(self) -> None:
        """Fold the write-ahead log in: it is then written from its start again, which needs no new room."""
        with suppress(sqlite3.Error):
            self._open().execute("PRAGMA wal_checkpoint(RESTART)").fetchall()

    def _attempt(
        self,
        connection: sqlite3.Connection,
        work: Callable[[sqlite3.Connection], T],
        undo: Callable[[], None] | None,
    ) -> T:
        try:
            with transaction(connection):
                outcome = work(connection)
        except BaseException as error:
            if undo is not None:
                undo()
            if isinstance(error, sqlite3.Error):
                raise explain(error, self.path) from error
            if isinstance(error, UNREADABLE):
                raise damaged(self.path, _unreadable(error)) from error
            raise
        with suppress(sqlite3.Error):
            _give_back(connection, keep=_KEPT_FREE)
        return outcome


@asynccontextmanager
async def open_database(path: Path, ballast: Ballast) -> AsyncIterator[Database]:
    """A database that is open and migrated, until the end of the block."""
    database = Database(path, ballast)
    try:
        await database.start()
        yield database
    finally:
        await database.close()


def _give_back(connection: sqlite3.Connection, *, keep: int) -> bool:
    """Give room that the file has beyond *keep* back to the disk, a little; says whether there was any."""
    free: int = connection.execute("PRAGMA freelist_count").fetchone()[0]
    size: int = connection.execute("PRAGMA page_size").fetchone()[0]
    if free * size <= keep:
        return False
    # As a script on purpose: the statement works page by page, and only a script is run to its end.
    connection.executescript(f"PRAGMA incremental_vacuum({_GIVEN_BACK})")
    return True
