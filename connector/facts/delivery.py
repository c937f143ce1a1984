"""Facts: what became of batches and events."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TypeAlias


@dataclass(frozen=True, slots=True)
class OutputStarted:
    """Delivery to an output is about to begin."""

    output: str


@dataclass(frozen=True, slots=True)
class BatchSending:
    """A batch is about to be sent."""

    output: str
    events: int
    bytes: int


@dataclass(frozen=True, slots=True)
class BatchSent:
    """A send returned. *accepted* counts events; *newest* is the latest event time among them."""

    output: str
    accepted: int
    rejected: int
    retry: int
    duplicates: int
    bytes: int
    seconds: float
    newest: datetime | None


@dataclass(frozen=True, slots=True)
class BatchRetried:
    """A send failed and will be repeated after *after* seconds."""

    output: str
    reason: str
    attempt: int
    after: float
    asked: float | None


@dataclass(frozen=True, slots=True)
class BatchSplit:
    """A refused batch is sent again in parts."""

    output: str
    events: int
    reason: str


@dataclass(frozen=True, slots=True)
class EventsFiltered:
    """Revisions that an output does not want: *reason* is when, emit, max_age or addressed."""

    output: str
    count: int
    reason: str


@dataclass(frozen=True, slots=True)
class MappingWarnings:
    """Events that were shortened or had values which did not fit their target."""

    output: str
    count: int
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class EventDeadLettered:
    """A revision became a dead letter."""

    output: str
    sequence: int
    reason: str
    answer: str


@dataclass(frozen=True, slots=True)
class OutputHeld:
    """An output waits for a person."""

    output: str
    reason: str


@dataclass(frozen=True, slots=True)
class OutputReleased:
    """An output works again."""

    output: str
    seconds: float


@dataclass(frozen=True, slots=True)
class HeartbeatSent:
    """The collector took a heartbeat."""

    output: str
    seconds: float


@dataclass(frozen=True, slots=True)
class HeartbeatRefused:
    """The collector refused a heartbeat as data, or its mapping failed: it is left out."""

    output: str
    reason: str


@dataclass(frozen=True, slots=True)
class OutputConnected:
    """An output opened a connection."""

    output: str
    peer: str


@dataclass(frozen=True, slots=True)
class EventsResent:
    """An output sent events once more whose arrival was in doubt when a connection broke."""

    output: str
    count: int
    bytes: int


@dataclass(frozen=True, slots=True)
class AcknowledgementDowngraded:
    """An output goes on with a weaker acknowledgement than it could ask for; *reason* says what to do."""

    output: str
    reason: str


@dataclass(frozen=True, slots=True)
class OutputPosition:
    """How far an output is: *position* of *head*."""

    output: str
    position: int
    head: int


DeliveryFact: TypeAlias = (
    OutputStarted
    | BatchSending
    | BatchSent
    | BatchRetried
    | BatchSplit
    | EventsFiltered
    | MappingWarnings
    | EventDeadLettered
    | OutputHeld
    | OutputReleased
    | HeartbeatSent
    | HeartbeatRefused
    | OutputConnected
    | EventsResent
    | AcknowledgementDowngraded
    | OutputPosition
)
