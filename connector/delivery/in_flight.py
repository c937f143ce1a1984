"""What is under way, in journal order: the position moves over the finished beginning only. Pure."""

from __future__ import annotations

import enum
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from connector.delivery.batcher import Batch, Item
from connector.model import DeadLetter


class Fate(enum.Enum):
    """What became of a part."""

    OPEN = enum.auto()
    DOUBTFUL = enum.auto()
    DONE = enum.auto()


@dataclass(slots=True, eq=False)
class Part:
    """A batch, or what is left of one after a split: the unit of a send and of the position.

    *attempts* counts sends, those of the batch it was cut from included; *fault* and *faults* name the
    last unknown error and how often it came in a row; *dead*, *filtered* and *notes* wait for the
    position that covers them; *sealed* says that they are being made durable just now.
    """

    batch: int
    items: tuple[Item, ...]
    upto: int
    fate: Fate = Fate.OPEN
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
class Covered:
    """The finished beginning: *upto* where the position may go, and what commits or counts with it."""

    parts: int
    upto: int
    dead: tuple[DeadLetter, ...]
    filtered: Counter[str]
    noted: int
    notes: tuple[str, ...]


class Ledger:
    """Parts in journal order."""

    def __init__(self) -> None:
        self._parts: list[Part] = []
        self._batches = 0

    @property
    def empty(self) -> bool:
        """Whether all is acknowledged."""
        return not self._parts

    @property
    def busy(self) -> int:
        """How many batches are unacknowledged for another reason than doubt."""
        return len({part.batch for part in self._parts if part.fate is not Fate.DOUBTFUL})

    def open(self, batch: Batch) -> Part | None:
        """Enter *batch*; return the part to send, ``None`` where it has no events."""
        if not batch.items and not batch.dead and self._parts and not self._parts[-1].sealed:
            _extend(self._parts[-1], batch)
            return None
        self._batches += 1
        part = Part(self._batches, batch.items, batch.upto, dead=list(batch.dead))
        _extend(part, batch)
        self._parts.append(part)
        if part.items:
            return part
        part.fate = Fate.DONE
        return None

    def carve(self, part: Part, groups: Sequence[tuple[Item, ...]]) -> list[Part]:
        """Replace *part* by one part for each of *groups*, which hold all its items in order."""
        parts = [
            Part(
                part.batch, group, group[-1].sequence,
                attempts=part.attempts, first_tried=part.first_tried, fault=part.fault, faults=part.faults,
            )
            for group in groups
        ]  # fmt: skip
        last = parts[-1]
        last.upto, last.filtered, last.noted, last.notes = part.upto, part.filtered, part.noted, part.notes
        for letter in part.dead:
            # Each with the part that covers it: else the position could pass a letter that is not stored.
            next(new for new in parts if letter.sequence <= new.upto).dead.append(letter)
        at = self._parts.index(part)
        self._parts[at : at + 1] = parts
        return parts

    def finished(self) -> Covered | None:
        """Sum up and seal the finished beginning; ``None`` where there is none."""
        count = 0
        dead: list[DeadLetter] = []
        filtered: Counter[str] = Counter()
        noted = 0
        notes: dict[str, None] = {}
        for part in self._parts:
            if part.fate is not Fate.DONE:
                break
            count += 1
            part.sealed = True
            dead += part.dead
            filtered += part.filtered
            noted += part.noted
            notes |= part.notes
        if not count:
            return None
        dead.sort(key=lambda letter: letter.sequence)
        return Covered(count, self._parts[count - 1].upto, tuple(dead), filtered, noted, tuple(notes))

    def release(self, covered: Covered) -> None:
        """Forget what is durable. Parts that finished since *covered* was taken stay."""
        del self._parts[: covered.parts]


def _extend(part: Part, batch: Batch) -> None:
    part.upto = batch.upto
    part.filtered.update(batch.filtered)
    part.noted += batch.noted
    part.notes |= dict.fromkeys(batch.notes)
