"""Batches within an output's limits. No clock and no loop of its own: the caller says what time it is."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Mapping
from dataclasses import dataclass, field

from connector.model import DeadLetter, Event, Limits

_QUICK = 0.1
"""Seconds that a batch waits after a quiet time: what comes alone should not wait for company."""

_COVERED = 1000
"""Revisions after which a batch leaves even if few or none of them became events."""

_NOTES = 20
"""Different notes that are kept per batch."""


@dataclass(frozen=True, slots=True)
class Item:
    """An event and its place in the journal."""

    sequence: int
    event: Event


@dataclass(frozen=True, slots=True)
class Batch:
    """Events for one send, and everything up to *upto* that needs none.

    Args:
        items: what is to be sent, in order; may be empty.
        upto: the sequence number up to which the batch covers the journal.
        dead: revisions that could not become events.
        filtered: how many revisions the output does not want, by reason.
        noted: how many of the events were shortened or had values that did not fit.
        notes: what was noted, each kind once.
    """

    items: tuple[Item, ...]
    upto: int
    dead: tuple[DeadLetter, ...] = ()
    filtered: Mapping[str, int] = field(default_factory=dict)
    noted: int = 0
    notes: tuple[str, ...] = ()


@dataclass(slots=True)
class _Forming:
    """A batch that still grows, since *began*."""

    began: float
    patience: float
    upto: int = 0
    items: list[Item] = field(default_factory=list)
    bytes: int = 0
    covered: int = 0
    dead: list[DeadLetter] = field(default_factory=list)
    filtered: Counter[str] = field(default_factory=Counter)
    noted: int = 0
    notes: dict[str, None] = field(default_factory=dict)

    def finish(self) -> Batch:
        """The batch as it stands."""
        return Batch(
            tuple(self.items), self.upto, tuple(self.dead), dict(self.filtered), self.noted, tuple(self.notes)
        )


class Batcher:
    """Takes revisions in journal order and gives batches in the same order.

    A batch leaves when it is full, or when its patience ends: the output's linger, or less after a
    quiet time. Where the collector found a batch too large, batches shrink at once and grow back slowly.
    An event larger than ``limits.bytes`` travels alone.
    """

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._ready: deque[Batch] = deque()
        self._forming: _Forming | None = None
        self._ceiling = float(limits.bytes)
        self._left = float("-inf")

    @property
    def full(self) -> bool:
        """Whether a whole batch waits; the caller should bring no more."""
        return bool(self._ready)

    @property
    def empty(self) -> bool:
        """Whether nothing at all is kept."""
        return not self._ready and self._forming is None

    @property
    def due(self) -> float | None:
        """When the oldest of what is kept may leave; ``None`` where nothing is."""
        if self._ready:
            return float("-inf")
        return self._forming.began + self._forming.patience if self._forming else None

    def add(self, item: Item, now: float) -> None:
        """Keep an event."""
        size = len(item.event.payload)
        if self._forming and self._forming.items and self._forming.bytes + size > self._ceiling:
            self._close()
        forming = self._cover(item.sequence, now)
        forming.items.append(item)
        forming.bytes += size
        if item.event.notes:
            forming.noted += 1
            for note in item.event.notes[:_NOTES]:
                if len(forming.notes) < _NOTES:
                    forming.notes[note] = None
        self._close_if_full(forming)

    def dead_letter(self, letter: DeadLetter, now: float) -> None:
        """Keep a revision that cannot become an event."""
        forming = self._cover(letter.sequence, now)
        forming.dead.append(letter)
        self._close_if_full(forming)

    def skip(self, sequence: int, reason: str, now: float) -> None:
        """Pass a revision that the output does not want."""
        forming = self._cover(sequence, now)
        forming.filtered[reason] += 1
        self._close_if_full(forming)

    def take(self, now: float, *, flush: bool = False) -> Batch | None:
        """Give the next batch that is full or due; with *flush* the last one, however small."""
        if (
            not self._ready
            and self._forming
            and (flush or now >= self._forming.began + self._forming.patience)
        ):
            self._close()
        if not self._ready:
            return None
        self._left = now
        return self._ready.popleft()

    def shrink(self, size: int) -> None:
        """The collector refused *size* bytes: stay at half of them, for now."""
        self._ceiling = max(1.0, min(self._ceiling, size / 2))

    def grow(self) -> None:
        """The collector took a batch: allow a little more, up to the limit."""
        self._ceiling = min(float(self._limits.bytes), self._ceiling * 1.05 + 1)

    def _cover(self, sequence: int, now: float) -> _Forming:
        if self._forming is None:
            linger = self._limits.linger
            busy = now - self._left < linger
            self._forming = _Forming(now, linger if busy else min(linger, _QUICK))
        self._forming.upto = sequence
        self._forming.covered += 1
        return self._forming

    def _close_if_full(self, forming: _Forming) -> None:
        if (
            len(forming.items) >= self._limits.events
            or forming.bytes >= self._ceiling
            or forming.covered >= max(_COVERED, self._limits.events)
        ):
            self._close()

    def _close(self) -> None:
        if self._forming:
            self._ready.append(self._forming.finish())
            self._forming = None
