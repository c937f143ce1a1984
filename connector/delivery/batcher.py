"""Groups events into batches within an output's limits. Pure: the caller passes the time."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Mapping, Sequence
from dataclasses import field

from connector.model import BatchName, DeadLetter, Event, Limits
from connector.values import dataclass

_LINGER_AFTER_IDLE = 0.1
"""Seconds that the first event after an idle time waits for others: long enough for the rest of one commit,
too short for a person to notice."""

_MOST_REVISIONS = 1000
"""Revisions after which a batch leaves even if few became events, so that a filter that drops nearly
everything does not keep the position, and with it the journal, from moving."""

_MOST_NOTES = 20
"""Different mapping warnings kept per batch. A batch has one mapping; more kinds than this repeat each
other."""

_SHRINK = 0.5
"""What remains of a batch size that the collector refused: a limit is found in a few steps."""

_GROW = 1.05
"""Growth per accepted batch: back at twice the size after 15 batches, so a limit is tried again rarely."""


@dataclass(frozen=True, slots=True)
class NamedRange:
    """The sequence numbers *first* to *last* belong to the batch *name*: it was perhaps sent before."""

    first: int
    last: int
    name: BatchName


@dataclass(frozen=True, slots=True)
class Batch:
    """Events for one send, and everything up to *upto* that needs none.

    Args:
        events: what is to be sent, in order; may be empty.
        upto: the sequence number up to which the batch covers the journal.
        dead: revisions that could not become events.
        filtered: how many revisions the output leaves out, by reason.
        noted: how many of the events were shortened or had values that did not fit.
        notes: the mapping warnings, each kind once.
        name: its name, where it was perhaps sent before.
    """

    events: tuple[Event, ...]
    upto: int
    dead: tuple[DeadLetter, ...] = ()
    filtered: Mapping[str, int] = field(default_factory=dict)
    noted: int = 0
    notes: tuple[str, ...] = ()
    name: BatchName | None = None


@dataclass(slots=True)
class _OpenBatch:
    """A batch that still grows, since *began*; it lingers for at most *linger* seconds.

    One of a *range* is complete at the range's end, however large it is and however long that takes.
    """

    began: float
    linger: float
    range: NamedRange | None = None
    upto: int = 0
    events: list[Event] = field(default_factory=list)
    bytes: int = 0
    revisions: int = 0
    dead: list[DeadLetter] = field(default_factory=list)
    filtered: Counter[str] = field(default_factory=Counter)
    noted: int = 0
    notes: dict[str, None] = field(default_factory=dict)

    def finish(self) -> Batch:
        """The batch as it stands."""
        return Batch(
            tuple(self.events),
            self.upto,
            tuple(self.dead),
            dict(self.filtered),
            self.noted,
            tuple(self.notes),
            None if self.range is None else self.range.name,
        )


class Batcher:
    """Takes revisions in journal order and returns batches in the same order.

    A batch leaves when it is full, or when its linger ends: the output's, or a shorter one after an idle
    time. Where the collector refused a batch as too large, batches shrink at once and grow back slowly. An
    event larger than ``limits.bytes`` travels alone.

    Args:
        limits: of the output.
        ranges: batches that were formed before and must be formed again, in order.
        patient: a batch lingers for the whole time also after an idle time.
    """

    def __init__(self, limits: Limits, *, ranges: Sequence[NamedRange] = (), patient: bool = False) -> None:
        self._limits = limits
        self._ranges = deque(ranges)
        self._idle_linger = limits.linger if patient else min(limits.linger, _LINGER_AFTER_IDLE)
        self._ready: deque[Batch] = deque()
        self._open: _OpenBatch | None = None
        self._most_revisions = max(_MOST_REVISIONS, limits.events)
        self._most_bytes = float(limits.bytes)
        self._last_left = float("-inf")

    @property
    def full(self) -> bool:
        """Whether a whole batch waits, so that the caller should add no more (backpressure)."""
        return bool(self._ready)

    @property
    def empty(self) -> bool:
        """Whether nothing at all is kept."""
        return not self._ready and self._open is None

    @property
    def due(self) -> float | None:
        """When the oldest batch may leave; ``None`` where nothing is kept."""
        if self._ready:
            return float("-inf")
        open_ = self._open
        return open_.began + open_.linger if open_ and open_.range is None else None

    def add(self, event: Event, now: float) -> None:
        """Keep an event, which knows its place."""
        size = len(event.payload)
        batch = self._cover(event.sequence, now, size)
        batch.events.append(event)
        batch.bytes += size
        if event.notes:
            batch.noted += 1
            for note in event.notes[:_MOST_NOTES]:
                if len(batch.notes) < _MOST_NOTES:
                    batch.notes[note] = None
        self._close_if_full(batch)

    def dead_letter(self, dead_letter: DeadLetter, now: float) -> None:
        """Keep a revision that cannot become an event."""
        batch = self._cover(dead_letter.sequence, now)
        batch.dead.append(dead_letter)
        self._close_if_full(batch)

    def skip(self, sequence: int, reason: str, now: float) -> None:
        """Pass a revision that the output leaves out."""
        batch = self._cover(sequence, now)
        batch.filtered[reason] += 1
        self._close_if_full(batch)

    def take(self, now: float, *, flush: bool = False) -> Batch | None:
        """Return the next batch that is full or due; with *flush* the last one, however small.

        The beginning of a batch that must be formed again is no batch: *flush* drops it.
        """
        if not self._ready and self._open:
            if self._open.range is not None:
                self._open = None if flush else self._open
            elif flush or now >= self._open.began + self._open.linger:
                self._close()
        if not self._ready:
            return None
        self._last_left = now
        return self._ready.popleft()

    def shrink(self, size: int) -> None:
        """The collector refused *size* bytes as too large: allow half of them."""
        self._most_bytes = max(1.0, min(self._most_bytes, size * _SHRINK))

    def grow(self) -> None:
        """The collector took a batch: allow a little more, up to the limit."""
        self._most_bytes = min(float(self._limits.bytes), self._most_bytes * _GROW + 1)

    def _range_at(self, sequence: int) -> NamedRange | None:
        while self._ranges and sequence > self._ranges[0].last:
            self._ranges.popleft()
        return self._ranges[0] if self._ranges and sequence >= self._ranges[0].first else None

    def _cover(self, sequence: int, now: float, size: int = 0) -> _OpenBatch:
        """The batch for *sequence* and *size* bytes of payload, counted as covered by it."""
        range_ = self._range_at(sequence) if self._ranges else None
        batch = self._open
        if batch is not None and (
            batch.range is not range_
            or (range_ is None and batch.events and batch.bytes + size > self._most_bytes)
        ):
            self._close()
            batch = None
        if batch is None:
            linger = self._limits.linger
            busy = now - self._last_left < linger
            batch = self._open = _OpenBatch(now, linger if busy else self._idle_linger, range_)
        batch.upto = sequence
        batch.revisions += 1
        return batch

    def _close_if_full(self, batch: _OpenBatch) -> None:
        if batch.range is not None:
            if batch.upto >= batch.range.last:
                self._close()
        elif (
            len(batch.events) >= self._limits.events
            or batch.bytes >= self._most_bytes
            or batch.revisions >= self._most_revisions
        ):
            self._close()

    def _close(self) -> None:
        if self._open:
            self._ready.append(self._open.finish())
            self._open = None
