"""What may be observed. Each fact is one frozen value; telemetry makes log line, metric and status of it.

Rooms report facts through the injected ``observe`` and never touch logs or metrics themselves. Facts
also serve as crash points: a test's ``observe`` may end the process at any of them. They hold no
secret and no text of a mail. Durations are seconds, sizes bytes.
"""

from __future__ import annotations

from typing import TypeAlias

from connector.facts.collection import (
    ClockPulledBack,
    CollectionFact,
    CollectionFailed,
    CollectionPaused,
    CollectionRecovered,
    FeedCaughtUp,
    GapRecorded,
    PageCollected,
    RecordLate,
    RecordLeft,
    SearchChanged,
    SliceBegun,
    SliceCollected,
    SliceHalved,
)
from connector.facts.delivery import (
    BatchRetried,
    BatchSending,
    BatchSent,
    BatchSplit,
    DeliveryFact,
    EventBuried,
    EventsFiltered,
    EventsNoted,
    EventsRepeated,
    HoldBegun,
    HoldEnded,
    OutputConnected,
    OutputPosition,
)
from connector.facts.journal import (
    BacklogSkipped,
    JournalAcknowledged,
    JournalCommitted,
    JournalCommitting,
    JournalFact,
    JournalStuck,
    JournalTrimmed,
)
from connector.facts.process import (
    ConfigurationNoted,
    DaemonStarted,
    DaemonStopped,
    DaemonStopping,
    LoopBeat,
    ProcessFact,
    WorkerFailed,
)
from connector.facts.source import (
    BudgetLeft,
    BudgetWaited,
    ClockSkewed,
    PageDecoded,
    RateLimited,
    RequestAnswered,
    RequestRetried,
    SearchPending,
    SourceFact,
    WalkEnded,
)

Fact: TypeAlias = SourceFact | CollectionFact | JournalFact | DeliveryFact | ProcessFact

__all__ = [
    "BacklogSkipped",
    "BatchRetried",
    "BatchSending",
    "BatchSent",
    "BatchSplit",
    "BudgetLeft",
    "BudgetWaited",
    "ClockPulledBack",
    "ClockSkewed",
    "CollectionFact",
    "CollectionFailed",
    "CollectionPaused",
    "CollectionRecovered",
    "ConfigurationNoted",
    "DaemonStarted",
    "DaemonStopped",
    "DaemonStopping",
    "DeliveryFact",
    "EventBuried",
    "EventsFiltered",
    "EventsNoted",
    "EventsRepeated",
    "Fact",
    "FeedCaughtUp",
    "GapRecorded",
    "HoldBegun",
    "HoldEnded",
    "JournalAcknowledged",
    "JournalCommitted",
    "JournalCommitting",
    "JournalFact",
    "JournalStuck",
    "JournalTrimmed",
    "LoopBeat",
    "OutputConnected",
    "OutputPosition",
    "PageCollected",
    "PageDecoded",
    "ProcessFact",
    "RateLimited",
    "RecordLate",
    "RecordLeft",
    "RequestAnswered",
    "RequestRetried",
    "SearchChanged",
    "SearchPending",
    "SliceBegun",
    "SliceCollected",
    "SliceHalved",
    "SourceFact",
    "WalkEnded",
    "WorkerFailed",
]
