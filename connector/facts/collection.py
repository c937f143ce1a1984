"""Facts about collecting feeds: slices, pages, gaps and backfills."""

from __future__ import annotations

from datetime import datetime
from typing import ClassVar

from connector.facts.base import Fact, Level, fact
from connector.model import Feed, Gap


@fact
class FeedStarted(Fact):
    """Collection of a feed starts. It counts as fresh for *fresh_within* seconds after it catches up."""

    event: ClassVar[str] = "feed_started"

    feed: Feed
    fresh_within: float


@fact
class SliceStarted(Fact):
    """The search for one slice of a sweep starts."""

    event: ClassVar[str] = "slice_started"

    feed: Feed
    sweep: str
    since: datetime
    until: datetime


@fact
class PageCollected(Fact):
    """One page was compared with the records already seen and stored.

    *outside* counts records whose scan time lies outside the window, *completed* records that had not changed
    but whose missing enrichment arrived.
    """

    event: ClassVar[str] = "page_collected"

    feed: Feed
    sweep: str
    records: int
    new: int
    changed: int
    repeated: int
    outside: int
    completed: int = 0


@fact
class SliceCollected(Fact):
    """A slice is complete and its checkpoint is stored."""

    event: ClassVar[str] = "slice_collected"

    feed: Feed
    sweep: str
    since: datetime
    until: datetime
    records: int
    seconds: float


@fact
class RecordIdReused(Fact):
    """The API returned another message (time, sender or subject differ) under the id of a known one.

    Both are delivered. *record* is the id; reported once for each such message.
    """

    event: ClassVar[str] = "record_id_reused"
    level: ClassVar[Level] = "warning"

    feed: Feed
    record: str


@fact
class RecordQuarantined(Fact):
    """An item of a page cannot become a record. Its bytes are stored; ``quarantine`` shows and replays them.

    The same bytes are stored and reported once.
    """

    event: ClassVar[str] = "record_quarantined"
    level: ClassVar[Level] = "warning"

    feed: Feed
    reason: str
    size: int


@fact
class RecordLate(Fact):
    """A record became searchable only after an earlier sweep had read its time.

    It was between *least* and *most* seconds late.
    """

    event: ClassVar[str] = "record_late"

    feed: Feed
    sweep: str
    least: float
    most: float


@fact
class RecordDisappeared(Fact):
    """A record seen before is missing from its search.

    The API was asked for it again, without the filters. *outcome*: `changed`, `same` (the API has it
    unchanged), `gone` (the API does not have it), or `unknown` (the request failed).
    """

    event: ClassVar[str] = "record_disappeared"

    feed: Feed
    outcome: str


@fact
class WindowSplit(Fact):
    """A window could not be searched to its end; the connector searches its two halves instead."""

    event: ClassVar[str] = "window_split"
    level: ClassVar[Level] = "info"

    feed: Feed
    sweep: str
    seconds: float
    reason: str


@fact
class CollectionFailed(Fact):
    """A search failed and is retried after *after* seconds.

    *kind*: `unavailable`, `denied`, `bad_query` or `search_incomplete`.
    """

    event: ClassVar[str] = "collection_failed"
    level: ClassVar[Level] = "warning"

    feed: Feed
    sweep: str
    kind: str
    reason: str
    attempt: int
    after: float


@fact
class CollectionRecovered(Fact):
    """The first search succeeded after *attempts* failures."""

    event: ClassVar[str] = "collection_recovered"
    level: ClassVar[Level] = "info"

    feed: Feed
    sweep: str
    attempts: int


@fact
class CollectionPaused(Fact):
    """Collection waits: the journal has no room. *outputs* names the outputs at their backlog limit."""

    event: ClassVar[str] = "collection_paused"
    level: ClassVar[Level] = "warning"

    feed: Feed
    reason: str
    outputs: tuple[str, ...]


@fact
class FeedCaughtUp(Fact):
    """The live sweep reached the present."""

    event: ClassVar[str] = "feed_caught_up"

    feed: Feed
    checkpoint: datetime


@fact
class GapRecorded(Fact):
    """A feed skipped a time range. *advice* is the command that collects it."""

    event: ClassVar[str] = "gap_recorded"
    level: ClassVar[Level] = "error"

    feed: Feed
    gap: Gap
    advice: str = ""


@fact
class GapRepaired(Fact):
    """A gap, or part of one, was collected."""

    event: ClassVar[str] = "gap_repaired"
    level: ClassVar[Level] = "info"

    feed: Feed
    gap: Gap


@fact
class CheckpointPulledBack(Fact):
    """A checkpoint was *seconds* in the future and was reset to the present."""

    event: ClassVar[str] = "checkpoint_pulled_back"
    level: ClassVar[Level] = "warning"

    feed: Feed
    sweep: str
    seconds: float


@fact
class SearchChanged(Fact):
    """The filters of a search changed; they apply from *since* on.

    *advice* is the command that collects the time before with the new filters.
    """

    event: ClassVar[str] = "search_changed"
    level: ClassVar[Level] = "warning"

    feed: Feed
    since: datetime
    advice: str


@fact
class BackfillStarted(Fact):
    """A backfill from *start* to *end* starts, or resumes, at *position*."""

    event: ClassVar[str] = "backfill_started"
    level: ClassVar[Level] = "info"

    feed: Feed
    number: int
    start: datetime
    end: datetime
    position: datetime


@fact
class BackfillProgressed(Fact):
    """A backfill has collected everything before *position*.

    It read *read* records and stored *revisions* for delivery.
    """

    event: ClassVar[str] = "backfill_progressed"

    feed: Feed
    number: int
    position: datetime
    read: int
    revisions: int


@fact
class BackfillEnded(Fact):
    """A backfill is *complete* or was cancelled, with the records it read by then.

    *known* counts records delivered before and left alone, *again* those delivered once more.
    """

    event: ClassVar[str] = "backfill_ended"
    level: ClassVar[Level] = "info"

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
