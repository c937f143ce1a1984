"""One run of delivery: from a position until drained, cancelled, or moved by an operator."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine

from connector.broadcast import Broadcast
from connector.delivery.acknowledger import Acknowledger
from connector.delivery.circuit import CircuitBreaker
from connector.delivery.digest import DigestSender
from connector.delivery.heartbeat import HeartbeatSender
from connector.delivery.idle_probe import IdleProbe
from connector.delivery.in_flight import InFlight
from connector.delivery.reader import PrefetchReader
from connector.delivery.sender import Request, Sender


class Session:
    """Runs the reader, the acknowledger and one lane per concurrent send over one ``InFlight``.

    The window: at most *concurrency* batches are unacknowledged at a time, so that a crash repeats no more.
    While a suspect or a remainder holds the position back, a few more may overtake it
    (``Sender.overtaking``).
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
        digests: DigestSender,
        idle_probe: IdleProbe,
        notifier: Broadcast,
        concurrency: int,
        settle: float,
        most_suspects: int,
    ) -> None:
        self.reader = reader
        self.sender = sender
        self.acknowledger = acknowledger
        self.circuit = circuit
        self._heartbeats = heartbeats
        self._digests = digests
        self._idle_probe = idle_probe
        self._in_flight = in_flight
        self._notifier = notifier
        self._concurrency = concurrency
        self._settle = settle
        self._most_suspects = most_suspects
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
            await self.acknowledger.settle()

    def stop(self, head: int | None) -> None:
        """Deliver no further than *head*, or than what is there now, then end."""
        self._heartbeats.stop()
        self._idle_probe.stop()
        self.reader.stop(head)

    def cut(self) -> None:
        """End now. What is not acknowledged will be sent again."""
        self._finish(complete=False)

    def resume(self) -> None:
        """End every backoff: send again now."""
        self.sender.resume()
        self._notifier.notify()

    async def _guard(self, work: Coroutine[None, None, None]) -> None:
        try:
            await work
        except BaseException as error:  # noqa: BLE001, it is raised where the session is awaited
            if not self._end.done():
                self._end.set_exception(error)

    async def _lane(self) -> None:
        while True:
            if self._heartbeats.claim():
                await self._heartbeats.send()
                self._notifier.notify()
            elif (digest := self._digests.claim(flush=self._nothing_to_read())) is not None:
                await self._digests.send(digest)
                self._notifier.notify()
            elif (request := self._take()) is not None:
                await self._send(request)
            elif self._drained():
                self._finish(complete=True)
                return
            elif self._idle() and self._idle_probe.claim():
                await self._idle_probe.probe()
            else:
                await self._rest()

    def _take(self) -> Request | None:
        """What to send next: what waits to be sent again, else a new batch as far as the window allows."""
        if not self._lane_free():
            return None
        now = asyncio.get_running_loop().time()
        request = self.sender.next(now, full=not self._window_open(), dry=self.reader.dry)
        if request is not None:
            return request
        while self._window_open():
            batch = self.reader.take()
            if batch is None:
                return None
            chunk = self._in_flight.open(batch)
            if chunk is not None:
                return (self.sender.control(chunk),)
            self._notifier.notify()
        return None

    def _lane_free(self) -> bool:
        """Whether the circuit breaker allows one more send; later choices know more than earlier ones."""
        # One at a time while the cause of a failure is searched: concurrent requests fail with it.
        return self._sending < (1 if self.sender.searching else self.circuit.limit)

    def _window_open(self) -> bool:
        """Whether another batch may be sent before what is in flight is acknowledged."""
        in_flight = self._in_flight
        overtaking = self.sender.overtaking * self._concurrency
        if in_flight.suspects >= self._most_suspects or in_flight.remainders >= overtaking:
            return False
        if in_flight.busy < self._concurrency or self.sender.needs_control:
            return True
        return in_flight.held_back and in_flight.busy < self._concurrency + overtaking

    async def _send(self, request: Request) -> None:
        self._quiet_since = None
        self._sending += 1
        try:
            await self.sender.send(request)
        finally:
            self._sending -= 1
        self._idle_probe.postpone()
        self._notifier.notify()

    async def _rest(self) -> None:
        """Wait until there may be something to do; refused events are decided about when all is quiet."""
        until = _earliest(
            self.reader.due if self._lane_free() and self._window_open() else None,
            self._heartbeats.due,
            self._digests.due(flush=self._nothing_to_read()),
            self.sender.due,
        )
        if self._idle():
            until = _earliest(until, self._idle_probe.due)
        if self.sender.refused and self._quiet():
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
        return not self._sending and (self.reader.dry or not self._window_open())

    def _idle(self) -> bool:
        return not self._sending and self._in_flight.empty

    def _nothing_to_read(self) -> bool:
        return self.reader.exhausted and self.reader.dry

    def _drained(self) -> bool:
        return self._nothing_to_read() and self._idle() and self._digests.idle

    def _finish(self, *, complete: bool) -> None:
        if not self._end.done():
            self._end.set_result(complete)


def _earliest(*moments: float | None) -> float | None:
    return min((moment for moment in moments if moment is not None), default=None)
