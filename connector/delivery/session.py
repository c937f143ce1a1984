"""One stretch of delivery: from a position until drained, cancelled, or moved by somebody else."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine

from connector.delivery.acknowledger import Acknowledger
from connector.delivery.circuit import Gate
from connector.delivery.heartbeat import Heart
from connector.delivery.in_flight import Ledger, Part
from connector.delivery.notifier import Pulse
from connector.delivery.reader import Intake
from connector.delivery.sender import Sender


class Session:
    """Runs the reader, the acknowledger and one lane per concurrent send over one ledger.

    At most *concurrency* batches are unacknowledged at a time, so that a crash repeats no more. Events in
    doubt do not count: only what comes after them can prove them guilty.
    """

    def __init__(
        self,
        *,
        intake: Intake,
        sender: Sender,
        acknowledger: Acknowledger,
        ledger: Ledger,
        gate: Gate,
        heart: Heart,
        pulse: Pulse,
        concurrency: int,
        settle: float,
    ) -> None:
        self.intake = intake
        self.sender = sender
        self.acknowledger = acknowledger
        self.gate = gate
        self._heart = heart
        self._ledger = ledger
        self._pulse = pulse
        self._concurrency = concurrency
        self._settle = settle
        self._sending = 0
        self._quiet_since: float | None = None
        self._end: asyncio.Future[bool] = asyncio.get_running_loop().create_future()

    async def run(self) -> bool:
        """Deliver until drained (true) or cut short (false); raises what no part of it can handle."""
        lanes = [self._lane() for _ in range(self._concurrency)]
        tasks = [
            asyncio.create_task(self._guard(work))
            for work in (self.intake.run(), self.acknowledger.run(), *lanes)
        ]
        try:
            return await self._end
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await self.gate.close()

    def stop(self, head: int | None) -> None:
        """Deliver no further than *head*, or than what is there now, then end."""
        self._heart.stop()
        self.intake.stop(head)

    def cut(self) -> None:
        """End now. What is not acknowledged will be sent again."""
        self._finish(complete=False)

    async def _guard(self, work: Coroutine[None, None, None]) -> None:
        try:
            await work
        except BaseException as error:  # noqa: BLE001, it is raised where the session is awaited
            if not self._end.done():
                self._end.set_exception(error)

    async def _lane(self) -> None:
        while True:
            if self._heart.claim():
                await self._heart.beat()
            elif (part := self._take()) is not None:
                await self._carry(part)
            elif self._drained():
                self._finish(complete=True)
                return
            else:
                await self._rest()

    def _take(self) -> Part | None:
        """What to send next: what waits to be repeated, else a new batch as far as the window allows."""
        if (part := self.sender.next()) is not None:
            return part
        while self._ledger.busy < self._concurrency:
            batch = self.intake.take()
            if batch is None:
                return None
            part = self._ledger.open(batch)
            if part is not None:
                return part
            self._pulse.beat()
        return None

    async def _carry(self, part: Part) -> None:
        self._quiet_since = None
        self._sending += 1
        try:
            await self.sender.send(part)
        finally:
            self._sending -= 1
        self._pulse.beat()

    async def _rest(self) -> None:
        """Wait until there may be something to do; what is in doubt is settled when all is quiet."""
        until = _earliest(self.intake.due if self._ledger.busy < self._concurrency else None, self._heart.due)
        if self.sender.doubtful and self._quiet():
            now = asyncio.get_running_loop().time()
            since = self._quiet_since = now if self._quiet_since is None else self._quiet_since
            if self.intake.exhausted or now >= since + self._settle:
                self._quiet_since = None
                self.sender.silence()
                self._pulse.beat()
                return
            until = _earliest(until, since + self._settle)
        else:
            self._quiet_since = None
        await self._pulse.wait(until)

    def _quiet(self) -> bool:
        return not self._sending and (self.intake.dry or self._ledger.busy >= self._concurrency)

    def _drained(self) -> bool:
        return (
            self.intake.exhausted
            and self.intake.dry
            and not self._sending
            and not self.sender.doubtful
            and self._ledger.empty
        )

    def _finish(self, *, complete: bool) -> None:
        if not self._end.done():
            self._end.set_result(complete)


def _earliest(*moments: float | None) -> float | None:
    return min((moment for moment in moments if moment is not None), default=None)
