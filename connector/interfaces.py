"""The interfaces between packages, as protocols. Each docstring is the contract.

The key words MUST, MUST NOT, SHOULD and MAY are those of RFC 2119. Who implements: ``source``
(Source, Lookup, ActionApi), ``journal`` (FeedLog, OutputLog, ActionLog, OperatorLog), ``outputs``
(Output), ``mapping`` (Mapper), ``telemetry`` (Observe). Who calls: ``collect``, ``delivery``,
``actions``, ``app``.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Collection, Container, Mapping, Sequence
from datetime import datetime
from types import MappingProxyType
from typing import Literal, Protocol, TypeAlias, runtime_checkable

from connector.facts import Fact
from connector.leases import Leases
from connector.model import (
    Backlog,
    BatchName,
    Body,
    Commit,
    DeadLetter,
    Entry,
    Event,
    Feed,
    FilterValue,
    Gap,
    LateFailures,
    Limits,
    Outline,
    Page,
    Priority,
    Progress,
    QuarantinedItem,
    Query,
    Receipt,
    Record,
    Revision,
    RewindPreview,
    SearchPosition,
    Seen,
    StoredAction,
    Window,
)

Clock: TypeAlias = Callable[[], datetime]
"""The wall clock: aware, UTC. Durations are measured with the running loop's ``time()`` instead."""

Observe: TypeAlias = Callable[[Fact], None]
"""Takes a fact. MUST NOT raise, MUST NOT block; called on the main loop only."""

Mapper: TypeAlias = Callable[[Revision], Event | None]
"""when, redact, map, encode in one pure function. ``None`` = filtered on purpose. It MAY raise: that
one revision becomes a dead letter with reason ``mapping``."""

Start: TypeAlias = Literal["head", "beginning"]


class Source(Protocol):
    """One account of the API."""

    def search(
        self, query: Query, window: Window, position: SearchPosition | None = None
    ) -> AsyncGenerator[Page, None]:
        """Read all pages of *query* whose records lie in *window*, or those that are left at *position*.

        *position* is that of a page of an earlier search of the same. A source MAY have none.

        The generator ending normally means: the search is complete. Otherwise it MUST raise a
        ``SourceError``; pages yielded before that are valid and MAY be journaled by the caller, who
        will search the same or a shorter window again. Records MAY repeat and MAY lie outside the
        window; the caller MUST cope. The implementer MUST wait for the account's request budget
        according to ``query.priority``, MAY retry a request briefly, and MUST NOT retry for ever. The
        caller MUST close the generator it does not exhaust.
        """
        ...

    def now(self) -> datetime:
        """The server's clock as far as it is known; the local clock before the first answer."""
        ...


class Lookup(Protocol):
    """One record of an account by its id."""

    async def get(self, record_id: str, priority: Priority) -> Record | None:
        """Return the record as it is now; ``None`` when the API no longer knows it (404).

        MUST raise a ``SourceError`` for anything else.
        """
        ...


class ActionApi(Protocol):
    """One account of the API as response actions see it. Rows are as the API sends them.

    Every method raises a ``SourceError`` where it has no answer. Of ``release``, ``submit`` and ``block``,
    any error but ``OutcomeUnknown`` MUST mean that nothing happened, and the implementer MUST NOT repeat
    them after that one. ``move`` and ``unblock`` may be repeated, and MAY have happened whatever they raise.
    """

    def now(self) -> datetime:
        """The server's clock as far as it is known."""
        ...

    async def get(self, record_id: str) -> Record | None:
        """Return the record as it is now; ``None`` when the API does not know it."""
        ...

    async def search(
        self, filters: Mapping[str, FilterValue], window: Window, limit: int
    ) -> tuple[Sequence[Record], bool]:
        """Return at most *limit* records, and whether there are more."""
        ...

    async def details(self, record: Record, endpoints: Sequence[str]) -> Body:
        """Return what *endpoints* (detections, action_log, trace) say, as ``Enricher.enrich`` does."""
        ...

    async def preview(self, record: Record) -> bytes | None:
        """Return a PNG image of the message."""
        ...

    async def raw(self, record_id: str) -> bytes | None:
        """Return the message as received; ``None`` where the API does not give it out."""
        ...

    async def move(self, ids: Sequence[str], destination: str) -> Sequence[Body]:
        """Move at most 1000 messages; return a row per message and recipient."""
        ...

    async def release(self, ids: Sequence[str]) -> Sequence[Body]:
        """Release messages from quarantine; return a row per message."""
        ...

    async def submit(self, kind: str, messages: Sequence[Body]) -> Sequence[Body]:
        """Submit messages; return a row per message."""
        ...

    async def submissions(self, since: datetime) -> Sequence[Body]:
        """Return submissions of the team that were requested at *since* or later."""
        ...

    async def blocked_senders(self, pattern: str) -> Sequence[Body]:
        """Return the blocked senders with that *pattern*."""
        ...

    async def block(self, sender: Body) -> Body:
        """Add a blocked sender; return it with its id."""
        ...

    async def unblock(self, block_id: str) -> bool:
        """Delete a blocked sender; return whether there was one."""
        ...


INCOMPLETE = "incomplete"
"""In an enrichment: the endpoints that did not answer. Absent where all of them did."""


class Enricher(Protocol):
    """What further endpoints say of a record."""

    async def enrich(self, records: Sequence[Record]) -> Mapping[str, Body]:
        """Return by record id what was found; bounded in time, a failure is data and never raises.

        A record that is not to be enriched is absent. Every other one MUST have an entry: what each
        endpoint said under the endpoint's name (nothing where it knows nothing of the record), and under
        ``INCOMPLETE`` the list of those that failed or were too late.
        """
        ...


class FeedLog(Protocol):
    """The journal as collection sees it."""

    async def progress(self, feed: Feed) -> Progress:
        """Return where *feed* stands; empty checkpoints for a feed never seen."""
        ...

    async def seen(self, feed: Feed, ids: Sequence[str]) -> Mapping[str, Seen]:
        """Return what is remembered of *ids*, by id; unknown ids are absent."""
        ...

    async def recognise(
        self, feed: Feed, marks: Mapping[str, bytes], within: Window, since: datetime
    ) -> tuple[Collection[str], Mapping[str, Seen]]:
        """Return which of the ids in *marks* need no comparison, and what is remembered of the others.

        Those are remembered under their very mark, which is not empty, with a time in *within* (its end
        included) and as returned by a window that ended at *since* or later.
        """
        ...

    async def seen_in(self, feed: Feed, window: Window, *, without: Container[str] = ()) -> Sequence[Seen]:
        """Return seen rows whose time lies in *window* and whose id is not in *without*, by time.

        The cost MUST be that of looking at each row in *window* once: there may be a hundred thousand.
        *without* MAY be asked on another thread; the caller MUST NOT change it meanwhile.
        """
        ...

    async def commit(self, commit: Commit) -> None:
        """Make revisions, seen rows, quarantined items, the step and the note durable in one transaction.

        When it returns, all of it survives kill -9 and power loss; when it raises, none of it is
        stored. Once begun it MUST finish, even if the caller is cancelled. Raises ``Moved`` when
        ``step.since`` is not what is stored, or when the feed was forgotten since ``commit.generation`` was
        read; ``JournalFull`` when there is no room on the disk or an output that pauses collection is over
        its limit.
        """
        ...

    async def repaired(self, feed: Feed, gap: Gap, part: Window) -> None:
        """Note that *part* of *gap*, which *feed* has, was read after all; the rest stays a gap.

        What was read there MUST be durable before. A gap that is no more is none: nothing happens.
        """
        ...

    async def expire(self, feed: Feed, passed: datetime) -> int:
        """Forget seen rows whose last window ended at or before *passed*; return how many.

        The caller MUST pass the watermark of the feed's slowest sweep, never a clock.
        """
        ...


class OutputLog(Protocol):
    """The journal as one output's delivery sees it. Positions count revisions."""

    async def attach(self, output: str, start: Start, backlog: Backlog) -> int:
        """Begin or resume *output*; return its position (the last sequence number it is done with).

        A new output starts at the ``head`` (nothing of what is stored) or at the ``beginning``.
        """
        ...

    async def detach(self, output: str) -> None:
        """Let *output* pin nothing any more; its position and dead letters stay."""
        ...

    async def read(self, output: str, after: int) -> Entry:
        """Return the next entry, cut to the revisions after *after*; wait until there is one.

        An entry with ``only`` set to another output MAY be returned; the caller then acknowledges it
        unsent. MUST be cancellable without effect. Raises ``Moved``, also while it waits, when somebody
        else moved the position (``rewind``, ``when_full: skip``), until the output attaches again.
        """
        ...

    async def emitted(self, output: str, keys: Sequence[str]) -> Mapping[str, str]:
        """Return, by record key, the identity of the revision that *output* emitted first.

        What ``acknowledge`` stored under *keys*, also before a restart, rewind or reload. Keys that were
        never emitted, or longer ago than the journal remembers, are absent. What is in flight and not yet
        acknowledged is not included: the caller knows that itself. After a rewind the same revision comes
        again and MUST pass again, which is why the answer is an identity and not a yes.
        """
        ...

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
        """Move the position from *after* to *upto*, store the rest, in one durable transaction.

        *dead* may concern revisions that were acknowledged before, and *upto* may be *after*. *emitted* maps
        a record key of the caller's choice to ``Revision.identity``; a key that is stored already keeps its
        first identity. *suspects* replaces what ``suspects`` returns; ``None`` leaves it.

        Raises ``Moved`` when the stored position is not *after*; ``DeadLettersFull`` when there are *dead*
        and the output keeps ``max_dead_letters`` already. Otherwise it MUST work on a full journal.
        """
        ...

    async def suspects(self, output: str) -> Sequence[DeadLetter]:
        """Return what would become dead letters of *output* if it ended now, as ``acknowledge`` stored it.

        Revisions that were acknowledged, and whose delivery was in doubt afterwards.
        """
        ...

    async def skipped(self, output: str) -> Gap | None:
        """Return the newest gap that ``when_full: skip`` caused for *output*, if any."""
        ...


class KeyValueStore(Protocol):
    """Small facts that survive a restart, such as a rate limit's end."""

    async def get_value(self, key: str) -> str | None:
        """Return what was remembered under *key*, if anything."""
        ...

    async def set_value(self, key: str, value: str | None) -> None:
        """Make *value* durable under *key*; ``None`` forgets it."""
        ...


class SharedValueStore(KeyValueStore, Protocol):
    """Values that several holders of the store read, change and wait for."""

    async def replace_value(self, key: str, old: str | None, new: str | None) -> bool:
        """Make *new* durable under *key* if *old* is stored there; return whether it was.

        ``None`` means no value.
        """
        ...

    async def value_changed(self, key: str) -> None:
        """Wait until somebody stores a value under *key*. MAY return early; MUST be cancellable."""
        ...


class ActionLog(Protocol):
    """The journal as response actions see it: what was requested is durable before anything is done."""

    async def store_action(
        self, action: StoredAction, audit: Sequence[Revision] = (), *, per_hour: int | None = None
    ) -> StoredAction:
        """Store *action* and append *audit* for the outputs, in one durable transaction; return it as stored.

        Version 0 adds it, any other replaces the version before. Raises ``Moved`` when that is not what is
        stored, or when the caller used its ``request_id`` before; ``JournalFull`` when a new one has no room;
        ``LimitReached`` when the caller has *per_hour* others from the hour before it, whoever stored them.
        A change of a stored one MUST work on a full journal. Once begun it MUST finish, even if the caller is
        cancelled.
        """
        ...

    async def append_audit(self, audit: Sequence[Revision]) -> None:
        """Append *audit* for the outputs, for calls that made no action. Raises ``JournalFull``."""
        ...

    async def action(self, action_id: str) -> StoredAction | None:
        """Return the action with that id."""
        ...

    async def action_for(self, caller: str, request_id: str) -> StoredAction | None:
        """Return the action that *caller* requested as *request_id*."""
        ...

    async def nth_requested(self, caller: str, nth: int, since: datetime) -> datetime | None:
        """Return when the *nth* newest action of *caller* was requested; ``None`` if not after *since*."""
        ...

    async def action_on(self, subject: str) -> StoredAction | None:
        """Return the newest action with that subject."""
        ...

    async def actions(self, *, after: int = 0, limit: int = 100) -> Sequence[StoredAction]:
        """Return actions with a number greater than *after*, oldest first."""
        ...

    async def open_actions(self, *, after: int = 0, limit: int = 100) -> Sequence[StoredAction]:
        """Return those of ``actions`` that are due at some time."""
        ...

    async def forget_actions(self, before: datetime) -> int:
        """Delete actions that are not due and did not change since *before*; return how many."""
        ...


class OperatorLog(Protocol):
    """The journal as an operator sees it."""

    async def outline(self) -> Outline:
        """Return sizes, positions, checkpoints, gaps and counts."""
        ...

    async def preview_rewind(self, output: str, to: int | datetime) -> RewindPreview:
        """Return what ``rewind`` would do; do nothing. Raises ``JournalError`` for an unknown output."""
        ...

    async def rewind(self, output: str, to: int | datetime) -> int:
        """Move an output's position back, as far as revisions are retained; return the new position.

        Its dead letters beyond that position MUST go in the same transaction: they are read again.
        """
        ...

    async def forget(self, feed: Feed) -> None:
        """Drop a feed's checkpoints, gaps and seen rows: its next sweeps start anew.

        A sweep in progress MUST learn of it: a commit of the generation that ends here raises ``Moved``.
        """
        ...

    async def dead_letters(
        self, output: str | None = None, *, after: int = 0, limit: int = 100
    ) -> Sequence[tuple[int, DeadLetter]]:
        """Return dead letters with their numbers, oldest first, with a number greater than *after*."""
        ...

    async def quarantined(self, *, after: int = 0, limit: int = 100) -> Sequence[QuarantinedItem]:
        """Return items that collection could not make a record of, oldest first, after number *after*."""
        ...

    async def purge_quarantined(self, numbers: Sequence[int]) -> int:
        """Delete quarantined items; return how many. One that the API still shows is quarantined anew."""
        ...

    async def resolve_dead_letters(self, numbers: Sequence[int], action: Literal["replay", "purge"]) -> int:
        """Put dead letters back into the journal, for their own output only, or delete them.

        Returns how many.
        """
        ...


class Journal(FeedLog, OutputLog, ActionLog, OperatorLog, SharedValueStore, Protocol):
    """All sides of a journal."""

    @property
    def description(self) -> str:
        """What it is and where, for people: ``/var/lib/email-connector, SQLite 3.45.1``. Holds no secret."""
        ...

    async def cautions(self) -> Sequence[str]:
        """Return what may endanger the data, one sentence each, such as settings of a database server."""
        ...

    @property
    def leases(self) -> Leases | None:
        """The leases of the replicas that share it; ``None`` where only one process can have it."""
        ...

    def fenced(self, proofs: Callable[[], Sequence[tuple[str, int]]]) -> Journal:
        """Return the same journal, whose transactions write only while every lease of *proofs* is held.

        *proofs* returns names and tokens; it is called for each transaction and MAY raise ``LeaseLost``
        itself. Writes raise ``LeaseLost`` when another replica has taken one of them: nothing is stored then.
        """
        ...


class Output(Protocol):
    """One configured destination.

    Delivery calls ``open`` before the first ``send`` and again after any error, ``send`` with at most
    ``limits.concurrency`` calls under way, and ``close`` at the end.
    """

    @property
    def limits(self) -> Limits:
        """What one ``send`` may hold. Constant while the output lives."""
        ...

    async def open(self) -> None:
        """Make ready to send. MUST be safe to repeat. Raises ``Retryable`` or ``Hold``."""
        ...

    async def send(self, events: Sequence[Event]) -> Receipt:
        """Deliver *events* (never empty, within ``limits``) and say what became of each.

        Returning means: every event that the receipt does not name is accepted in the sense of
        ``docs/outputs.md``. Raising ``Retryable`` means: nothing may be assumed, the same will be sent
        again. ``Refused``: the request was refused as data, the culprit unknown. ``Hold``: an operator is
        needed. Of a record it MUST send nothing but the payload, for the output may redact. It MUST NOT
        retry, MUST NOT sleep for a back-off, MUST NOT log payloads, MUST bound its own time, and MUST be
        cancellable: a cancelled send will be sent again.
        """
        ...

    async def close(self) -> None:
        """Release everything. MUST be safe without ``open``, and twice."""
        ...


@runtime_checkable
class BatchOutput(Output, Protocol):
    """An output that stores each batch whole and under its name, so that a repetition changes nothing.

    Delivery keeps the boundaries of its batches through failures, restarts and reloads, and calls
    ``send_batch`` instead of ``send``; only what is no part of the journal (heartbeats, digests) goes by
    ``send``.
    """

    async def send_batch(self, batch: BatchName, events: Sequence[Event]) -> Receipt:
        """Like ``send``. A *batch* that was stored before MUST count as accepted, whatever *events* are now.

        ``Refused`` MUST mean that nothing of the batch was stored: delivery then cuts it into other batches.
        The receipt MUST NOT ask for events again: ``retry`` stays empty.
        """
        ...


@runtime_checkable
class LateReporting(Protocol):
    """An output whose receipts may turn out to be wrong: its protocol acknowledges nothing."""

    def late_failures(self) -> LateFailures:
        """Return what it learned after its receipts. Delivery asks after each ``send``, also a failed one.

        Delivery stores what is suspected, so that a crash loses nothing, and makes dead letters of what was
        abandoned.
        """
        ...


@runtime_checkable
class ResumableOutput(Output, Protocol):
    """An output that goes on with what a failed ``send`` left under way, and knows it when it comes again.

    Delivery calls ``resume`` after an error instead of ``close`` and ``open``.
    """

    async def resume(self) -> None:
        """Make ready to send again; what is under way stays. Raises like ``open``."""
        ...


@runtime_checkable
class Probe(Protocol):
    """An output that can tell whether it would work, without sending an event."""

    async def check(self) -> str:
        """Return one line on what was verified; raises like ``Output.open``."""
        ...


@runtime_checkable
class Setup(Protocol):
    """An output that can prepare its collector, for example by installing an index template."""

    async def install(self) -> str:
        """Return one line on what was installed; MUST be safe to repeat; raises like ``Output.open``."""
        ...
