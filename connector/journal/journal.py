"""The journal: the durable log between collection and delivery, in one SQLite database."""

from __future__ import annotations

import asyncio
import sqlite3
from collections import Counter
from collections.abc import AsyncIterator, Callable, Collection, Container, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from functools import cache, partial
from pathlib import Path
from types import MappingProxyType
from typing import Literal, TypeAlias, TypeVar

from connector.broadcast import Broadcast
from connector.errors import JournalFull
from connector.facts import (
    BacklogSkipped,
    JournalAcknowledged,
    JournalCommitted,
    JournalCommitting,
    JournalTrimmed,
    JournalWriteFailed,
    RecordQuarantined,
)
from connector.interfaces import Clock, Observe, Start
from connector.journal import actions as actions_table
from connector.journal import dead_letters, entries, feeds, kv, positions, quarantine, refusals, rewinding
from connector.journal import emitted as emitted_table
from connector.journal.ballast import Ballast
from connector.journal.codec import choose_compression, printable, to_micros, to_moment
from connector.journal.commit import TRIM_AT_ONCE, CommitResult, encode_entries, write_commit
from connector.journal.database import Database, open_database
from connector.journal.integrity import damaged
from connector.journal.lock import wait_for_directory
from connector.journal.notifier import HeadNotifier
from connector.journal.options import JournalInfo, JournalOptions
from connector.journal.pacing import Pacing
from connector.journal.positions import Skip, Trim
from connector.journal.reader import Reader
from connector.journal.schema import VERSION
from connector.journal.seen import SeenTable, States
from connector.model import (
    Backlog,
    Commit,
    DeadLetter,
    Entry,
    Feed,
    Gap,
    Outline,
    Progress,
    QuarantinedItem,
    Revision,
    RewindPreview,
    Seen,
    StoredAction,
    Window,
)

T = TypeVar("T")

FILE = "journal.db"
_EXPIRE_AT_ONCE = 2000
"""Rows that one transaction deletes at most: others wait for its end."""

_Appended: TypeAlias = tuple[int, list[Skip]]
"""The head after revisions were appended (0: none were), and what outputs skipped for them."""


class Journal:
    """Implements ``FeedLog``, ``OutputLog``, ``ActionLog``, ``OperatorLog`` and ``KeyValueStore``.

    Use :meth:`open`.

    ``read`` and ``acknowledge`` also raise ``Moved`` after the output's position was moved by ``rewind``
    or by ``when_full: skip``, until the output attaches again.
    """

    def __init__(
        self, database: Database, head: int, *, observe: Observe, clock: Clock, options: JournalOptions
    ) -> None:
        self._database = database
        self._observe = observe
        self._clock = clock
        self._notifier = HeadNotifier(head)
        self._value_changed = Broadcast()
        self._pacing = Pacing()
        self._reader = Reader(database, options.cache)
        self._states = States()
        self._seen = SeenTable(self._states)
        self._max_dead_letters: dict[str, int] = {}
        # Counted in the journal's thread: a sweep in progress must learn that its feed was forgotten.
        self._generations: Counter[Feed] = Counter()
        self._retain = options.retain // timedelta(microseconds=1)
        self._emitted_for = options.emitted_for // timedelta(microseconds=1)
        self._portion = (options.entry_revisions, options.entry_bytes)
        name, self._compress = choose_compression()
        self.info = JournalInfo(database.path, VERSION, sqlite3.sqlite_version, name)

    @classmethod
    @asynccontextmanager
    async def open(
        cls,
        directory: Path,
        *,
        observe: Observe,
        clock: Clock,
        options: JournalOptions | None = None,
        patience: float = 0.0,
    ) -> AsyncIterator[Journal]:
        """The journal in *directory*, for this process alone, until the end of the block.

        Raises ``JournalInUse`` when another process has it after *patience* seconds, ``JournalBroken`` when
        it cannot be used.
        """
        options = options or JournalOptions()
        path, ballast = directory / FILE, directory / "ballast"
        async with wait_for_directory(directory, patience):
            if path.exists() and path.stat().st_size == 0 and ballast.exists():
                raise damaged(path, "the file is empty")
            async with open_database(path, Ballast(ballast, options.ballast)) as database:
                counters = await database.read(entries.read_counters)
                yield cls(database, counters.head, observe=observe, clock=clock, options=options)

    async def cautions(self) -> Sequence[str]:
        """See ``interfaces.Journal``."""
        return ()

    @property
    def leases(self) -> None:
        """See ``interfaces.Journal``: one process has it, and a file lock keeps the others out."""
        return None

    def fenced(self, proofs: Callable[[], Sequence[tuple[str, int]]]) -> Journal:
        """See ``interfaces.Journal``."""
        del proofs
        return self

    @property
    def description(self) -> str:
        """See ``interfaces.Journal``."""
        return f"{self._database.path.parent}, SQLite {sqlite3.sqlite_version}"

    # FeedLog

    async def progress(self, feed: Feed) -> Progress:
        """See ``FeedLog``."""
        return await self._database.read(
            lambda connection: replace(feeds.progress(connection, feed), generation=self._generations[feed])
        )

    async def seen(self, feed: Feed, ids: Sequence[str]) -> Mapping[str, Seen]:
        """See ``FeedLog``. States are shared between rows and must not be changed."""

        def work(connection: sqlite3.Connection) -> dict[str, Seen]:
            number = feeds.number_of(connection, feed)
            return {} if number is None else self._seen.find(connection, number, ids)

        return await self._database.read(work)

    async def recognise(
        self, feed: Feed, marks: Mapping[str, bytes], within: Window, since: datetime
    ) -> tuple[Collection[str], Mapping[str, Seen]]:
        """See ``FeedLog``. States are shared between rows and must not be changed."""

        def work(connection: sqlite3.Connection) -> tuple[Collection[str], Mapping[str, Seen]]:
            number = feeds.number_of(connection, feed)
            return (
                ((), {}) if number is None else self._seen.recognise(connection, number, marks, within, since)
            )

        return await self._database.read(work)

    async def seen_in(self, feed: Feed, window: Window, *, without: Container[str] = ()) -> Sequence[Seen]:
        """See ``FeedLog``."""
        found: list[Seen] = []
        after: tuple[int, int] | None = None

        def work(connection: sqlite3.Connection) -> tuple[list[Seen], tuple[int, int] | None]:
            number = feeds.number_of(connection, feed)
            if number is None:
                return [], None
            return self._seen.seen_in(connection, number, window, without, after)

        while True:
            rows, after = await self._database.read(work)
            found += rows
            if after is None:
                return found

    async def commit(self, commit: Commit) -> None:
        """See ``FeedLog``. Waits for outputs that follow closely, for half a second at most."""
        if commit.revisions:
            await self._pacing.wait(self._notifier.head)
        self._observe(JournalCommitting(commit.feed, len(commit.revisions)))
        began, now = self._time(), to_micros(self._clock())

        def work(connection: sqlite3.Connection) -> CommitResult:
            if commit.generation not in {None, self._generations[commit.feed]}:
                raise refusals.feed_forgotten(commit.feed)
            return write_commit(
                connection, commit, new_entries, seen=self._seen, now=now, retain=self._retain
            )

        def done(written: CommitResult) -> None:
            self._reader.adopt(written.head - len(commit.revisions) + 1, new_entries(), commit.revisions)
            self._observe(
                JournalCommitted(commit.feed, len(commit.revisions), written.bytes, self._time() - began)
            )
            for item in written.quarantined:
                self._observe(RecordQuarantined(commit.feed, item.reason, len(item.raw)))
            for skip in written.skips:
                self._notifier.mark_moved(skip.output)
                self._report_skip(skip)
            self._report_trim(written.trim)
            self._notifier.advance(written.head)

        new_entries = cache(lambda: encode_entries(commit, self._portion, self._compress))
        await self._write("commit", work, done)

    async def repaired(self, feed: Feed, gap: Gap, part: Window) -> None:
        """See ``FeedLog``."""
        await self._write("repair", lambda connection: feeds.repair(connection, feed, gap, part))

    async def expire(self, feed: Feed, passed: datetime) -> int:
        """See ``FeedLog``. On a full disk it forgets less; what is left goes the next time."""
        limit = to_micros(passed)

        def work(connection: sqlite3.Connection) -> int:
            number = feeds.number_of(connection, feed)
            if number is None:
                return 0
            feeds.raise_floor(connection, number, limit)
            return self._seen.expire(connection, number, limit, _EXPIRE_AT_ONCE)

        count = await self._repeat("expire", work)
        await self._repeat("forget", self._sweep_forgotten)
        return count

    # OutputLog

    async def attach(self, output: str, start: Start, backlog: Backlog) -> int:
        """See ``OutputLog``."""

        def work(connection: sqlite3.Connection) -> tuple[int, Skip | None]:
            return positions.attach(connection, output, start, backlog)

        def done(attached: tuple[int, Skip | None]) -> None:
            self._reader.begin(output, attached[0])
            self._max_dead_letters[output] = backlog.max_dead_letters
            self._notifier.clear_moved(output)
            if attached[1] is not None:
                self._report_skip(attached[1])

        position, _ = await self._write("attach", work, done, last_resort=True)
        return position

    async def detach(self, output: str) -> None:
        """See ``OutputLog``."""
        self._pacing.forget(output)

        def work(connection: sqlite3.Connection) -> Trim | None:
            positions.detach(connection, output)
            return self._trim(connection)

        def done(trim: Trim | None) -> None:
            self._reader.forget(output)
            self._report_trim(trim)

        await self._write("detach", work, done, last_resort=True)

    async def read(self, output: str, after: int) -> Entry:
        """See ``OutputLog``."""
        self._pacing.reading(output, after)
        while True:
            if self._notifier.is_moved(output):
                raise refusals.position_moved(output)
            if after < self._notifier.head:
                entry = await self._reader.next(output, after)
                if self._notifier.is_moved(output):
                    raise refusals.position_moved(output)
                if entry is not None:
                    return entry
            await self._notifier.wait()

    async def emitted(self, output: str, keys: Sequence[str]) -> Mapping[str, str]:
        """See ``OutputLog``. Remembered for ``JournalOptions.emitted_for``."""
        return await self._database.read(lambda connection: emitted_table.find(connection, output, keys))

    async def acknowledge(
        self,
        output: str,
        *,
        after: int,
        upto: int,
        dead: Sequence[DeadLetter] = (),
        emitted: Mapping[str, str] = MappingProxyType({}),
        suspects: Sequence[DeadLetter] | None = None,
    ) -> None:
        """See ``OutputLog``."""
        began, now = self._time(), to_micros(self._clock())

        def work(connection: sqlite3.Connection) -> Trim | None:
            positions.acknowledge(connection, output, after, upto)
            if dead:
                dead_letters.check_room(connection, output, self._max_dead_letters.get(output))
            dead_letters.store(connection, output, dead, self._compress)
            if emitted:
                emitted_table.store(connection, output, emitted, now, now - self._emitted_for)
            if suspects is not None:
                value = dead_letters.suspects_value(suspects, self._compress)
                kv.set_value(connection, dead_letters.suspects_key(output), value)
            return self._trim(connection)

        def done(trim: Trim | None) -> None:
            self._observe(JournalAcknowledged(output, upto, len(dead), self._time() - began))
            self._report_trim(trim)

        await self._write("acknowledge", work, done, last_resort=True)

    async def suspects(self, output: str) -> Sequence[DeadLetter]:
        """See ``OutputLog``."""
        key = dead_letters.suspects_key(output)
        value = await self._database.read(lambda connection: kv.get_value(connection, key))
        return dead_letters.to_suspects(output, value)

    async def skipped(self, output: str) -> Gap | None:
        """See ``OutputLog``."""
        return await self._database.read(lambda connection: positions.newest_gap(connection, output))

    # ActionLog

    async def store_action(
        self, action: StoredAction, audit: Sequence[Revision] = (), *, per_hour: int | None = None
    ) -> StoredAction:
        """See ``ActionLog``."""
        now = to_micros(self._clock())

        def work(connection: sqlite3.Connection) -> tuple[StoredAction, _Appended]:
            if not action.version:
                positions.check_room(connection)
            stored = actions_table.store(connection, action, self._compress)
            if per_hour is not None:
                nth = partial(actions_table.nth_requested, connection)
                actions_table.check_limit(action, per_hour, nth)
            return stored, self._append(connection, audit, now)

        def done(outcome: tuple[StoredAction, _Appended]) -> None:
            self._report_appended(outcome[1])

        stored, _ = await self._write("action", work, done, last_resort=bool(action.version))
        return stored

    async def append_audit(self, audit: Sequence[Revision]) -> None:
        """See ``ActionLog``."""
        now = to_micros(self._clock())

        def work(connection: sqlite3.Connection) -> _Appended:
            positions.check_room(connection)
            return self._append(connection, audit, now)

        await self._write("audit", work, self._report_appended)

    async def action(self, action_id: str) -> StoredAction | None:
        """See ``ActionLog``."""
        return await self._database.read(
            lambda connection: actions_table.find(connection, "id = ?", printable(action_id))
        )

    async def action_for(self, caller: str, request_id: str) -> StoredAction | None:
        """See ``ActionLog``."""
        return await self._database.read(
            lambda connection: actions_table.find(
                connection, "caller = ? AND request = ?", caller, printable(request_id)
            )
        )

    async def nth_requested(self, caller: str, nth: int, since: datetime) -> datetime | None:
        """See ``ActionLog``."""
        found = await self._database.read(
            lambda connection: actions_table.nth_requested(connection, caller, nth, to_micros(since))
        )
        return None if found is None else to_moment(found)

    async def action_on(self, subject: str) -> StoredAction | None:
        """See ``ActionLog``."""
        return await self._database.read(
            lambda connection: actions_table.find(connection, "subject = ?", printable(subject))
        )

    async def actions(self, *, after: int = 0, limit: int = 100) -> Sequence[StoredAction]:
        """See ``ActionLog``."""
        return await self._database.read(
            lambda connection: actions_table.read(connection, after, limit, due=False)
        )

    async def open_actions(self, *, after: int = 0, limit: int = 100) -> Sequence[StoredAction]:
        """See ``ActionLog``."""
        return await self._database.read(
            lambda connection: actions_table.read(connection, after, limit, due=True)
        )

    async def forget_actions(self, before: datetime) -> int:
        """See ``ActionLog``. On a full disk it forgets less; what is left goes the next time."""
        limit = to_micros(before)
        return await self._repeat(
            "forget", lambda connection: actions_table.forget(connection, limit, _EXPIRE_AT_ONCE)
        )

    # OperatorLog

    async def outline(self) -> Outline:
        """See ``OperatorLog``. *bytes* is what the retained entries take, compressed."""

        def work(connection: sqlite3.Connection) -> Outline:
            counters = entries.read_counters(connection)
            since = entries.written_at(connection, counters.floor + 1)
            return Outline(
                counters.head,
                counters.bytes - counters.trimmed,
                positions.outlines(connection),
                feeds.outlines(connection),
                counters.floor,
                None if since is None else to_moment(since),
                dead_letters.newest(connection),
            )

        return await self._database.read(work)

    async def preview_rewind(self, output: str, to: int | datetime) -> RewindPreview:
        """See ``OperatorLog``."""
        return await self._database.read(lambda connection: rewinding.preview(connection, output, to))

    async def rewind(self, output: str, to: int | datetime) -> int:
        """See ``OperatorLog``. A time means: what was journaled at that time or later comes again."""
        return await self._write(
            "rewind",
            lambda connection: rewinding.rewind(connection, output, to),
            lambda _: self._notifier.mark_moved(output),
            last_resort=True,
        )

    async def forget(self, feed: Feed) -> None:
        """See ``OperatorLog``. Rows are deleted in many transactions; the next ``expire`` continues."""

        def work(connection: sqlite3.Connection) -> None:
            self._generations[feed] += 1
            feeds.forget(connection, feed)

        await self._write("forget", work, last_resort=True)
        await self._repeat("forget", self._sweep_forgotten)

    async def dead_letters(
        self, output: str | None = None, *, after: int = 0, limit: int = 100
    ) -> Sequence[tuple[int, DeadLetter]]:
        """See ``OperatorLog``."""
        return await self._database.read(
            lambda connection: dead_letters.read(connection, output, after, limit)
        )

    async def quarantined(self, *, after: int = 0, limit: int = 100) -> Sequence[QuarantinedItem]:
        """See ``OperatorLog``. At most a thousand per feed are kept."""
        return await self._database.read(lambda connection: quarantine.read(connection, after, limit))

    async def purge_quarantined(self, numbers: Sequence[int]) -> int:
        """See ``OperatorLog``."""
        return await self._write(
            "purge", lambda connection: quarantine.purge(connection, numbers), last_resort=True
        )

    async def resolve_dead_letters(self, numbers: Sequence[int], action: Literal["replay", "purge"]) -> int:
        """See ``OperatorLog``. Dead letters of an output that is not attached are not replayed, they stay."""
        now = to_micros(self._clock())

        def work(connection: sqlite3.Connection) -> tuple[int, int]:
            if action == "purge":
                return dead_letters.purge(connection, numbers), 0
            count, counters = dead_letters.replay(
                connection, numbers, now, compress=self._compress, portion=self._portion
            )
            return count, counters.head if counters else 0

        count, _ = await self._write(
            action, work, lambda settled: self._notifier.advance(settled[1]), last_resort=action == "purge"
        )
        return count

    # KeyValueStore

    async def get_value(self, key: str) -> str | None:
        """See ``KeyValueStore``."""
        return await self._database.read(lambda connection: kv.get_value(connection, key))

    async def set_value(self, key: str, value: str | None) -> None:
        """See ``KeyValueStore``."""
        await self._write(
            "remember",
            lambda connection: kv.set_value(connection, key, value),
            lambda _: self._value_changed.notify(),
            last_resort=True,
        )

    async def replace_value(self, key: str, old: str | None, new: str | None) -> bool:
        """See ``SharedValueStore``."""

        def work(connection: sqlite3.Connection) -> bool:
            if kv.get_value(connection, key) != old:
                return False
            kv.set_value(connection, key, new)
            return True

        return await self._write("remember", work, lambda _: self._value_changed.notify(), last_resort=True)

    async def value_changed(self, key: str) -> None:
        """See ``SharedValueStore``. It returns whatever key was stored."""
        del key
        await self._value_changed.wait()

    async def _write(
        self,
        operation: str,
        work: Callable[[sqlite3.Connection], T],
        done: Callable[[T], None] | None = None,
        *,
        last_resort: bool = False,
    ) -> T:
        try:
            return await self._database.write(
                work, done=done, last_resort=last_resort, undo=self._states.clear
            )
        except JournalFull as full:
            if not full.outputs:
                self._observe(JournalWriteFailed(operation, str(full)))
            raise

    async def _repeat(self, operation: str, work: Callable[[sqlite3.Connection], int]) -> int:
        """Delete in many small transactions, so that others get their turn; ends early on a full disk."""
        total = 0
        while True:
            try:
                count = await self._write(operation, work)
            except JournalFull:
                return total
            total += count
            if count < _EXPIRE_AT_ONCE:
                return total

    def _sweep_forgotten(self, connection: sqlite3.Connection) -> int:
        left = _EXPIRE_AT_ONCE
        while left and (number := feeds.forgotten(connection)) is not None:
            left -= self._seen.expire(connection, number, None, left)
        return _EXPIRE_AT_ONCE - left

    def _trim(self, connection: sqlite3.Connection) -> Trim | None:
        return positions.trim(connection, to_micros(self._clock()) - self._retain, TRIM_AT_ONCE)

    def _append(self, connection: sqlite3.Connection, audit: Sequence[Revision], now: int) -> _Appended:
        if not audit:
            return 0, []
        commit = Commit(audit[0].feed, "", tuple(audit))
        new_entries = encode_entries(commit, self._portion, self._compress)
        head = entries.append(connection, new_entries, now).head
        return head, positions.enforce_skips(connection)

    def _report_appended(self, appended: _Appended) -> None:
        head, skips = appended
        for skip in skips:
            self._notifier.mark_moved(skip.output)
            self._report_skip(skip)
        self._notifier.advance(head)

    def _report_skip(self, skip: Skip) -> None:
        self._observe(BacklogSkipped(skip.output, skip.revisions, skip.gap))

    def _report_trim(self, trim: Trim | None) -> None:
        if trim is not None:
            self._reader.trim(trim.floor)
            self._observe(JournalTrimmed(trim.entries, trim.bytes))

    @staticmethod
    def _time() -> float:
        return asyncio.get_running_loop().time()
