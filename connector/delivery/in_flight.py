"""What is being delivered, in journal order; the position moves over the finished prefix only. Pure."""

from __future__ import annotations

import enum
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import field
from datetime import datetime

from connector.delivery.batcher import Batch
from connector.model import BatchName, DeadLetter, Event
from connector.values import dataclass


class ChunkStatus(enum.Enum):
    """How far a chunk is. ``SUSPECT``: its one event failed alone; later events may overtake it."""

    OPEN = enum.auto()
    SUSPECT = enum.auto()
    DONE = enum.auto()


@dataclass(slots=True, eq=False)
class Chunk:
    """A batch, or what is left of one after a split: the unit of a send and of the position.

    Args:
        batch: number of the batch it belongs to.
        events: those still to be accepted, in order.
        upto: the sequence number up to which it covers the journal.
        status: how far it is.
        attempts: sends so far, those of the batch it was cut from included.
        first_tried: when it was first sent.
        fault: the last unknown error, by name, and *faults* how often it came in a row.
        dead: dead letters that become durable together with the position that covers them.
        filtered: revisions that were left out, by reason; *noted* and *notes* count mapping warnings. All
            wait for the position as well.
        emitted: first emissions of records (``emit: first``) to store with the position, key to identity.
        sealed: its prefix is being made durable, so nothing may be added to it.
        remainder: some events of it were accepted, these are to be sent again.
        alone: requests that combined it with other chunks failed, so it is sent by itself.
        stuck: such requests in a row of which no event was accepted.
        pushbacks: requests with it in a row for which the collector was too busy while it accepted others.
        failures: requests with these events that failed in a row without saying that the data is wrong.
        run: how often its one event failed alone in a row, without another request in between.
        contrasts: how often the request that followed such a failure was accepted (see ``PoisonSearch``).
        trials: how many of these contrasts count as proof.
        rests: how many more turns other events get before it is sent again.
        awaits_control: its last request failed, and no other request was answered since.
        per_item: the collector itself asked for this event again, it did not fail the request.
        answer: the last failure, in words.
        not_before: loop time before which it is not sent again.
        collect_until: loop time until which a remainder waits for others to fill a request.
        failing_since: loop time of its first failure, and *last_failed* of its last.
        name: its name, for an output that stores batches whole; a part has none until it is sent.
    """

    batch: int
    events: tuple[Event, ...]
    upto: int
    status: ChunkStatus = ChunkStatus.OPEN
    attempts: int = 0
    first_tried: datetime | None = None
    fault: str = ""
    faults: int = 0
    dead: list[DeadLetter] = field(default_factory=list)
    filtered: Counter[str] = field(default_factory=Counter)
    noted: int = 0
    notes: dict[str, None] = field(default_factory=dict)
    emitted: dict[str, str] = field(default_factory=dict)
    sealed: bool = False
    remainder: bool = False
    alone: bool = False
    stuck: int = 0
    pushbacks: int = 0
    failures: int = 0
    run: int = 0
    contrasts: int = 0
    trials: int = 0
    rests: int = 0
    awaits_control: bool = False
    per_item: bool = False
    answer: str = ""
    not_before: float = float("-inf")
    collect_until: float = float("-inf")
    failing_since: float | None = None
    last_failed: float = float("-inf")
    name: BatchName | None = None

    @property
    def bytes(self) -> int:
        """The size of the payloads."""
        return sum([len(event.payload) for event in self.events])

    @property
    def sequence(self) -> int:
        """The sequence number of its first event."""
        return self.events[0].sequence

    def part(self, events: tuple[Event, ...]) -> Chunk:
        """A chunk of some of its events, with the same past; what it covers beside them stays here."""
        return Chunk(
            self.batch,
            events,
            events[-1].sequence,
            attempts=self.attempts,
            first_tried=self.first_tried,
            fault=self.fault,
            faults=self.faults,
            alone=self.alone,
            failures=self.failures,
            contrasts=self.contrasts,
            awaits_control=self.awaits_control,
            per_item=self.per_item,
            answer=self.answer,
            failing_since=self.failing_since,
        )


@dataclass(frozen=True, slots=True)
class FinishedPrefix:
    """The finished beginning: *upto* where the position may go, and what commits or counts with it."""

    chunks: int
    upto: int
    dead: tuple[DeadLetter, ...]
    filtered: Counter[str]
    noted: int
    notes: tuple[str, ...]
    emitted: dict[str, str]


class InFlight:
    """Chunks in journal order, from the position on."""

    def __init__(self) -> None:
        self._chunks: list[Chunk] = []
        self._batches = 0

    def __iter__(self) -> Iterator[Chunk]:
        return iter(self._chunks)

    @property
    def empty(self) -> bool:
        """Whether everything is acknowledged."""
        return not self._chunks

    @property
    def busy(self) -> int:
        """How many unacknowledged batches count against the window; suspects and remainders do not."""
        return len(
            {
                chunk.batch
                for chunk in self._chunks
                if chunk.status is not ChunkStatus.SUSPECT and not (chunk.remainder and chunk.events)
            }
        )

    @property
    def remainders(self) -> int:
        """How many batches were accepted in part and wait for the rest."""
        return len({chunk.batch for chunk in self._chunks if chunk.remainder and chunk.events})

    @property
    def held_back(self) -> bool:
        """Whether a remainder or an event that fails alone keeps the position from moving."""
        return any(
            chunk.events and (chunk.remainder or (chunk.failures and chunk.status is ChunkStatus.SUSPECT))
            for chunk in self._chunks
        )

    @property
    def suspects(self) -> int:
        """How many events failed alone and may be overtaken."""
        return sum(chunk.status is ChunkStatus.SUSPECT for chunk in self._chunks)

    def open(self, batch: Batch) -> Chunk | None:
        """Add *batch*; return the chunk to send, ``None`` where it has no events."""
        if not batch.events and not batch.dead and self._chunks and not self._chunks[-1].sealed:
            _extend(self._chunks[-1], batch)
            return None
        self._batches += 1
        chunk = Chunk(self._batches, batch.events, batch.upto, dead=list(batch.dead), name=batch.name)
        _extend(chunk, batch)
        self._chunks.append(chunk)
        if chunk.events:
            return chunk
        chunk.status = ChunkStatus.DONE
        return None

    def split(self, chunk: Chunk, groups: Sequence[tuple[Event, ...]]) -> list[Chunk]:
        """Replace *chunk* by one chunk for each of *groups*, which hold all its events in order."""
        chunks = [chunk.part(group) for group in groups]
        last = chunks[-1]
        last.upto, last.filtered = chunk.upto, chunk.filtered
        last.noted, last.notes, last.emitted = chunk.noted, chunk.notes, chunk.emitted
        for dead_letter in chunk.dead:
            # Each with the chunk that covers it, or the position could pass a dead letter that is not stored.
            next(new for new in chunks if dead_letter.sequence <= new.upto).dead.append(dead_letter)
        at = self._chunks.index(chunk)
        self._chunks[at : at + 1] = chunks
        return chunks

    def finished(self) -> FinishedPrefix | None:
        """Sum up and seal the finished prefix; ``None`` where there is none."""
        count = 0
        dead: list[DeadLetter] = []
        filtered: Counter[str] = Counter()
        noted = 0
        notes: dict[str, None] = {}
        emitted: dict[str, str] = {}
        for chunk in self._chunks:
            if chunk.status is not ChunkStatus.DONE:
                break
            count += 1
            chunk.sealed = True
            dead += chunk.dead
            filtered += chunk.filtered
            noted += chunk.noted
            notes |= chunk.notes
            emitted |= chunk.emitted
        if not count:
            return None
        dead.sort(key=lambda dead_letter: dead_letter.sequence)
        upto = self._chunks[count - 1].upto
        return FinishedPrefix(count, upto, tuple(dead), filtered, noted, tuple(notes), emitted)

    def release(self, prefix: FinishedPrefix) -> None:
        """Forget what is durable. Chunks that finished since *prefix* was taken stay."""
        del self._chunks[: prefix.chunks]


def _extend(chunk: Chunk, batch: Batch) -> None:
    chunk.upto = batch.upto
    chunk.filtered.update(batch.filtered)
    chunk.noted += batch.noted
    chunk.notes |= dict.fromkeys(batch.notes)
