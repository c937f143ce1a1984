"""Data types shared by all packages: records, revisions, events, receipts, windows. Frozen values.

Words and shapes follow ``docs/glossary.md``. Every datetime is aware and in UTC.
"""

from __future__ import annotations

import enum
import hashlib
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import field
from datetime import datetime, timedelta
from typing import Any, TypeAlias

import orjson

from connector.values import dataclass

Body: TypeAlias = Mapping[str, Any]
"""A JSON object as the API sent it. The one home of ``Any``: a record may hold anything."""

JsonObject: TypeAlias = dict[str, Any]
"""A JSON object under construction."""

FilterValue: TypeAlias = str | bool | tuple[str, ...]
"""One filter of a search; a tuple means: one request per value."""


@dataclass(frozen=True, slots=True, order=True)
class Feed:
    """One search on one account. *account* is Cloudflare's account id, not the name in a file."""

    account: str
    search: str

    def __str__(self) -> str:
        return f"{self.account}/{self.search}"

    @property
    def notes(self) -> str:
        """How the keys of its notes begin, which are forgotten with the feed; see ``Commit``."""
        return f"notes {self} "


@dataclass(frozen=True, slots=True, order=True)
class Window:
    """A half-open range of time, ``[start, end)``."""

    start: datetime
    end: datetime

    def __post_init__(self) -> None:
        if self.start > self.end:
            raise ValueError(f"a window cannot end ({self.end}) before it starts ({self.start})")

    @property
    def length(self) -> timedelta:
        """The time between both ends."""
        return self.end - self.start

    def __contains__(self, moment: datetime) -> bool:
        return self.start <= moment < self.end

    def __str__(self) -> str:
        return f"[{self.start.isoformat()}, {self.end.isoformat()})"


class SearchSource(enum.StrEnum):
    """What a search reads. The values are public: in configurations, and at the start of records' ids."""

    INVESTIGATE = "investigate"
    """Messages, by the search of Email Security."""

    SUBMISSIONS = "submissions"
    """Messages that users and analysts submitted for review."""

    AUDIT_LOGS = "audit_logs"
    """Audit logs of the account: who changed what."""


SOURCE_MARKS = tuple(f"{source}:" for source in SearchSource if source is not SearchSource.INVESTIGATE)
"""What the id of every record begins with that is no message."""


def mark_source(source: SearchSource, text: str) -> str:
    """*text*, an id or a fingerprint, marked as of another *source* than the search of messages.

    A revision and a feed outlive the configuration of their search, so they say themselves what they are.
    """
    return f"{source}:{text}"


def source_of(marked: str) -> SearchSource:
    """The source that a record's id, or a feed's fingerprint, is marked with."""
    if not marked.startswith(SOURCE_MARKS):
        return SearchSource.INVESTIGATE
    return SearchSource(marked.partition(":")[0])


class Priority(enum.IntEnum):
    """Who goes first when an account's request budget is short; the smaller number wins."""

    ACTION = -1
    LIVE = 0
    REVISIT = 1
    ENRICHMENT = 2
    BACKFILL = 3


@dataclass(frozen=True, slots=True)
class Query:
    """What is asked of the API, the window aside.

    *filters* maps names of query parameters to values; ``per_page`` counts records (1 to 1000).
    """

    filters: Mapping[str, FilterValue] = field(default_factory=dict)
    per_page: int = 1000
    priority: Priority = Priority.LIVE


HEAD_FIELDS = frozenset({"scanned_at", "ts", "from", "subject"})
"""Fields of a record that every ``Record.head`` has, where the record has them: they never change."""


class Record:
    """One search result as received. *id* is the API's, or a hash of the content where it has none.

    Decoded, a record takes three times the memory of its text, so where there is a text the body is decoded
    when somebody asks for it, and forgotten by :meth:`forget_body` as soon as it has served.

    Args:
        id: the id.
        body: the decoded object; ``None`` where *text* says it.
        text: the JSON object as received. Until :meth:`check` it may be no strict JSON; then only id,
            *scanned* and *mark* may be asked for.
        head: ``HEAD_FIELDS`` where they are not what *body* says.
        scanned: its ``scanned_at``, or else ``ts``, where that was read before the rest of *text*.
        mark: a digest of *text*, by which it is recognised when it comes again; empty where there is none.
    """

    __slots__ = ("_body", "_head", "_kept", "_scanned", "_text", "id", "mark")

    def __init__(
        self,
        id: str,  # noqa: A002, the API's name for it
        body: Body | None,
        text: bytes | None = None,
        head: Mapping[str, Any] | None = None,
        scanned: str | None = None,
        mark: bytes = b"",
    ) -> None:
        self.id = id
        self.mark = mark
        self._body = body
        self._text = text
        self._head = head
        self._kept = _NO_FIELDS
        self._scanned = scanned

    @property
    def body(self) -> Body:
        """The whole record, decoded when it is asked for."""
        body = self._body
        if body is None:
            if self._text is None:
                raise ValueError("a record needs a body or a text")
            body = self._body = orjson.loads(self._text)
        return body

    @property
    def text(self) -> bytes | None:
        """The record as strict JSON, as received; ``None`` where only its body is known."""
        return self._text

    def check(self, names: frozenset[str]) -> bool:
        """Whether the text is strict JSON; it is decoded for that, and the fields *names* are kept."""
        try:
            body = orjson.loads(self._text or b"")
        except orjson.JSONDecodeError:
            return False
        self._head, self._kept = {name: body[name] for name in names if name in body}, names
        return True

    def forget_body(self) -> None:
        """Keep the text alone, where there is one: the body can be decoded again."""
        if self._text is not None:
            self._body = None
            if self._kept:
                self._head, self._kept = None, _NO_FIELDS

    @property
    def head(self) -> Mapping[str, Any]:
        """``HEAD_FIELDS`` by name, those that the record has; others may be in it."""
        return self.body if self._head is None else self._head

    @property
    def scanned(self) -> object:
        """``scanned_at``, else the retired ``ts``, as the record says it."""
        return self._scanned or self.head.get("scanned_at") or self.head.get("ts")

    def fields(self, names: Collection[str]) -> JsonObject:
        """Those of the fields *names* that the record has, in this order."""
        said = self._head if self._head is not None and self._kept.issuperset(names) else self.body
        return {name: said[name] for name in names if name in said}

    def renamed(self, id: str) -> Record:  # noqa: A002, as in the constructor
        """The same record under another id."""
        renamed = Record(id, self._body, self._text, self._head, self._scanned, self.mark)
        renamed._kept = self._kept
        return renamed

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Record) and self.id == other.id and self.body == other.body

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"Record(id={self.id!r}, body={self.body!r})"


_NO_FIELDS: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Quarantined:
    """An item of a page that cannot become a record: its bytes as received, and why.

    *reason* is a short class: ``nested_too_deeply``, ``conflicting_duplicate``, ``undecodable``.
    """

    raw: bytes
    reason: str


@dataclass(frozen=True, slots=True)
class QuarantinedItem:
    """A quarantined item as the journal keeps it, under its own *number*, since it was first seen *at*."""

    number: int
    feed: Feed
    item: Quarantined
    at: datetime


@dataclass(frozen=True, slots=True)
class SearchPosition:
    """How far a search in order of time is: what lies in *left* of its part number *part* is still to come.

    A list of verdicts takes one part per verdict, counted from 0; later parts are still to come as a whole.
    """

    part: int
    left: Window


class Page:
    """One answer of the API, or a slice of it. The cursor to the next page stays in ``source``.

    Args:
        records: what is listed, in order.
        quarantined: what the same answer contained and no record can be made of; it must become durable
            together with the records.
        position: where the search may be continued once this page is durable; ``None`` where nothing tells,
            and it has to begin anew.
        check: looks at *records* closely, where that was not done: some may turn out to be quarantined. Until
            then their ids, times and marks are all that may be asked for.
    """

    __slots__ = ("_check", "_quarantined", "_records", "position")

    def __init__(
        self,
        records: Sequence[Record],
        quarantined: Sequence[Quarantined] = (),
        position: SearchPosition | None = None,
        check: Callable[[Sequence[Record]], Page] | None = None,
    ) -> None:
        self._records = tuple(records)
        self._quarantined = tuple(quarantined)
        self._check = check
        self.position = position

    @property
    def listed(self) -> tuple[Record, ...]:
        """The records, perhaps not checked yet."""
        return self._records

    @property
    def records(self) -> tuple[Record, ...]:
        """The records, checked."""
        self._check_all()
        return self._records

    @property
    def quarantined(self) -> tuple[Quarantined, ...]:
        """Items that are no records."""
        self._check_all()
        return self._quarantined

    def without(self, ids: Collection[str]) -> Page:
        """The page without the records *ids*, which are known; they are not looked at."""
        kept = [record for record in self._records if record.id not in ids] if ids else self._records
        return Page(kept, self._quarantined, self.position, self._check)

    def at(self, position: SearchPosition | None) -> Page:
        """The page, behind which the search continues at *position*."""
        return Page(self._records, self._quarantined, position, self._check)

    def _check_all(self) -> None:
        if self._check is not None:
            checked, self._check = self._check(self._records), None
            self._records, self._quarantined = checked.records, (*self._quarantined, *checked.quarantined)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Page) and (self.records, self.quarantined) == (
            other.records,
            other.quarantined,
        )

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"Page({self.records!r}, {self.quarantined!r})"


@dataclass(frozen=True, slots=True)
class Revision:
    """A record in one state: what the journal holds and outputs deliver.

    Args:
        feed: where it was found.
        record: the whole record as received.
        digest: hexadecimal digest of the record's state (its watched fields); where only enrichment came
            later, of the state and the endpoints that answered.
        number: 1 at first sight, counting up with every change of state.
        collected: when the connector received it.
        previous: the watched fields that changed, as they were before; empty where only enrichment came
            later; ``None`` at first sight.
        enrichment: what further endpoints said, by endpoint name.
        occurrence: how often this state was seen by now; 2 means it came back.
        gone: the API no longer knows the record; the body is what was last known.
        throttled: how many revisions that ``throttle`` or ``group_by`` left out this one stands for, itself
            included; 0 for one that stands for itself. Never in the journal.
    """

    feed: Feed
    record: Record
    digest: str
    number: int
    collected: datetime
    previous: Body | None = None
    enrichment: Body = field(default_factory=dict)
    occurrence: int = 1
    gone: bool = False
    throttled: int = 0
    _identity: str | None = field(default=None, init=False, repr=False, compare=False)

    @property
    def identity(self) -> str:
        """What collectors deduplicate by: equal for every delivery of this state of this record.

        It leaves the search out on purpose, so that searches which overlap yield one identity.
        """
        if self._identity is None:
            found = hashlib.sha256(self.state_key.encode("utf-8", "surrogatepass")).hexdigest()
            object.__setattr__(self, "_identity", found)  # frozen for the type checker alone
            return found
        return self._identity

    @property
    def state_key(self) -> str:
        """What ``identity`` is the hash of: for what compares revisions in here, and is faster without."""
        return f"{self.feed.account}|{self.record.id}|{self.digest}|{self.occurrence}"


@dataclass(frozen=True, slots=True)
class Seen:
    """What the journal remembers of a record, so that only what is new or changed is delivered.

    Args:
        id: the record's id.
        time: the record's time (``scanned_at``), or the start of the window that returned it.
        state: the watched fields when last seen, canonical (lists as sorted sets).
        digest: digest of *state*.
        occurrences: digest to how often the record entered that state.
        number: number of the last revision.
        until: end of the latest window that returned it; a row may go once every sweep is past it.
        message: checksums of what tells one message from another (time, sender, subject); empty in rows of
            older versions. See ``collect.revisions.message_of``.
        mark: ``Record.mark`` of the record in this state; empty where a record with that mark has to be
            compared all the same.
    """

    id: str
    time: datetime
    state: Body
    digest: str
    occurrences: Mapping[str, int]
    number: int
    until: datetime
    message: bytes = b""
    mark: bytes = field(default=b"", compare=False)


RETRIED = timedelta(days=1)
"""How long a gap is retried after it was recorded, unless an operator caused it."""


class GapCause(enum.StrEnum):
    """Why a range of time was skipped. The values are public: status, logs, metrics and the journal."""

    RETENTION = "retention"
    """The API refused the range: older than its retention. The detail is the sweep that was refused."""

    NOT_CONFIGURED = "not configured"
    """The search or its account was absent from the configuration for a while."""

    FORGOTTEN = "forgotten"
    """An operator reset the feed with ``state forget``."""

    BACKLOG_FULL = "backlog full"
    """An output with ``when_full: skip`` exceeded its backlog limit."""

    OUTPUT_NOT_CONFIGURED = "output not configured"
    """The data was deleted while the output was absent from the configuration."""

    OTHER = "other"
    """Written by another version; the detail is its text."""


@dataclass(frozen=True, slots=True)
class Gap:
    """Time that a feed or an output skipped, why, and when that was recorded. It is never silent."""

    window: Window
    cause: GapCause
    detail: str = ""
    recorded: datetime | None = field(default=None, compare=False)

    @property
    def reason(self) -> str:
        """Cause and detail for people and for the journal, for example ``retention (live)``."""
        if self.cause is GapCause.OTHER:
            return self.detail
        return f"{self.cause} ({self.detail})" if self.detail else str(self.cause)

    @classmethod
    def of_reason(cls, window: Window, reason: str, recorded: datetime | None = None) -> Gap:
        """The gap whose :attr:`reason` is *reason*; a text of another version stays readable."""
        name, _, detail = reason.partition(" (")
        try:
            return cls(window, GapCause(name), detail.removesuffix(")"), recorded)
        except ValueError:
            return cls(window, GapCause.OTHER, reason, recorded)


@dataclass(frozen=True, slots=True)
class Step:
    """The move of one sweep's checkpoint, compared and set: *since* must be what is stored.

    *since* is ``None`` where the sweep has no checkpoint yet.
    """

    sweep: str
    since: datetime | None
    until: datetime
    gap: Gap | None = None


@dataclass(frozen=True, slots=True)
class Commit:
    """One transaction of collection: revisions, what was seen, and the step that they complete.

    *key_value* becomes durable with it, as by ``KeyValueStore.set_value``. So do *notes*, whose keys
    begin with ``Feed.notes``; they wake no waiters. *generation* is the feed's when the data behind this
    commit was read (``None``: not checked); see ``Progress``.
    """

    feed: Feed
    fingerprint: str
    revisions: tuple[Revision, ...] = ()
    seen: tuple[Seen, ...] = ()
    step: Step | None = None
    key_value: tuple[str, str] | None = None
    generation: int | None = None
    quarantined: tuple[Quarantined, ...] = ()
    notes: tuple[tuple[str, str | None], ...] = ()


@dataclass(frozen=True, slots=True)
class Progress:
    """Where a feed stands: checkpoint per sweep, the fingerprint of its query, its seen floor, its gaps.

    *floor* is the earliest time from which on seen rows are complete; ``None`` before the first commit.
    *generation* changes when the feed is forgotten: comparisons made before are void.
    """

    checkpoints: Mapping[str, datetime]
    fingerprint: str | None = None
    floor: datetime | None = None
    gaps: tuple[Gap, ...] = ()
    generation: int = field(default=0, compare=False)

    @property
    def source(self) -> SearchSource:
        """What the feed reads."""
        return source_of(self.fingerprint or "")


@dataclass(frozen=True, slots=True)
class Entry:
    """Revisions of one commit, or what is left of it after a position.

    *first* is the sequence number of the first revision; numbers count revisions, from 1 on, without
    holes inside an entry. *only* names the output that a replay is addressed to.
    """

    first: int
    revisions: tuple[Revision, ...]
    only: str | None = None

    @property
    def last(self) -> int:
        """Sequence number of the last revision."""
        return self.first + len(self.revisions) - 1


@dataclass(frozen=True, slots=True)
class Event:
    """One mapped and encoded revision.

    Args:
        revision: where it came from, whole; only its identity may leave: the rest may hold what the payload
            must not.
        payload: the encoded document or line, without a trailing separator; never holds a raw LF.
        time: event time, for envelopes and headers.
        severity: 0 to 10 (``docs/mapping.md``).
        code: event class, for example ``email.malicious``.
        notes: misfits and shortenings, in words.
        sequence: its place in the journal; 0 for what has none (heartbeats, digests).
    """

    revision: Revision
    payload: bytes
    time: datetime
    severity: int
    code: str
    notes: tuple[str, ...] = ()
    sequence: int = 0

    def place(self, sequence: int) -> Event:
        """The same event, at its place in the journal: for its maker, before anybody else has it."""
        self.sequence = sequence  # type: ignore[misc]  # frozen for the type checker alone
        return self


@dataclass(frozen=True, slots=True)
class Limits:
    """What one send of an output may hold, and how many may be under way at once.

    *bytes* counts payloads; *event_bytes* is the most one payload may have (``None``: no limit);
    *linger* is how long, in seconds, a batch may wait for more events.
    """

    events: int = 500
    bytes: int = 1_000_000
    event_bytes: int | None = None
    concurrency: int = 1
    linger: float = 1.0


@dataclass(frozen=True, slots=True)
class BatchName:
    """Names one batch; the same for every repetition of it, also after a restart.

    *id* is hexadecimal and unique; *formed* is when the batch was first sent.
    """

    id: str
    formed: datetime


@dataclass(frozen=True, slots=True)
class Receipt:
    """What a collector said of a batch: data, per item. An empty receipt means: all accepted.

    Args:
        rejected: index in the batch to the reason; these will never be accepted.
        retry: indexes to send again; the rest is accepted.
        retry_after: seconds the collector asked to wait.
        duplicates: how many it already had.
        busy: it accepted, but asks to slow down.
        retry_reason: why it wants the events of *retry* again, in words; empty where it does not say.
        unnamed: how many more will never be accepted, where the collector does not say which; fewer than the
            events that neither *rejected* nor *retry* names, as all of those belong into *rejected*.
        unnamed_reason: why, in words.
    """

    rejected: Mapping[int, str] = field(default_factory=dict)
    retry: frozenset[int] = frozenset()
    retry_after: float | None = None
    duplicates: int = 0
    busy: bool = False
    retry_reason: str = ""
    unnamed: int = 0
    unnamed_reason: str = ""


PARTIAL_SUCCESS = "partial_success"
"""Reason of dead letters of which the collector took some and does not say which."""


@dataclass(frozen=True, slots=True)
class LateFailure:
    """An event that an output accepted and then could not deliver, *attempts* times; why the last time."""

    event: Event
    reason: str
    attempts: int


@dataclass(frozen=True, slots=True)
class LateFailures:
    """What an output learned after its receipts.

    Args:
        suspected: every event whose delivery is in doubt now; the output tries them again.
        abandoned: those it gave up since this was asked last.
    """

    suspected: tuple[LateFailure, ...] = ()
    abandoned: tuple[LateFailure, ...] = ()


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A revision that an output can never take, kept whole.

    *reason* is a short class (``refused``, ``rejected``, ``mapping``, ``too_large``,
    ``bug``, ``poison``, ``partial_success``),
    *answer* an excerpt of what the collector said, without secrets.
    """

    output: str
    sequence: int
    revision: Revision
    reason: str
    answer: str
    attempts: int
    first_tried: datetime
    dead_lettered_at: datetime


ACTIONS = "$actions"
"""The search of audit events: a name that no configured search can have."""


@dataclass(frozen=True, slots=True)
class StoredAction:
    """A requested action as the journal keeps it.

    Args:
        id: unguessable name of the action.
        caller: who requested it.
        request_id: the caller's name of the request; unique per caller.
        state: see ``docs/actions.md``.
        requested: when.
        changed: when it was stored last.
        body: everything else; the journal does not look into it.
        due: when it needs attention next; ``None`` for one that never does again.
        subject: id of what it made, for ``action_on``.
        number: counts up with every new action; 0 for one that is not stored yet.
        version: counts up with every change; 0 for one that is not stored yet.
    """

    id: str
    caller: str
    request_id: str
    state: str
    requested: datetime
    changed: datetime
    body: Body
    due: datetime | None = None
    subject: str | None = None
    number: int = 0
    version: int = 0


class WhenFull(enum.StrEnum):
    """What happens when an output's backlog reaches its limit."""

    PAUSE = "pause"
    SKIP = "skip"


@dataclass(frozen=True, slots=True)
class Backlog:
    """Undelivered bytes of the journal an output may leave, what happens then, and its most dead letters."""

    max_bytes: int = 1 << 30
    when_full: WhenFull = WhenFull.PAUSE
    max_dead_letters: int = 10_000


@dataclass(frozen=True, slots=True)
class OutputOutline:
    """One output's place: what lies behind the head, dead letters; *live_bytes* without what was rewound."""

    output: str
    position: int
    backlog: int
    backlog_bytes: int
    oldest: datetime | None
    dead_letters: int
    attached: bool
    live_bytes: int | None = None

    @property
    def counted_bytes(self) -> int:
        """What counts against the limit of its backlog; all, where *live_bytes* are not told."""
        return self.backlog_bytes if self.live_bytes is None else self.live_bytes


@dataclass(frozen=True, slots=True)
class FeedOutline:
    """One feed's checkpoints, gaps, how many rows were seen and items quarantined, and what it has read."""

    feed: Feed
    checkpoints: Mapping[str, datetime]
    gaps: tuple[Gap, ...]
    seen: int
    quarantined: int = 0
    source: SearchSource | None = None


@dataclass(frozen=True, slots=True)
class Outline:
    """The journal at one look.

    Args:
        head: sequence number of the newest revision.
        bytes: what the retained revisions take.
        outputs: every output, by name.
        feeds: every feed, by name.
        floor: sequence number of the newest revision that is gone.
        since: when the oldest retained revision was journaled; ``None`` where none is retained.
        newest_letter: number of the newest dead letter; 0 where there is none.
    """

    head: int
    bytes: int
    outputs: tuple[OutputOutline, ...]
    feeds: tuple[FeedOutline, ...]
    floor: int = 0
    since: datetime | None = None
    newest_letter: int = 0


@dataclass(frozen=True, slots=True)
class RewindPreview:
    """What a rewind of an output does: from *position* back to *target*.

    *revisions* counts what the output reads again by that; what is addressed to others is left out.
    *complete* tells whether all that was asked for is still retained; *dead_letters* counts the output's dead
    letters among these revisions.
    """

    position: int
    target: int
    revisions: int
    complete: bool
    dead_letters: int = 0
