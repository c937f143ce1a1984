"""The journal on PostgreSQL. Several processes may have it open; see ``docs/high-availability.md``."""

from __future__ import annotations

import asyncio
import copy
import secrets
from collections.abc import AsyncIterator, Callable, Collection, Container, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import cache, partial
from types import MappingProxyType
from typing import Literal, TypeVar

from connector.broadcast import Broadcast
from connector.errors import JournalBroken
from connector.facts import (
    BacklogSkipped,
    JournalAcknowledged,
    JournalAvailable,
    JournalCommitted,
    JournalCommitting,
    JournalServerChanged,
    JournalTrimmed,
    JournalUnreachable,
    RecordQuarantined,
)
from connector.interfaces import Clock, Observe, Start
from connector.journal import refusals
from connector.journal.actions import check_limit
from connector.journal.codec import UNREADABLE, choose_compression, from_blob, printable, to_micros, to_moment
from connector.journal.commit import TRIM_AT_ONCE, encode_entries
from connector.journal.dead_letters import suspects_key, suspects_value, to_suspects
from connector.journal.entries import NewEntry
from connector.journal.notifier import HeadNotifier
from connector.journal.options import JournalOptions
from connector.journal.positions import Skip
from connector.journal.postgres import actions, dead_letters, feeds, outputs, quarantine
from connector.journal.postgres import emitted as emitted_table
from connector.journal.postgres import seen as seen_rows
from connector.journal.postgres.database import (
    Database,
    Identity,
    Proof,
    Query,
    Statement,
    Transaction,
    identity_of,
)
from connector.journal.postgres.leases import PostgresLeases
from connector.journal.postgres.outputs import COUNTERS, Counters
from connector.journal.postgres.server import Server
from connector.journal.postgres.watcher import Watcher
from connector.journal.reader import NEAR, EntryCache
from connector.model import (
    Backlog,
    Commit,
    DeadLetter,
    Entry,
    Feed,
    Gap,
    Outline,
    Progress,
    Quarantined,
    QuarantinedItem,
    Revision,
    RewindPreview,
    Seen,
    StoredAction,
    Window,
)

T = TypeVar("T")

LEASE_SECONDS = 10.0
"""Longest wait for an answer about leases: less than one lasts."""

_EXPIRE_AT_ONCE = 5000
_ENTRIES_AT_ONCE = 4
"""Entries that one read fetches: 500 revisions, as much as an output usually sends at once."""

_TRIM_SECONDS = 1.0
"""Seconds between two looks for entries to trim, where delivered ones are retained for a while anyway."""


@dataclass(slots=True)
class _Written:
    """What became of a commit."""

    head: int
    size: int
    skips: Sequence[Skip] = ()
    quarantined: tuple[Quarantined, ...] = ()
    feed: int = 0
    used: Mapping[bytes, int] = field(default_factory=dict)


@dataclass(slots=True)
class _Local:
    """What this process knows of the outputs it reads for: positions, epochs, and when it last trimmed."""

    reached: dict[str, int] = field(default_factory=dict)
    epochs: dict[str, int] = field(default_factory=dict)
    trimmed_at: float = float("-inf")
    identity: Identity = field(default_factory=lambda: Identity("", ""))


class PostgresJournal:
    """Implements ``interfaces.Journal``. Use :meth:`open`.

    While the server is away, everything waits for it, as long as *patience* allows; ``JournalUnavailable`` is
    raised then.
    """

    def __init__(
        self, database: Database, *, observe: Observe, clock: Clock, options: JournalOptions
    ) -> None:
        self._database = database
        self._observe = observe
        self._clock = clock
        self._notifier = HeadNotifier(0)
        self._value_changed = Broadcast()
        self._leases_changed = Broadcast()
        self._requests_changed = Broadcast()
        self._looking = asyncio.Lock()
        self._states = seen_rows.States()
        self._entries = EntryCache(options.cache)
        self._local = _Local()
        self._retain = options.retain // timedelta(microseconds=1)
        self._emitted_for = options.emitted_for // timedelta(microseconds=1)
        self._portion = (options.entry_revisions, options.entry_bytes)
        _, self._compress = choose_compression()
        self._sender = secrets.token_hex(8)
        self._watcher = Watcher(database, self._sender, self._look)
        self._leases: PostgresLeases | None = None
        self._proofs: Callable[[], Sequence[tuple[str, int]]] = tuple

    @classmethod
    @asynccontextmanager
    async def open(
        cls,
        server: Server,
        *,
        observe: Observe,
        clock: Clock,
        options: JournalOptions | None = None,
        version: str = "",
        patience: float | None = None,
        start_patience: float = 60.0,
    ) -> AsyncIterator[PostgresJournal]:
        """The journal on *server*, until the end of the block; its schema is created or migrated.

        Args:
            server: where.
            observe: takes facts.
            clock: the wall clock.
            options: how it keeps its data.
            version: of the program, for other replicas to see.
            patience: seconds that an operation waits for a server that is away; ``None``: as long as it
            takes.
            start_patience: the same for the first connection.

        Raises ``JournalUnavailable`` when the server cannot be reached, ``JournalBroken`` when the database
        cannot be used.
        """
        reported: list[float] = []

        def away(reason: str) -> None:
            if reason:
                reported.append(asyncio.get_running_loop().time())
                observe(JournalUnreachable(reason))
            elif reported:
                observe(JournalAvailable(asyncio.get_running_loop().time() - reported[0]))
                reported.clear()

        replica = secrets.token_hex(8)
        name = f"email-connector {replica}"
        database = Database(server, name, patience=start_patience, away=away)
        aside = Database(
            server, name, patience=0.0, away=lambda _: None, connections=1, answer_seconds=LEASE_SECONDS
        )
        watching: asyncio.Task[None] | None = None
        try:
            await database.start()
            database.be_patient(patience)
            aside.join(database)
            journal = cls(database, observe=observe, clock=clock, options=options or JournalOptions())
            journal._lease_with(aside, replica, version)
            await journal._look(frozenset())
            watching = asyncio.create_task(journal._watcher.run())
            yield journal
        finally:
            if watching is not None:
                watching.cancel()
                await asyncio.gather(watching, return_exceptions=True)
            await aside.close()
            await database.close()

    @property
    def description(self) -> str:
        """See ``interfaces.Journal``."""
        pooled = ", behind a connection pooler" if self._database.is_pooled else ""
        return f"PostgreSQL at {self._database.server.describe()}{pooled}"

    async def cautions(self) -> Sequence[str]:
        """See ``interfaces.Journal``."""
        rows = await self._database.read(lambda query: query.one(_SAFETY))
        standbys, synchronous, fsync, commit = rows[0]
        found = []
        if standbys and not synchronous:
            found.append(
                "standbys are attached and synchronous_standby_names is empty: a failover may lose the last "
                "transactions, which are then collected and delivered again"
            )
        if fsync != "on":
            found.append("fsync is off: a crash of the server may damage the journal")
        if commit == "off":
            found.append("synchronous_commit is off: a crash of the server loses the last transactions")
        if self._database.is_pooled:
            found.append(
                "a connection pooler is in between: without notifications replicas look once per second; "
                "use session or transaction mode, not statement mode"
            )
        return found

    @property
    def leases(self) -> PostgresLeases | None:
        """See ``interfaces.Journal``."""
        return self._leases

    def fenced(self, proofs: Callable[[], Sequence[tuple[str, int]]]) -> PostgresJournal:
        """See ``interfaces.Journal``."""
        view = copy.copy(self)
        view._proofs = proofs  # noqa: SLF001, it is a copy of this object
        return view

    # FeedLog

    async def progress(self, feed: Feed) -> Progress:
        """See ``FeedLog``."""
        return await self._database.read(lambda query: feeds.progress(query, feed))

    async def seen(self, feed: Feed, ids: Sequence[str]) -> Mapping[str, Seen]:
        """See ``FeedLog``. States are shared between rows and must not be changed."""
        if not ids:
            return {}
        return await self._database.read(lambda query: seen_rows.find(query, self._states, feed, ids))

    async def recognise(
        self, feed: Feed, marks: Mapping[str, bytes], within: Window, since: datetime
    ) -> tuple[Collection[str], Mapping[str, Seen]]:
        """See ``FeedLog``. States are shared between rows and must not be changed."""
        return await self._database.read(
            lambda query: seen_rows.recognise(query, self._states, feed, marks, within, since)
        )

    async def seen_in(self, feed: Feed, window: Window, *, without: Container[str] = ()) -> Sequence[Seen]:
        """See ``FeedLog``."""
        found: list[Seen] = []
        after: tuple[int, bytes] | None = None
        while True:
            rows, after = await self._database.read(
                partial(seen_rows.find_in, states=self._states, feed=feed, window=window, without=without,
                        after=after)
            )  # fmt: skip
            found += rows
            if after is None:
                return found

    async def commit(self, commit: Commit) -> None:
        """See ``FeedLog``."""
        self._observe(JournalCommitting(commit.feed, len(commit.revisions)))
        began, now = self._time(), to_micros(self._clock())
        new_entries = cache(lambda: encode_entries(commit, self._portion, self._compress))

        def work(transaction: Transaction) -> _Written:
            return self._write_commit(transaction, commit, new_entries(), now)

        def done(written: _Written) -> None:
            self._observe(
                JournalCommitted(commit.feed, len(commit.revisions), written.size, self._time() - began)
            )
            self._states.note(written.feed, written.used)
            for item in written.quarantined:
                self._observe(RecordQuarantined(commit.feed, item.reason, len(item.raw)))
            for skip in written.skips:
                self._notifier.mark_moved(skip.output)
                self._report_skip(skip)
            if written.head:
                self._adopt(written.head - len(commit.revisions), commit, new_entries())
                self._notifier.advance(written.head)

        await self._write(work, done)
        await self._trim()

    async def repaired(self, feed: Feed, gap: Gap, part: Window) -> None:
        """See ``FeedLog``."""
        await self._write(lambda transaction: feeds.repair(transaction, feed, gap, part))

    async def expire(self, feed: Feed, passed: datetime) -> int:
        """See ``FeedLog``."""
        limit = to_micros(passed)

        def work(transaction: Transaction) -> int:
            number = feeds.number_of(transaction, feed)
            if number is None:
                return 0
            transaction.one(
                "UPDATE @feeds SET floor = %s WHERE feed = %s AND floor < %s", limit, number, limit
            )
            count = seen_rows.expire(transaction, number, limit, _EXPIRE_AT_ONCE)
            if count:
                transaction.run(seen_rows.expire_states(number, limit))
            return count

        count = await self._repeat(work)
        await self._repeat(_sweep_forgotten)
        return count

    # OutputLog

    async def attach(self, output: str, start: Start, backlog: Backlog) -> int:
        """See ``OutputLog``."""

        def done(attached: tuple[int, int, Skip | None]) -> None:
            position, epoch, skip = attached
            self._local.epochs[output] = epoch
            self._local.reached[output] = position
            self._notifier.clear_moved(output)
            if skip is not None:
                self._report_skip(skip)

        position, _, _ = await self._write(
            lambda transaction: outputs.attach(transaction, output, start, backlog), done
        )
        return position

    async def detach(self, output: str) -> None:
        """See ``OutputLog``."""
        await self._write(
            lambda transaction: transaction.one(
                "UPDATE @outputs SET attached = false WHERE output = %s", output
            )
        )
        self._local.epochs.pop(output, None)
        self._local.reached.pop(output, None)
        await self._trim(at_once=True)

    async def read(self, output: str, after: int) -> Entry:
        """See ``OutputLog``."""
        while True:
            if self._notifier.is_moved(output):
                raise refusals.position_moved(output)
            if after < self._notifier.head:
                entry = self._entries.find(after + 1)
                if entry is None:
                    found = await self._database.read(lambda query: _entries_after(query, after))
                    for one, size in found:
                        self._entries.put(one, size)
                    entry = found[0][0] if found else None
                if self._notifier.is_moved(output):
                    raise refusals.position_moved(output)
                if entry is not None:
                    self._local.reached[output] = entry.last
                    if entry.first > after:
                        return entry
                    return Entry(after + 1, entry.revisions[after + 1 - entry.first :], entry.only)
            await self._notifier.wait()

    async def emitted(self, output: str, keys: Sequence[str]) -> Mapping[str, str]:
        """See ``OutputLog``. Remembered for ``JournalOptions.emitted_for``."""
        return await self._database.read(lambda query: emitted_table.find(query, output, keys))

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

        def work(transaction: Transaction) -> None:
            (moved,) = transaction.run(outputs.acknowledge(output, after, upto))
            if not moved:
                raise outputs.refusal(transaction, output, after, upto)
            if dead:
                outputs.check_dead_letters(output, moved[0])
            transaction.finish(
                None,
                *dead_letters.store(output, dead, self._compress),
                *emitted_table.store(output, emitted, now, now - self._emitted_for),
                *self._note_suspects(output, suspects),
            )

        def done(_: None) -> None:
            self._observe(JournalAcknowledged(output, upto, len(dead), self._time() - began))

        await self._write(work, done)
        await self._trim()

    def _note_suspects(self, output: str, suspects: Sequence[DeadLetter] | None) -> list[Statement]:
        if suspects is None:
            return []
        value = suspects_value(suspects, self._compress)
        return [_set_value(suspects_key(output), value)]

    async def suspects(self, output: str) -> Sequence[DeadLetter]:
        """See ``OutputLog``."""
        value = await self.get_value(suspects_key(output))
        return to_suspects(output, value)

    async def skipped(self, output: str) -> Gap | None:
        """See ``OutputLog``."""
        return await self._database.read(lambda query: outputs.newest_gap(query, output))

    # ActionLog

    async def store_action(
        self, action: StoredAction, audit: Sequence[Revision] = (), *, per_hour: int | None = None
    ) -> StoredAction:
        """See ``ActionLog``."""
        now = to_micros(self._clock())

        def work(transaction: Transaction) -> tuple[StoredAction, _Written]:
            # It locks the counters, so that replicas count the actions of a caller one after the other.
            written = self._append_audit(transaction, audit, now, has_room=bool(action.version))
            stored = actions.store(transaction, action, self._compress)
            if per_hour is not None:
                check_limit(action, per_hour, partial(actions.nth_requested, transaction))
            return stored, written

        def done(outcome: tuple[StoredAction, _Written]) -> None:
            self._report_audit(outcome[1])

        stored, _ = await self._write(work, done)
        return stored

    async def append_audit(self, audit: Sequence[Revision]) -> None:
        """See ``ActionLog``."""
        now = to_micros(self._clock())
        await self._write(
            lambda transaction: self._append_audit(transaction, audit, now, has_room=False),
            self._report_audit,
        )

    async def action(self, action_id: str) -> StoredAction | None:
        """See ``ActionLog``."""
        return await self._database.read(lambda query: actions.find(query, "id = %s", _text(action_id)))

    async def action_for(self, caller: str, request_id: str) -> StoredAction | None:
        """See ``ActionLog``."""
        return await self._database.read(
            lambda query: actions.find(query, "caller = %s AND request = %s", caller, _text(request_id))
        )

    async def nth_requested(self, caller: str, nth: int, since: datetime) -> datetime | None:
        """See ``ActionLog``."""
        found = await self._database.read(
            lambda query: actions.nth_requested(query, caller, nth, to_micros(since))
        )
        return None if found is None else to_moment(found)

    async def action_on(self, subject: str) -> StoredAction | None:
        """See ``ActionLog``."""
        return await self._database.read(lambda query: actions.find(query, "subject = %s", _text(subject)))

    async def actions(self, *, after: int = 0, limit: int = 100) -> Sequence[StoredAction]:
        """See ``ActionLog``."""
        return await self._database.read(lambda query: actions.read(query, after, limit, due=False))

    async def open_actions(self, *, after: int = 0, limit: int = 100) -> Sequence[StoredAction]:
        """See ``ActionLog``."""
        return await self._database.read(lambda query: actions.read(query, after, limit, due=True))

    async def forget_actions(self, before: datetime) -> int:
        """See ``ActionLog``."""
        limit = to_micros(before)
        return await self._repeat(lambda transaction: actions.forget(transaction, limit, _EXPIRE_AT_ONCE))

    # OperatorLog

    async def outline(self) -> Outline:
        """See ``OperatorLog``. *bytes* is what the retained entries take, compressed."""
        counted, of_outputs, *of_feeds, since, newest = await self._database.snapshot(
            (COUNTERS, ()),
            outputs.OUTLINE,
            *feeds.OUTLINE,
            ("SELECT committed FROM @entries ORDER BY first LIMIT 1", ()),
            ("SELECT coalesce(max(number), 0) FROM @dead_letters", ()),
        )
        counters = Counters(*counted[0])
        return Outline(
            counters.head,
            counters.bytes - counters.trimmed,
            outputs.outlines(counters, of_outputs),
            feeds.outlines(*of_feeds),
            counters.floor,
            to_moment(since[0][0]) if since else None,
            newest[0][0],
        )

    async def preview_rewind(self, output: str, to: int | datetime) -> RewindPreview:
        """See ``OperatorLog``."""

        def work(query: Query) -> RewindPreview:
            found = outputs.preview(query, output, to)
            return replace(found, dead_letters=len(dead_letters.beyond(query, output, found.target)))

        return await self._database.read(work)

    async def rewind(self, output: str, to: int | datetime) -> int:
        """See ``OperatorLog``. A time means: what was journaled at that time or later comes again."""

        def work(transaction: Transaction) -> int:
            position = outputs.rewind(transaction, output, to)
            if numbers := dead_letters.beyond(transaction, output, position):
                dead_letters.purge(transaction, numbers)
            transaction.run(self._notification("moved"))
            return position

        return await self._write(work, lambda _: self._notifier.mark_moved(output))

    async def forget(self, feed: Feed) -> None:
        """See ``OperatorLog``. Rows are deleted in many transactions; the next ``expire`` continues."""
        await self._write(lambda transaction: feeds.forget(transaction, feed))
        await self._repeat(_sweep_forgotten)

    async def dead_letters(
        self, output: str | None = None, *, after: int = 0, limit: int = 100
    ) -> Sequence[tuple[int, DeadLetter]]:
        """See ``OperatorLog``."""
        return await self._database.read(lambda query: dead_letters.read(query, output, after, limit))

    async def quarantined(self, *, after: int = 0, limit: int = 100) -> Sequence[QuarantinedItem]:
        """See ``OperatorLog``. At most a thousand per feed are kept."""
        return await self._database.read(lambda query: quarantine.read(query, after, limit))

    async def purge_quarantined(self, numbers: Sequence[int]) -> int:
        """See ``OperatorLog``."""
        return await self._write(lambda transaction: quarantine.purge(transaction, numbers))

    async def resolve_dead_letters(self, numbers: Sequence[int], action: Literal["replay", "purge"]) -> int:
        """See ``OperatorLog``. Dead letters of an output that is not attached are not replayed, they stay."""
        now = to_micros(self._clock())

        def work(transaction: Transaction) -> tuple[int, int]:
            if action == "purge":
                return dead_letters.purge(transaction, numbers), 0
            count, head = dead_letters.replay(transaction, numbers, now, self._compress, self._portion)
            transaction.run(self._notification("head"))
            return count, head

        count, _ = await self._write(work, lambda resolved: self._notifier.advance(resolved[1]))
        return count

    # SharedValueStore

    async def get_value(self, key: str) -> str | None:
        """See ``KeyValueStore``."""
        rows = await self._database.read(
            lambda query: query.one("SELECT value FROM @key_values WHERE key = %s", _text(key))
        )
        return str(rows[0][0]) if rows else None

    async def set_value(self, key: str, value: str | None) -> None:
        """See ``KeyValueStore``."""
        await self._write(
            lambda transaction: transaction.finish(None, _set_value(key, value), self._notification("value")),
            lambda _: self._value_changed.notify(),
        )

    async def replace_value(self, key: str, old: str | None, new: str | None) -> bool:
        """See ``SharedValueStore``."""

        def work(transaction: Transaction) -> bool:
            name, given = _text(key), None if new is None else _text(new)
            if old is None and new is None:
                return not transaction.one("SELECT 1 FROM @key_values WHERE key = %s", name)
            if old is None:
                text = "INSERT INTO @key_values VALUES (%s, %s) ON CONFLICT DO NOTHING RETURNING 1"
                changed = transaction.one(text, name, given)
            elif new is None:
                changed = transaction.one(
                    "DELETE FROM @key_values WHERE key = %s AND value = %s RETURNING 1", name, _text(old)
                )
            else:
                changed = transaction.one(
                    "UPDATE @key_values SET value = %s WHERE key = %s AND value = %s RETURNING 1",
                    given, name, _text(old),
                )  # fmt: skip
            return transaction.finish(bool(changed), self._notification("value"))

        return await self._write(work, lambda _: self._value_changed.notify())

    async def value_changed(self, key: str) -> None:
        """See ``SharedValueStore``. It returns whatever key was stored, and every few seconds."""
        del key
        await self._value_changed.wait()

    # Inside

    def _write_commit(
        self, transaction: Transaction, commit: Commit, entries: Sequence[NewEntry], now: int
    ) -> _Written:
        look = (feeds.standing_of(commit), *_ROOM) if entries else (feeds.standing_of(commit),)
        standing, *room = transaction.run(*look)
        feeds.check(commit, standing[0])
        counters = Counters(*room[0][0]) if entries else None
        if entries:
            outputs.check_room(room[1])
        number = feeds.ensure_number(transaction, commit.feed, commit.fingerprint, standing[0])
        statements, used = seen_rows.store(self._states, number, commit.seen)
        written = _Written(0, sum(len(entry.blob.data) for entry in entries), feed=number, used=used)
        if commit.quarantined:
            written.quarantined = quarantine.store(transaction, number, commit.quarantined, now)
        if commit.step is not None:
            statements += feeds.take_step(transaction, number, commit.step, now)
        if commit.key_value is not None:
            statements.append(_set_value(*commit.key_value))
            statements.append(self._notification("value"))
        statements += [_set_value(*note) for note in commit.notes]
        if counters is not None:
            counters, appended = outputs.append(counters, entries, now)
            statements += [*appended, self._notification("head")]
            written.head = counters.head
            if any(not name for name, _ in room[1]):
                transaction.run(*statements)
                written.skips = outputs.enforce_skips(transaction, counters)
                statements = [self._notification("moved")] if written.skips else []
        return transaction.finish(written, *statements)

    def _append_audit(
        self, transaction: Transaction, audit: Sequence[Revision], now: int, *, has_room: bool
    ) -> _Written:
        """Append *audit*; unless *has_room*, raise ``JournalFull`` first where an output pauses."""
        counted, room = transaction.run(*_ROOM)
        if not has_room:
            outputs.check_room(room)
        if not audit:
            return _Written(0, 0)
        commit = Commit(audit[0].feed, "", tuple(audit))
        entries = encode_entries(commit, self._portion, self._compress)
        counters, statements = outputs.append(Counters(*counted[0]), entries, now)
        transaction.run(*statements, self._notification("head"))
        written = _Written(counters.head, 0)
        if any(not name for name, _ in room):
            written.skips = outputs.enforce_skips(transaction, counters)
            if written.skips:
                transaction.run(self._notification("moved"))
        return written

    def _report_audit(self, written: _Written) -> None:
        for skip in written.skips:
            self._notifier.mark_moved(skip.output)
            self._report_skip(skip)
        if written.head:
            self._notifier.advance(written.head)

    async def _write(self, work: Callable[[Transaction], T], done: Callable[[T], None] | None = None) -> T:
        return await self._database.write(work, done=done, proofs=self._prove)

    def _prove(self) -> Sequence[Proof]:
        replica = self._leases.replica if self._leases else ""
        return [(name, replica, token) for name, token in self._proofs()]

    async def _repeat(self, work: Callable[[Transaction], int]) -> int:
        """Delete in many small transactions, so that others get their turn."""
        total = 0
        while True:
            count = await self._write(work)
            total += count
            if count < _EXPIRE_AT_ONCE:
                return total

    async def _trim(self, *, at_once: bool = False) -> None:
        """Delete entries that every output is done with, now and then."""
        local = self._local
        if self._retain and not at_once and self._time() - local.trimmed_at < _TRIM_SECONDS:
            return
        local.trimmed_at = self._time()
        cutoff = to_micros(self._clock()) - self._retain
        while await self._database.read(lambda query: query.one(outputs.TRIMMABLE, cutoff)):
            trim = await self._write(lambda transaction: outputs.trim(transaction, cutoff, TRIM_AT_ONCE))
            if trim is None:
                return
            self._entries.trim(trim.floor)
            self._observe(JournalTrimmed(trim.entries, trim.bytes))

    def _adopt(self, after: int, commit: Commit, entries: Sequence[NewEntry]) -> None:
        """Keep what was written after number *after*, so that outputs of this process need not decode it."""
        if not any(position >= after - NEAR for position in self._local.reached.values()):
            return
        start = 0
        for entry in entries:
            revisions = commit.revisions[start : start + entry.blob.count]
            if not entry.blob.tolerant:
                self._entries.put(Entry(after + start + 1, revisions, entry.only), entry.blob.raw)
            start += entry.blob.count

    def _lease_with(self, database: Database, replica: str, version: str) -> None:
        self._leases = PostgresLeases(
            database, replica, version, self._notification, self._leases_changed, self._requests_changed
        )

    def _notification(self, kind: str) -> Statement:
        return "SELECT pg_notify(%s, %s)", (self._watcher.channel, f"{kind} {self._sender}")

    async def _look(self, kinds: frozenset[str]) -> None:
        """Learn what others did; *kinds* is what they notified, empty at the regular poll."""
        if "value" in kinds or not kinds:
            self._value_changed.notify()
        if "leases" in kinds or (not kinds and self._database.is_pooled):
            self._leases_changed.notify()
        if "request" in kinds or not kinds:
            self._requests_changed.notify()
        if kinds and not kinds & {"head", "moved"}:
            return
        async with self._looking:  # two at once would both adopt a new server
            await self._look_at_server()

    async def _look_at_server(self) -> None:
        at_least = self._notifier.head  # before the read: commits continue meanwhile
        head, epochs, identity, stored = await self._database.read(_read_state)
        known = self._local.identity
        if identity != stored or (known.server and identity != known) or head < at_least:
            await self._adopt_server(identity)
        self._local.identity = identity
        for output, epoch in self._local.epochs.items():
            if epochs.get(output, epoch) != epoch and not self._notifier.is_moved(output):
                self._notifier.mark_moved(output)
        self._notifier.advance(head)

    async def _adopt_server(self, identity: Identity) -> None:
        """Another server answers, or an older state of this one: what this process remembers may be void."""

        def work(transaction: Transaction) -> tuple[Identity, int, int]:
            counters = Counters(*transaction.one(COUNTERS + " FOR UPDATE")[0])
            server, timeline = transaction.one("SELECT server, timeline FROM @counters")[0]
            beyond = transaction.one(
                "SELECT output, position FROM @outputs WHERE position > %s", counters.head
            )
            for output, position in beyond:
                outputs.clamp(transaction, output, position, counters.head)
            transaction.one(
                "UPDATE @counters SET server = %s, timeline = %s", identity.server, identity.timeline
            )
            return Identity(server, timeline), len(beyond), counters.head

        before, clamped, head = await self._database.write(work)
        lost = max(0, self._notifier.head - head)
        self._database.identity = identity
        self._states.clear()
        self._entries.clear()
        self._notifier.reset(head)
        for output in self._local.epochs:
            self._notifier.mark_moved(output)
        if (before.server and before != identity) or lost or clamped:
            self._observe(JournalServerChanged(identity.server, identity.timeline, lost, clamped))

    def _report_skip(self, skip: Skip) -> None:
        self._observe(BacklogSkipped(skip.output, skip.revisions, skip.gap))

    @staticmethod
    def _time() -> float:
        return asyncio.get_running_loop().time()


_SAFETY = (
    "SELECT (SELECT count(*) FROM pg_stat_replication), current_setting('synchronous_standby_names') <> '', "
    "current_setting('fsync'), current_setting('synchronous_commit')"
)

_ROOM: tuple[Statement, ...] = ((COUNTERS + " FOR UPDATE", ()), (outputs.FULL, ()))


def _entries_after(query: Query, after: int) -> list[tuple[Entry, int]]:
    found = []
    for first, _, only, tolerant, body in query.one(
        outputs.ENTRIES_AFTER, after + 1, after, _ENTRIES_AT_ONCE
    ):
        try:
            revisions, size = from_blob(body, tolerant=tolerant)
        except UNREADABLE as error:
            raise JournalBroken(f"the entry of revision {first} cannot be decoded: {error}") from error
        found.append((Entry(first, revisions, only), size))
    return found


def _read_state(query: Query) -> tuple[int, dict[str, int], Identity, Identity]:
    """The head, the epoch of each output, which server answers, and which one was seen last."""
    counters, epochs = query.run(
        ("SELECT head, server, timeline FROM @counters", ()), ("SELECT output, epoch FROM @outputs", ())
    )
    head, server, timeline = counters[0]
    return head, dict(map(tuple, epochs)), identity_of(query.connection), Identity(server, timeline)


def _set_value(key: str, value: str | None) -> Statement:
    if value is None:
        return "DELETE FROM @key_values WHERE key = %s", (_text(key),)
    return (
        "INSERT INTO @key_values (key, value) VALUES (%s, %s) ON CONFLICT (key) DO UPDATE SET value = "
        "excluded.value",
        (_text(key), _text(value)),
    )


def _text(text: str) -> str:
    """*text* as PostgreSQL can keep it: without NUL and lone surrogates."""
    return printable(text).replace("\0", "\ufffd")


def _sweep_forgotten(transaction: Transaction) -> int:
    """Delete some rows of forgotten feeds, and the feeds that have none left."""
    left = _EXPIRE_AT_ONCE
    rows = transaction.one("SELECT feed FROM @feeds WHERE forgotten ORDER BY feed FOR UPDATE SKIP LOCKED")
    for (number,) in rows:
        count = seen_rows.expire(transaction, number, None, left)
        left -= count
        if left:
            transaction.run(
                seen_rows.expire_states(number, None), ("DELETE FROM @feeds WHERE feed = %s", (number,))
            )
        if not left:
            break
    return _EXPIRE_AT_ONCE - left
