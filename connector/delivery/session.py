"""One stretch of delivery: from a position until drained, cancelled, or moved by somebody else."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine

from connector.broadcast import Broadcast
from connector.delivery.acknowledger import Acknowledger
from connector.delivery.circuit import CircuitBreaker
from connector.delivery.heartbeat import HeartbeatSender
from connector.delivery.in_flight import Chunk, InFlight
from connector.delivery.reader import PrefetchReader
from connector.delivery.sender import Sender


class Session:
    """Runs the reader, the acknowledger and one lane per concurrent send over one ledger.

    At most *concurrency* batches are unacknowledged at a time, so that a crash repeats no more. Events in
    doubt do not count: only what comes after them can prove them guilty.
    """

    def __init__(
        self,
        *,
        reader: PrefetchReader,
        sender: Sender,
        acknowledger: Acknowledger,
        in_flight: InFlight,
        circuit: CircuitBreaker,
        heartbeats: HeartbeatSender,
        notifier: Broadcast,
        concurrency: int,
        settle: float,
    ) -> None:
        self.reader = reader
        self.sender = sender
        self.acknowledger = acknowledger
        self.circuit = circuit
        self._heartbeats = heartbeats
        self._in_flight = in_flight
        self._notifier = notifier
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
            for work in (self.reader.run(), self.acknowledger.run(), *lanes)
        ]
        try:
            return await self._end
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await self.circuit.close()

    def stop(self, head: int | None) -> None:
        """Deliver no further than *head*, or than what is there now, then end."""
        self._heartbeats.stop()
        self.reader.stop(head)

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
            if self._heartbeats.claim():
                await self._heartbeats.beat()
            elif (chunk := self._take()) is not None:
                await self._carry(chunk)
            elif self._drained():
                self._finish(complete=True)
                return
            else:
                await self._rest()

    def _take(self) -> Chunk | None:
        """What to send next: what waits to be repeated, else a new batch as far as the window allows."""
        if (chunk := self.sender.next()) is not None:
            return chunk
        while self._in_flight.busy < self._concurrency:
            batch = self.reader.take()
            if batch is None:
                return None
            chunk = self._in_flight.open(batch)
            if chunk is not None:
                return chunk
            self._notifier.notify()
        return None

    async def _carry(self, chunk: Chunk) -> None:
        self._quiet_since = None
        self._sending += 1
        try:
            await self.sender.send(chunk)
        finally:
            self._sending -= 1
        self._notifier.notify()

    async def _rest(self) -> None:
        """Wait until there may be something to do; what is in doubt is settled when all is quiet."""
        until = _earliest(
            self.reader.due if self._in_flight.busy < self._concurrency else None, self._heartbeats.due
        )
        if self.sender.suspects and self._quiet():
            now = asyncio.get_running_loop().time()
            since = self._quiet_since = now if self._quiet_since is None else self._quiet_since
            if self.reader.exhausted or now >= since + self._settle:
                self._quiet_since = None
                self.sender.on_idle()
                self._notifier.notify()
                return
            until = _earliest(until, since + self._settle)
        else:
            self._quiet_since = None
        await self._notifier.wait(until)

    def _quiet(self) -> bool:
        return not self._sending and (self.reader.dry or self._in_flight.busy >= self._concurrency)

    def _drained(self) -> bool:
        return (
            self.reader.exhausted
            and self.reader.dry
            and not self._sending
            and not self.sender.suspects
            and self._in_flight.empty
        )

    def _finish(self, *, complete: bool) -> None:
        if not self._end.done():
            self._end.set_result(complete)


def _earliest(*moments: float | None) -> float | None:
    return min((moment for moment in moments if moment is not None), default=None)
