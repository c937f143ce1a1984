"""Acknowledges delivery to the journal: the position, with the dead letters it covers, in one transaction."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from contextlib import suppress

from connector.broadcast import Broadcast
from connector.delivery.batch_names import BatchNames
from connector.delivery.circuit import HoldState
from connector.delivery.context import DeliveryContext
from connector.delivery.filter_watch import FilterWatch
from connector.delivery.in_flight import FinishedPrefix, InFlight
from connector.delivery.late_failures import LateFailureTracker
from connector.delivery.reader import PrefetchReader
from connector.errors import DeadLettersFull, JournalError, JournalFull
from connector.facts import (
    NO_FILTERS,
    EventDeadLettered,
    EventsFiltered,
    MappingWarnings,
    OutputPosition,
)
from connector.interfaces import OutputLog
from connector.model import DeadLetter

_SETTLE = 5.0
"""Seconds that the end of a session waits for the journal, whose server may be away."""


class Acknowledger:
    """Moves one output's position over the finished prefix of what is in flight.

    A journal without room, or with as many dead letters as the output may keep, leaves the
    acknowledgement in memory and the output held until it is written: sending more would repeat more than
    one window if the process ended now.

    Args:
        context: what the output's delivery shares.
        log: the journal.
        in_flight: what is being delivered.
        names: forgets the names of batches that are acknowledged.
        hold: the hold of the output.
        notifier: notified when something changed.
        position: the stored position.
        reader: how far the journal was read; it learns what is acknowledged.
        filter_watch: notices when everything is filtered.
        late: what failed after it was acknowledged.
    """

    def __init__(
        self,
        context: DeliveryContext,
        log: OutputLog,
        in_flight: InFlight,
        names: BatchNames,
        hold: HoldState,
        notifier: Broadcast,
        *,
        position: int,
        reader: PrefetchReader,
        filter_watch: FilterWatch,
        late: LateFailureTracker,
    ) -> None:
        self._context = context
        self._log = log
        self._in_flight = in_flight
        self._names = names
        self._hold = hold
        self._notifier = notifier
        self._reader = reader
        self._filter_watch = filter_watch
        self._late = late
        self._uncertain = False
        self.position = position

    @property
    def suspects(self) -> int:
        """How many events were accepted, and their delivery is in doubt since."""
        return len(self._late)

    async def run(self) -> None:
        """Acknowledge until cancelled. Raises ``Moved`` when somebody else moved the position."""
        attempt = 0
        while True:
            prefix = self._in_flight.finished()
            try:
                if not await self._acknowledge(prefix):
                    await self._notifier.wait()
                    continue
            except JournalFull as error:
                attempt += 1
                self._hold.begin("journal", _cause(error))
                await asyncio.sleep(self._context.policy.backoff(attempt, self._context.random))
                continue
            attempt = 0
            self._hold.end("journal")
            self._notifier.notify()

    async def settle(self) -> None:
        """Store what the output learned while it closed.

        Where that fails, the next start finds those suspects that were stored before. A cancelled
        acknowledgement may have been written, and its dead letters must not be written twice.
        """
        if self._uncertain:
            return
        with suppress(JournalError, TimeoutError):
            async with asyncio.timeout(_SETTLE):
                await self._acknowledge(None)

    async def _acknowledge(self, prefix: FinishedPrefix | None) -> bool:
        """Make *prefix* and late failures durable; returns whether there was anything."""
        upto = prefix.upto if prefix else self.position
        self._late.collect()
        change = self._late.change(upto)
        if prefix is None and change is None:
            return False
        late = change.dead if change else ()
        try:
            await self._log.acknowledge(
                self._context.name,
                after=self.position,
                upto=upto,
                dead=(*late, *(prefix.dead if prefix else ())),
                emitted=prefix.emitted if prefix else {},
                suspects=change.suspects if change else None,
            )
        except asyncio.CancelledError:
            self._uncertain = True
            raise
        if change:
            self._late.written(change)
            self._report_dead(late)
        if prefix:
            await self._names.forget(upto)
            self._in_flight.release(prefix)
            self.position = upto
            self._reader.acknowledged(upto)
            self._report(prefix)
        return True

    def _report_dead(self, dead: Iterable[DeadLetter]) -> None:
        name = self._context.name
        for letter in dead:
            self._context.observe(EventDeadLettered(name, letter.sequence, letter.reason, letter.answer))

    def _report(self, prefix: FinishedPrefix) -> None:
        name, observe = self._context.name, self._context.observe
        for reason, count in prefix.filtered.items():
            observe(EventsFiltered(name, count, reason))
            if reason not in NO_FILTERS:
                self._filter_watch.filtered(count)
        if prefix.noted:
            observe(MappingWarnings(name, prefix.noted, prefix.notes))
        self._report_dead(prefix.dead)
        observe(OutputPosition(name, prefix.upto, max(prefix.upto, self._reader.read)))


def _cause(error: JournalFull) -> str:
    if isinstance(error, DeadLettersFull):
        return str(error)
    return f"the journal cannot store the delivery position: {error}"
