"""Facts about what an operator did with a command."""

from __future__ import annotations

from typing import ClassVar

from connector.facts.base import Fact, Level, fact
from connector.model import Feed


@fact
class OutputRewound(Fact):
    """An operator moved an output back to *position*; it sends *revisions* again."""

    event: ClassVar[str] = "output_rewound"
    level: ClassVar[Level] = "warning"

    output: str
    position: int
    revisions: int


@fact
class FeedForgotten(Fact):
    """An operator deleted the checkpoints, gaps and seen records of a feed; it starts over."""

    event: ClassVar[str] = "feed_forgotten"
    level: ClassVar[Level] = "warning"

    feed: Feed
    rows: int


@fact
class DeadLettersReplayed(Fact):
    """An operator queued *count* dead letters of an output for delivery."""

    event: ClassVar[str] = "dead_letters_replayed"
    level: ClassVar[Level] = "warning"

    output: str
    count: int


@fact
class QuarantinedReplayed(Fact):
    """An operator made records of *count* quarantined items of a feed and queued them for delivery."""

    event: ClassVar[str] = "quarantined_replayed"
    level: ClassVar[Level] = "warning"

    feed: Feed
    count: int


@fact
class QuarantinedPurged(Fact):
    """An operator deleted *count* quarantined items of a feed."""

    event: ClassVar[str] = "quarantined_purged"
    level: ClassVar[Level] = "warning"

    feed: Feed
    count: int


@fact
class DeadLettersPurged(Fact):
    """An operator deleted *count* dead letters of an output."""

    event: ClassVar[str] = "dead_letters_purged"
    level: ClassVar[Level] = "warning"

    output: str
    count: int
