"""Makes durable what is done: the position, with the dead letters it covers, in one transaction."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from connector.broadcast import Broadcast
from connector.delivery.circuit import HoldState
from connector.delivery.context import DeliveryContext
from connector.delivery.in_flight import FinishedPrefix, InFlight
from connector.errors import DeadLettersFull, JournalFull
from connector.facts import EventDeadLettered, EventsFiltered, MappingWarnings, OutputPosition
from connector.interfaces import OutputLog
from connector.model import DeadLetter
from connector.net.backoff import full_jitter


class Acknowledger:
    """Moves one output's position over the finished beginning of its ledger.

    A journal without room, or with as many dead letters as the output may keep, leaves the
    acknowledgement in memory and the output on hold until it is written: sending on would repeat more
    than was in flight, should the process end now.
    """

    def __init__(
        self,
        context: DeliveryContext,
        log: OutputLog,
        in_flight: InFlight,
        holding: HoldState,
        notifier: Broadcast,
        *,
        position: int,
        read: Callable[[], int],
    ) -> None:
        self._context = context
        self._log = log
        self._in_flight = in_flight
        self._hold = holding
        self._notifier = notifier
        self._read = read
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
                    self._context.name, after=self.position, upto=prefix.upto, dead=prefix.dead
                )
            except JournalFull as error:
                attempt += 1
                self._hold.begin("journal", _cause(error))
                policy = self._context.policy
                await asyncio.sleep(
                    full_jitter(attempt, base=policy.base, cap=policy.cap, random=self._context.random)
                )
                continue
            attempt = 0
            self._in_flight.release(prefix)
            self.position = prefix.upto
            self._hold.end("journal")
            self._tell(prefix)
            self._notifier.notify()

    def _tell(self, prefix: FinishedPrefix) -> None:
        name, observe = self._context.name, self._context.observe
        for reason, count in prefix.filtered.items():
            observe(EventsFiltered(name, count, reason))
        if prefix.noted:
            observe(MappingWarnings(name, prefix.noted, prefix.notes))
        for letter in prefix.dead:
            observe(EventDeadLettered(name, letter.sequence, letter.reason, _told(letter)))
        observe(OutputPosition(name, prefix.upto, max(prefix.upto, self._read())))


def _told(letter: DeadLetter) -> str:
    """What may be said of *letter* elsewhere: the text of a mapping's error may quote the mail."""
    return letter.answer.partition(":")[0] if letter.reason == "mapping" else letter.answer


def _cause(error: JournalFull) -> str:
    if isinstance(error, DeadLettersFull):
        return str(error)
    return f"the journal cannot store how far delivery is: {error}"
