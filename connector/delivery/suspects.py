"""Suspects: is an event to blame for a refusal or failure, or the collector? Pure.

Two questions, two classes. ``Suspects`` handles requests that the collector *refused as data*: an event that
was refused alone becomes a dead letter once the collector accepts another event. ``PoisonSearch`` handles
requests that *fail* without saying why (403 of a firewall, 500 of a parser, a reset, a time-out): one
poisoned event makes every request with it look like an outage.
"""

from __future__ import annotations

from collections.abc import Iterable

from connector.delivery.in_flight import Chunk, ChunkStatus
from connector.delivery.retry_policy import Random, RetryPolicy
from connector.values import dataclass

_SEVERAL = 3
"""More events than this that the collector itself keeps asking for again are no property of the events: one
unavailable shard of Elasticsearch answers 503 for every document routed to it."""

_PATIENCE_PER_ITEM = 3600.0
"""Seconds that a collector may keep asking for the same event again. A shard recovers within minutes; a
document that trips a memory circuit breaker (429 for this document only) never does."""


_RUN = 2
"""Failures in a row of one event that a trial takes; see ``PoisonSearch``."""


@dataclass(frozen=True, slots=True)
class Suspect:
    """A chunk of one event that was refused alone, and why."""

    chunk: Chunk
    reason: str
    answer: str


class Suspects:
    """One run of refusals with nothing accepted in between."""

    def __init__(self) -> None:
        self.refusals = 0
        self._suspects: list[Suspect] = []
        self._may_decide_on_idle = True

    def __bool__(self) -> bool:
        return bool(self._suspects)

    def __len__(self) -> int:
        return len(self._suspects)

    def refused(self, count: int = 1) -> None:
        """Count a refused request, or *count* events that were refused one by one."""
        self.refusals += count

    def add(self, suspect: Suspect) -> None:
        """Keep an event that was refused alone."""
        self._suspects.append(suspect)

    def accepted(self) -> list[Suspect]:
        """The collector accepted an event: end the run and return those to dead-letter."""
        self.refusals = 0
        self._may_decide_on_idle = True
        return self._take_all()

    def retry_all(self) -> list[Suspect]:
        """Return every suspect, to be sent once more. The run continues."""
        return self._take_all()

    def release_all(self) -> list[Suspect]:
        """The collector refuses everything: end the run and return every suspect, none to dead-letter."""
        self.refusals = 0
        return self._take_all()

    def on_idle(self) -> list[Suspect] | None:
        """Nothing else is left to send. Return those to dead-letter; ``None``: retry them first.

        A refused event at the end of the journal should not wait for the next message. The collector gets
        this benefit once; then it has to accept something before an idle time dead-letters again.
        """
        if not self._may_decide_on_idle:
            return None
        self._may_decide_on_idle = False
        return self._take_all()

    def _take_all(self) -> list[Suspect]:
        suspects, self._suspects = self._suspects, []
        return suspects


class PoisonSearch:
    """Finds the event that makes requests fail, without ever mistaking an outage for it.

    After ``policy.halve_after`` failures one event of the request probes alone. When the very next request,
    without the failing events, is accepted, that is a *contrast*: from then on these events are to blame, and
    the request is halved until one event is left. That event stands *trial*: it is sent alone until it failed
    twice in a row, then another event is sent. If that one is accepted, the trial counts; if it fails, the
    collector is to blame and all evidence is dropped. ``policy.proof`` trials make a dead letter. Twice in a
    row, because behind a load balancer with one broken node of two every second request fails.

    A collector that is down yields no contrast, so the order of events is kept: only an event that failed for
    ``policy.overtake_after`` seconds is overtaken, in case that it alone is the cause.
    """

    def __init__(self, policy: RetryPolicy, random: Random) -> None:
        self._policy = policy
        self._random = random
        self._outages = 0

    def failed(
        self,
        chunk: Chunk,
        answer: str,
        in_flight: Iterable[Chunk],
        outages: int,
        now: float,
        *,
        per_item: bool = False,
    ) -> None:
        """Note that a request with the events of *chunk* failed with *answer*.

        *outages* counts failures to reach the collector at all: one of them between a failure and an
        acceptance shows that the collector was away, so the pair is no evidence. *per_item*: the request
        worked, and the collector asked for each of its events again.
        """
        for other in in_flight:
            if other is not chunk and other.failures:
                other.awaits_control = False
                if chunk.status is not ChunkStatus.SUSPECT:
                    other.contrasts = other.trials = other.run = 0
        chunk.failures += 1
        chunk.answer = answer
        chunk.per_item = per_item
        chunk.awaits_control = True
        chunk.last_failed = now
        chunk.failing_since = now if chunk.failing_since is None else chunk.failing_since
        self._outages = outages
        if len(chunk.events) == 1:
            chunk.run += 1
            long_enough = now - chunk.failing_since >= self._policy.overtake_after
            if chunk.contrasts or long_enough:
                chunk.status = ChunkStatus.SUSPECT

    def to_blame(self, chunk: Chunk) -> bool:
        """Whether evidence points at *chunk*, so that its failure says nothing about the collector."""
        return chunk.contrasts > 0

    def cut(self, chunk: Chunk) -> int:
        """After how many events *chunk*, which failed, is to be cut in two; 0: not at all."""
        if self.to_blame(chunk):
            return len(chunk.events) // 2
        return 1 if len(chunk.events) > 1 and chunk.failures >= self._policy.halve_after else 0

    def needs_control(self, chunk: Chunk) -> bool:
        """Whether the next request should be one without *chunk*, to see if the collector accepts it."""
        return (
            chunk.status is ChunkStatus.SUSPECT
            and chunk.awaits_control
            and chunk.run >= _RUN
            and (chunk.trials < self._policy.proof or self._patience_over(chunk))
        )

    def on_trial(self, chunk: Chunk) -> bool:
        """Whether *chunk* should be sent as soon as there are events to compare it with."""
        return chunk.trials < self._policy.proof

    def waits_out(self, chunk: Chunk) -> bool:
        """Whether *chunk* is known to be what fails, and the collector gets time to accept it after all."""
        return chunk.status is ChunkStatus.SUSPECT and chunk.per_item and chunk.trials >= self._policy.proof

    def accepted(self, in_flight: Iterable[Chunk], outages: int) -> list[Chunk]:
        """Note that a request was accepted; return the chunks whose one event is proven to be poison."""
        chunks = [chunk for chunk in in_flight if chunk.failures and chunk.status is not ChunkStatus.DONE]
        for chunk in chunks:
            if chunk.awaits_control:
                self._contrast(chunk, evident=outages == self._outages)
        several = sum(chunk.status is ChunkStatus.SUSPECT and chunk.per_item for chunk in chunks) > _SEVERAL
        return [chunk for chunk in chunks if self._proven(chunk, several=several)]

    def _contrast(self, chunk: Chunk, *, evident: bool) -> None:
        chunk.awaits_control = False
        if evident:
            chunk.contrasts += 1
            chunk.trials += chunk.run >= _RUN
            # A collector that fails in a regular pattern must not meet a regular pattern.
            chunk.rests = int(self._random() * 3)
        chunk.run = 0

    def _proven(self, chunk: Chunk, *, several: bool) -> bool:
        if chunk.status is not ChunkStatus.SUSPECT or chunk.trials < self._policy.proof:
            return False
        return not chunk.per_item or (not several and self._patience_over(chunk))

    @staticmethod
    def _patience_over(chunk: Chunk) -> bool:
        since = chunk.failing_since
        return chunk.per_item and since is not None and chunk.last_failed - since >= _PATIENCE_PER_ITEM
