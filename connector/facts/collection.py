"""Facts: what sweeping a feed showed."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TypeAlias

from connector.model import Feed, Gap


@dataclass(frozen=True, slots=True)
class FeedStarted:
    """A feed is about to be collected; it is fresh for *fresh_within* s after it reached the present."""

    feed: Feed
    fresh_within: float


@dataclass(frozen=True, slots=True)
class SliceStarted:
    """A slice of a sweep is about to be walked."""

    feed: Feed
    sweep: str
    since: datetime
    until: datetime


@dataclass(frozen=True, slots=True)
class PageCollected:
    """A page was compared with what was seen and is durable.

    *completed* counts records in the same state whose enrichment was missing and came now.
    """

    feed: Feed
    sweep: str
    records: int
    new: int
    changed: int
    repeated: int
    outside: int
    completed: int = 0


@dataclass(frozen=True, slots=True)
class SliceCollected:
    """A slice is complete and its checkpoint durable."""

    feed: Feed
    sweep: str
    since: datetime
    until: datetime
    records: int
    seconds: float


@dataclass(frozen=True, slots=True)
class RecordLate:
    """A record was found that an earlier sweep of its time missed: by between *least* and *most* s."""

    feed: Feed
    sweep: str
    least: float
    most: float


@dataclass(frozen=True, slots=True)
class RecordDisappeared:
    """A seen record no longer comes with its search. *outcome*: changed, same, gone, unknown."""

    feed: Feed
    outcome: str


@dataclass(frozen=True, slots=True)
class WindowSplit:
    """A slice could not be walked and is cut in two."""

    feed: Feed
    sweep: str
    seconds: float
    reason: str


@dataclass(frozen=True, slots=True)
class CollectionFailed:
    """A walk failed and will be tried again. *kind* is the error's public name."""

    feed: Feed
    sweep: str
    kind: str
    reason: str
    attempt: int
    after: float


@dataclass(frozen=True, slots=True)
class CollectionRecovered:
    """The first success after failures."""

    feed: Feed
    sweep: str
    attempts: int


@dataclass(frozen=True, slots=True)
class CollectionPaused:
    """The journal has no room; collection waits. *outputs* names who is over the limit."""

    feed: Feed
    reason: str
    outputs: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class FeedCaughtUp:
    """The live sweep's checkpoint reached the present: nothing older is left to ask for."""

    feed: Feed
    checkpoint: datetime


@dataclass(frozen=True, slots=True)
class GapRecorded:
    """A feed skipped time; *advice* is the command that reads it all the same."""

    feed: Feed
    gap: Gap
    advice: str = ""


@dataclass(frozen=True, slots=True)
class GapRepaired:
    """*gap*, or a part of one, was read after all."""

    feed: Feed
    gap: Gap


@dataclass(frozen=True, slots=True)
class CheckpointPulledBack:
    """A checkpoint in the future was pulled back."""

    feed: Feed
    sweep: str
    seconds: float


@dataclass(frozen=True, slots=True)
class SearchChanged:
    """A feed asks something else from *since* on; *advice* is the command that reads older time with it."""

    feed: Feed
    since: datetime
    advice: str


@dataclass(frozen=True, slots=True)
class BackfillStarted:
    """A backfill from *start* to *end* begins at *position*, or goes on there."""

    feed: Feed
    number: int
    start: datetime
    end: datetime
    position: datetime


@dataclass(frozen=True, slots=True)
class BackfillProgressed:
    """A backfill has read everything before *position*: so many records, and told so many revisions."""

    feed: Feed
    number: int
    position: datetime
    read: int
    revisions: int


@dataclass(frozen=True, slots=True)
class BackfillEnded:
    """A backfill is *complete*, or was dropped; what it found by then."""

    feed: Feed
    number: int
    start: datetime
    end: datetime
    complete: bool
    slices: int
    read: int
    new: int
    changed: int
    known: int
    again: int


CollectionFact: TypeAlias = (
    FeedStarted
    | SliceStarted
    | PageCollected
    | SliceCollected
    | RecordLate
    | RecordDisappeared
    | WindowSplit
    | CollectionFailed
    | CollectionRecovered
    | CollectionPaused
    | FeedCaughtUp
    | GapRecorded
    | GapRepaired
    | CheckpointPulledBack
    | SearchChanged
    | BackfillStarted
    | BackfillProgressed
    | BackfillEnded
)
