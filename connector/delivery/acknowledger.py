"""Acknowledges delivery to the journal: the position, with the dead letters it covers, in one transaction."""

from __future__ import annotations

import asyncio

from connector.broadcast import Broadcast
from connector.delivery.batch_names import BatchNames
from connector.delivery.circuit import HoldState
from connector.delivery.context import DeliveryContext
from connector.delivery.filter_watch import FilterWatch
from connector.delivery.in_flight import FinishedPrefix, InFlight
from connector.delivery.reader import PrefetchReader
from connector.errors import DeadLettersFull, JournalFull
from connector.facts import EventDeadLettered, EventsFiltered, MappingWarnings, OutputPosition
from connector.interfaces import OutputLog


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
    ) -> None:
        self._context = context
        self._log = log
        self._in_flight = in_flight
        self._names = names
        self._hold = hold
        self._notifier = notifier
        self._reader = reader
        self._filter_watch = filter_watch
        self.position = position

    async def run(self) -> None:
        """Acknowledge until cancelled. Raises ``Moved`` when somebody else moved the position."""
        attempt = 0
        while True:
            prefix = self._in_flight.finished()
            if prefix is None:
                await self._notifier.wait()
                continue
            try:
                await self._log.acknowledge(
                    self._context.name,
                    after=self.position,
                    upto=prefix.upto,
                    dead=prefix.dead,
                    emitted=prefix.emitted,
                )
            except JournalFull as error:
                attempt += 1
                self._hold.begin("journal", _cause(error))
                await asyncio.sleep(self._context.policy.backoff(attempt, self._context.random))
                continue
            attempt = 0
            await self._names.forget(prefix.upto)
            self._in_flight.release(prefix)
            self.position = prefix.upto
            self._reader.acknowledged(prefix.upto)
            self._hold.end("journal")
            self._report(prefix)
            self._notifier.notify()

    def _report(self, prefix: FinishedPrefix) -> None:
        name, observe = self._context.name, self._context.observe
        for reason, count in prefix.filtered.items():
            observe(EventsFiltered(name, count, reason))
            if reason != "addressed":
                self._filter_watch.filtered(count)
        if prefix.noted:
            observe(MappingWarnings(name, prefix.noted, prefix.notes))
        for dead_letter in prefix.dead:
            observe(EventDeadLettered(name, dead_letter.sequence, dead_letter.reason, dead_letter.answer))
        observe(OutputPosition(name, prefix.upto, max(prefix.upto, self._reader.read)))


def _cause(error: JournalFull) -> str:
    if isinstance(error, DeadLettersFull):
        return str(error)
    return f"the journal cannot store the delivery position: {error}"
