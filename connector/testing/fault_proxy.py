"""A TCP proxy that injects faults between an output and its collector: delays, resets, loss.

It knows nothing of what it carries, so it serves any output that connects over TCP, with TLS or without::

    async with fault_proxy(collector.port, ConnectionFault(cut_after=100, lasting=1)) as proxy:
        output = build(proxy.port)
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from collections.abc import AsyncIterator
from dataclasses import dataclass

_PIECE = 1 << 16
"""Bytes handed on at once: the usual size of a socket buffer."""

_STEP = 0.002
"""Seconds between two pieces on a slow connection."""

_LINGER_NOT = b"\1\0\0\0\0\0\0\0"
"""For ``SO_LINGER``: closing sends a reset at once."""

_HOST = "127.0.0.1"


@dataclass(frozen=True, slots=True)
class ConnectionFault:
    """What befalls a connection. Without any, all is well.

    Args:
        cut_after: reset it once the output sent so many bytes.
        half_close_after: end the collector's side once the output sent so many bytes, and only take the rest.
        deaf: take the connection, read nothing and answer nothing.
        mute: hand on what the output sends, and nothing of what the collector answers.
        piece: hand on at most so many bytes at a time, slowly.
        lasting: how many connections it befalls; those after them are well. ``None``: all.
    """

    cut_after: int | None = None
    half_close_after: int | None = None
    deaf: bool = False
    mute: bool = False
    piece: int | None = None
    lasting: int | None = None


class _Proxy:
    """Forwards connections on *port* of the loopback, with *tls* if given, to *collector*, a port there."""

    def __init__(self, collector: int, tls: ssl.SSLContext | None = None) -> None:
        self.port = 0
        self._tls = tls
        self._collector = collector
        self._carrying: set[asyncio.Task[None]] = set()

    @contextlib.asynccontextmanager
    async def listening(self) -> AsyncIterator[None]:
        """Accept connections while the block runs; then reset every connection that is left."""
        server = await asyncio.start_server(self._accept, _HOST, 0, ssl=self._tls)
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield
        finally:
            server.close()
            for task in list(self._carrying):
                task.cancel()
            await asyncio.gather(*self._carrying, return_exceptions=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if task is not None:
            self._carrying.add(task)
            task.add_done_callback(self._carrying.discard)
        try:
            await self._carry(reader, writer)
        except (OSError, asyncio.CancelledError):
            pass
        finally:
            if not writer.is_closing():
                _reset(writer)

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Carry one connection to its end; one that is not closed then is reset."""
        raise NotImplementedError


class FaultProxy(_Proxy):
    """Injects *fault*; *connections* counts how many were opened."""

    def __init__(self, collector: int, fault: ConnectionFault) -> None:
        super().__init__(collector)
        self.connections = 0
        self._fault = fault

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        lasting = self._fault.lasting
        fault = self._fault if lasting is None or self.connections <= lasting else ConnectionFault()
        if fault.deaf:
            await asyncio.Event().wait()
        await self._connect(fault, reader, writer)

    async def _connect(
        self, fault: ConnectionFault, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        there, onwards = await asyncio.open_connection(_HOST, self._collector)
        back = asyncio.ensure_future(_pump(there, None if fault.mute else writer, fault.piece or _PIECE))
        limits = [limit for limit in (fault.cut_after, fault.half_close_after) if limit is not None]
        try:
            whole = await _pump(reader, onwards, fault.piece or _PIECE, min(limits, default=None))
            if whole:
                onwards.write_eof()
                await back
            elif fault.half_close_after is not None:
                back.cancel()
                writer.write_eof()
                await _pump(reader, None, _PIECE)
        finally:
            back.cancel()
            onwards.close()  # before the wait, which may be cancelled
            await asyncio.gather(back, return_exceptions=True)


@contextlib.asynccontextmanager
async def fault_proxy(collector: int, fault: ConnectionFault) -> AsyncIterator[FaultProxy]:
    """A ``FaultProxy`` on a loopback port to the *collector* on another, while the block runs."""
    proxy = FaultProxy(collector, fault)
    async with proxy.listening():
        yield proxy


async def _pump(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter | None, piece: int, most: int | None = None
) -> bool:
    """Forward bytes, or discard them without *writer*; true at their end, false after *most* of them."""
    left = most
    while left is None or left > 0:
        data = await reader.read(piece if left is None else min(piece, left))
        if not data:
            return True
        left = None if left is None else left - len(data)
        if writer is not None:
            writer.write(data)
            await writer.drain()
        if piece < _PIECE:
            await asyncio.sleep(_STEP)
    return False


def _reset(writer: asyncio.StreamWriter) -> None:
    sock = writer.get_extra_info("socket")
    with contextlib.suppress(OSError):
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_NOT)
    writer.transport.abort()


@dataclass(frozen=True, slots=True)
class PoisonFault:
    """What happens to a connection that carries *needle*: one certain message, as a firewall sees it.

    Args:
        needle: bytes of the poisoned message as they travel.
        answer: raw bytes sent back instead of the collector's answer; the connection ends after them.
        hang: answer nothing and keep the connection open. Without *answer* and *hang* it is reset.
        delay: seconds that it takes to notice the message; meanwhile nothing is forwarded.
        reset_at_end: also reset a connection that the output ended in good order.
        close: end the connection in good order instead of resetting it.
    """

    needle: bytes
    answer: bytes | None = None
    hang: bool = False
    delay: float = 0.0
    reset_at_end: bool = False
    close: bool = False


class PoisonProxy(_Proxy):
    """Refuses every connection at the moment it carries the poisoned message.

    Nothing from the first byte of the message on reaches the collector. *refused* counts how often that was.
    """

    def __init__(self, collector: int, fault: PoisonFault, tls: ssl.SSLContext | None = None) -> None:
        super().__init__(collector, tls)
        self.refused = 0
        self._fault = fault
        self._mended = False

    def mend(self) -> None:
        """Forward everything from now on."""
        self._mended = True

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        responses, requests = await asyncio.open_connection(_HOST, self._collector)
        back = asyncio.ensure_future(_pump(responses, writer, _PIECE))
        try:
            if await self._forward(reader, requests):
                requests.write_eof()
                await back
                if not self._fault.reset_at_end:
                    writer.close()
            else:
                self.refused += 1
                back.cancel()
                requests.transport.abort()
                await self._refuse(reader, writer)
        finally:
            back.cancel()
            requests.close()  # before the wait, which may be cancelled
            await asyncio.gather(back, return_exceptions=True)

    async def _forward(self, reader: asyncio.StreamReader, requests: asyncio.StreamWriter) -> bool:
        """Forward until the end (true) or the poisoned message (false), which may come in two pieces."""
        needle, held = self._fault.needle, b""
        while data := await reader.read(_PIECE):
            held += data
            if needle in held and not self._mended:
                await asyncio.sleep(self._fault.delay)
                return False
            partial = range(min(len(held), len(needle) - 1), -1, -1)
            keep = next(count for count in partial if held.endswith(needle[:count]))
            requests.write(held[: len(held) - keep])
            held = held[len(held) - keep :]
            await requests.drain()
        requests.write(held)
        return True

    async def _refuse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._fault.answer is not None:
            writer.write(self._fault.answer)
            await writer.drain()
        if self._fault.close:
            writer.close()
        elif self._fault.answer is not None or self._fault.hang:
            # Until the output has read the answer, or given up: a reset could overtake the answer.
            await _pump(reader, None, _PIECE)


@contextlib.asynccontextmanager
async def poison_proxy(
    collector: int, fault: PoisonFault, tls: ssl.SSLContext | None = None
) -> AsyncIterator[PoisonProxy]:
    """A ``PoisonProxy`` on a loopback port to the *collector* on another, while the block runs.

    With *tls* it opens TLS, as a firewall that inspects it, and speaks plainly to the collector.
    """
    proxy = PoisonProxy(collector, fault, tls)
    async with proxy.listening():
        yield proxy
