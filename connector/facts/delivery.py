"""Facts about outputs: batches, dead letters, holds and heartbeats."""

from __future__ import annotations

from datetime import datetime
from typing import ClassVar, Final

from connector.facts.base import Fact, Level, fact

NO_FILTERS: Final = frozenset({"addressed", "actions"})
"""Reasons of ``EventsFiltered`` that say nothing of the output's filters."""


@fact
class OutputStarted(Fact):
    """Delivery to an output starts."""

    event: ClassVar[str] = "output_started"

    output: str


@fact
class BatchSending(Fact):
    """A batch is about to be sent."""

    event: ClassVar[str] = "batch_sending"

    output: str
    events: int
    bytes: int


@fact
class BatchSent(Fact):
    """The collector answered a batch. Counts are events; *newest* is the latest accepted event time."""

    event: ClassVar[str] = "batch_sent"

    output: str
    accepted: int
    rejected: int
    retry: int
    duplicates: int
    bytes: int
    seconds: float
    newest: datetime | None


@fact
class BatchRetried(Fact):
    """A batch failed and is retried after *after* seconds. *asked* is the wait the collector asked for."""

    event: ClassVar[str] = "batch_retried"
    level: ClassVar[Level] = "warning"

    output: str
    reason: str
    attempt: int
    after: float
    asked: float | None


@fact
class OutputRetryAfterCapped(Fact):
    """The collector asked to wait *asked* seconds, more than is accepted; the output waits *granted*."""

    event: ClassVar[str] = "output_retry_after_capped"
    level: ClassVar[Level] = "warning"

    output: str
    asked: float
    granted: float


@fact
class OutputProbed(Fact):
    """An idle output's collector was checked and works."""

    event: ClassVar[str] = "output_probed"

    output: str


@fact
class BatchSplit(Fact):
    """The collector refused a batch; its events are sent again in smaller batches."""

    event: ClassVar[str] = "batch_split"
    level: ClassVar[Level] = "warning"

    output: str
    events: int
    reason: str


@fact
class BatchPartlyRejected(Fact):
    """The collector rejected *rejected* of *events* for good and does not say which; it took the others.

    None is sent again; all of them become dead letters with the reason `partial_success`.
    """

    event: ClassVar[str] = "batch_partly_rejected"
    level: ClassVar[Level] = "error"

    output: str
    rejected: int
    events: int
    reason: str


@fact
class EventsFiltered(Fact):
    """Events not sent.

    *reason*: a filter (`when`, `max_age`, `emit`, `group_by`, `throttle`), or `addressed` (a replay for
    another output), or `actions` (an audit event of response actions, where the output has `actions: false`).
    """

    event: ClassVar[str] = "events_filtered"

    output: str
    count: int
    reason: str


@fact
class EverythingFiltered(Fact):
    """An output's filters left out all *count* revisions of the last *seconds*: nothing was sent."""

    event: ClassVar[str] = "everything_filtered"
    level: ClassVar[Level] = "warning"

    output: str
    count: int
    seconds: float


@fact
class MappingWarnings(Fact):
    """Events that were shortened, or that left out values which did not fit their target field."""

    event: ClassVar[str] = "mapping_warnings"

    output: str
    count: int
    notes: tuple[str, ...]


@fact
class EventDeadLettered(Fact):
    """An event could not be delivered and was stored as a dead letter.

    *reason*: `refused`, `rejected`, `mapping`, `too_large`, `bug`, `poison` or `partial_success`.
    """

    event: ClassVar[str] = "event_dead_lettered"
    level: ClassVar[Level] = "error"

    output: str
    sequence: int
    reason: str
    answer: str


@fact
class OutputHeld(Fact):
    """An output is held: it sends nothing but probes until the cause in *reason* is fixed."""

    event: ClassVar[str] = "output_held"
    level: ClassVar[Level] = "error"

    output: str
    reason: str


@fact
class OutputReleased(Fact):
    """A held output works again after *seconds*."""

    event: ClassVar[str] = "output_released"
    level: ClassVar[Level] = "info"

    output: str
    seconds: float


@fact
class HeartbeatSent(Fact):
    """The collector accepted a heartbeat."""

    event: ClassVar[str] = "heartbeat_sent"

    output: str
    seconds: float


@fact
class HeartbeatRefused(Fact):
    """A heartbeat was dropped: the collector refused its content, or mapping it failed."""

    event: ClassVar[str] = "heartbeat_refused"
    level: ClassVar[Level] = "error"

    output: str
    reason: str


@fact
class DigestSent(Fact):
    """The collector accepted a digest of *count* events that `throttle` or `group_by` left out."""

    event: ClassVar[str] = "digest_sent"

    output: str
    count: int
    seconds: float


@fact
class DigestRefused(Fact):
    """A digest of *count* throttled events was dropped: the collector refused it, or mapping it failed."""

    event: ClassVar[str] = "digest_refused"
    level: ClassVar[Level] = "error"

    output: str
    count: int
    reason: str


@fact
class OutputConnected(Fact):
    """An output opened a connection to *peer*."""

    event: ClassVar[str] = "output_connected"
    level: ClassVar[Level] = "info"

    output: str
    peer: str


@fact
class EventsResent(Fact):
    """A connection broke before the collector confirmed these events, so the output sent them again."""

    event: ClassVar[str] = "events_resent"
    level: ClassVar[Level] = "info"

    output: str
    count: int
    bytes: int


@fact
class ResendAbandoned(Fact):
    """An event broke every connection on which it was sent again, *breaks* times, while others passed.

    It counts as sent since it was first sent, but the collector probably never received it: it becomes a dead
    letter.
    """

    event: ClassVar[str] = "resend_abandoned"
    level: ClassVar[Level] = "error"

    output: str
    identity: str
    breaks: int
    reason: str


@fact
class AcknowledgementDowngraded(Fact):
    """An output uses a weaker acknowledgement than the collector could offer. *reason* says how to fix it."""

    event: ClassVar[str] = "acknowledgement_downgraded"
    level: ClassVar[Level] = "warning"

    output: str
    reason: str


@fact
class EventsDiverted(Fact):
    """The collector stored *count* events elsewhere than asked (failure store). *reason* says where."""

    event: ClassVar[str] = "events_diverted"
    level: ClassVar[Level] = "warning"

    output: str
    count: int
    reason: str


@fact
class OutputWarning(Fact):
    """An output works, but not as its configuration suggests; *reason* says what to do."""

    event: ClassVar[str] = "output_warning"
    level: ClassVar[Level] = "warning"

    output: str
    reason: str


@fact
class OutputPosition(Fact):
    """The output has delivered everything up to sequence number *position*; the newest is *head*."""

    event: ClassVar[str] = "output_position"

    output: str
    position: int
    head: int
