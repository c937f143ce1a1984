"""What is under way, in journal order: the position moves over the finished beginning only. Pure."""

from __future__ import annotations

import enum
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from connector.delivery.batcher import Batch, Item
from connector.model import DeadLetter


class Status(enum.Enum):
    """What became of a part."""

    OPEN = enum.auto()
    SUSPECT = enum.auto()
    DONE = enum.auto()


@dataclass(slots=True, eq=False)
class Chunk:
    """A batch, or what is left of one after a split: the unit of a send and of the position.

    *attempts* counts sends, those of the batch it was cut from included; *fault* and *faults* name the
    last unknown error and how often it came in a row; *dead*, *filtered* and *notes* wait for the
    position that covers them; *sealed* says that they are being made durable just now.
    """

    batch: int
    items: tuple[Item, ...]
    upto: int
    status: Status = Status.OPEN
    attempts: int = 0
    first_tried: datetime | None = None
    fault: str = ""
    faults: int = 0
    dead: list[DeadLetter] = field(default_factory=list)
    filtered: Counter[str] = field(default_factory=Counter)
    noted: int = 0
    notes: dict[str, None] = field(default_factory=dict)
    sealed: bool = False

    @property
    def bytes(self) -> int:
        """The size of the payloads."""
        return sum(len(item.event.payload) for item in self.items)


@dataclass(frozen=True, slots=True)
class FinishedPrefix:
    """The finished beginning: *upto* where the position may go, and what commits or counts with it."""

    chunks: int
    upto: int
    dead: tuple[DeadLetter, ...]
    filtered: Counter[str]
    noted: int
    notes: tuple[str, ...]


class InFlight:
    """Parts in journal order."""

    def __init__(self) -> None:
        self._chunks: list[Chunk] = []
        self._batches = 0

    @property
    def empty(self) -> bool:
        """Whether all is acknowledged."""
        return not self._chunks

    @property
    def busy(self) -> int:
        """How many batches are unacknowledged for another reason than doubt."""
        return len({chunk.batch for chunk in self._chunks if chunk.status is not Status.SUSPECT})

    def open(self, batch: Batch) -> Chunk | None:
        """Enter *batch*; return the part to send, ``None`` where it has no events."""
        if not batch.items and not batch.dead and self._chunks and not self._chunks[-1].sealed:
            _extend(self._chunks[-1], batch)
            return None
        self._batches += 1
        chunk = Chunk(self._batches, batch.items, batch.upto, dead=list(batch.dead))
        _extend(chunk, batch)
        self._chunks.append(chunk)
        if chunk.items:
            return chunk
        chunk.status = Status.DONE
        return None

    def carve(self, chunk: Chunk, groups: Sequence[tuple[Item, ...]]) -> list[Chunk]:
        """Replace *part* by one part for each of *groups*, which hold all its items in order."""
        chunks = [
            Chunk(
                chunk.batch,
                group,
                group[-1].sequence,
                attempts=chunk.attempts,
                first_tried=chunk.first_tried,
                fault=chunk.fault,
                faults=chunk.faults,
            )
            for group in groups
        ]
        last = chunks[-1]
        last.upto, last.filtered, last.noted, last.notes = (
            chunk.upto,
            chunk.filtered,
            chunk.noted,
            chunk.notes,
        )
        for letter in chunk.dead:
            # Each with the part that covers it: else the position could pass a letter that is not stored.
            next(new for new in chunks if letter.sequence <= new.upto).dead.append(letter)
        at = self._chunks.index(chunk)
        self._chunks[at : at + 1] = chunks
        return chunks

    def finished(self) -> FinishedPrefix | None:
        """Sum up and seal the finished beginning; ``None`` where there is none."""
        count = 0
        dead: list[DeadLetter] = []
        filtered: Counter[str] = Counter()
        noted = 0
        notes: dict[str, None] = {}
        for chunk in self._chunks:
            if chunk.status is not Status.DONE:
                break
            count += 1
            chunk.sealed = True
            dead += chunk.dead
            filtered += chunk.filtered
            noted += chunk.noted
            notes |= chunk.notes
        if not count:
            return None
        dead.sort(key=lambda letter: letter.sequence)
        return FinishedPrefix(count, self._chunks[count - 1].upto, tuple(dead), filtered, noted, tuple(notes))

    def release(self, prefix: FinishedPrefix) -> None:
        """Forget what is durable. Parts that finished since *covered* was taken stay."""
        del self._chunks[: prefix.chunks]


def _extend(chunk: Chunk, batch: Batch) -> None:
    chunk.upto = batch.upto
    chunk.filtered.update(batch.filtered)
    chunk.noted += batch.noted
    chunk.notes |= dict.fromkeys(batch.notes)
