"""Makes durable what is done: the position, with the dead letters it covers, in one transaction."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from connector.delivery.circuit import Holding
from connector.delivery.context import Kit
from connector.delivery.in_flight import Covered, Ledger
from connector.delivery.notifier import Pulse
from connector.errors import JournalFull, LettersFull
from connector.facts import EventBuried, EventsFiltered, EventsNoted, OutputPosition
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
        kit: Kit,
        log: OutputLog,
        ledger: Ledger,
        holding: Holding,
        pulse: Pulse,
        *,
        position: int,
        read: Callable[[], int],
    ) -> None:
        self._kit = kit
        self._log = log
        self._ledger = ledger
        self._holding = holding
        self._pulse = pulse
        self._read = read
        self.position = position

    async def run(self) -> None:
        """Acknowledge until cancelled. Raises ``Moved`` when somebody else moved the position."""
        attempt = 0
        while True:
            covered = self._ledger.finished()
            if covered is None:
                await self._pulse.wait()
                continue
            try:
                await self._log.acknowledge(
                    self._kit.name, after=self.position, upto=covered.upto, dead=covered.dead
                )
            except JournalFull as error:
                attempt += 1
                self._holding.begin("journal", _cause(error))
                policy = self._kit.policy
                await asyncio.sleep(
                    full_jitter(attempt, base=policy.base, cap=policy.cap, random=self._kit.random)
                )
                continue
            attempt = 0
            self._ledger.release(covered)
            self.position = covered.upto
            self._holding.end("journal")
            self._tell(covered)
            self._pulse.beat()

    def _tell(self, covered: Covered) -> None:
        name, observe = self._kit.name, self._kit.observe
        for reason, count in covered.filtered.items():
            observe(EventsFiltered(name, count, reason))
        if covered.noted:
            observe(EventsNoted(name, covered.noted, covered.notes))
        for letter in covered.dead:
            observe(EventBuried(name, letter.sequence, letter.reason, _told(letter)))
        observe(OutputPosition(name, covered.upto, max(covered.upto, self._read())))


def _told(letter: DeadLetter) -> str:
    """What may be said of *letter* elsewhere: the text of a mapping's error may quote the mail."""
    return letter.answer.partition(":")[0] if letter.reason == "mapping" else letter.answer


def _cause(error: JournalFull) -> str:
    if isinstance(error, LettersFull):
        return str(error)
    return f"the journal cannot store how far delivery is: {error}"
