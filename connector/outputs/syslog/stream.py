"""Syslog over TCP and TLS: one connection with reconnect, failover and resend of unconfirmed messages."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from connector.errors import ConfigurationError
from connector.facts import EventsResent, OutputConnected
from connector.interfaces import Observe
from connector.net.tls import TlsOptions, client_context
from connector.net.transport import TransportError, Untrusted
from connector.outputs.shared.tcp import Stream, connect
from connector.outputs.syslog.address import Address
from connector.outputs.syslog.resend_buffer import ResendBuffer

# A frame counts as read by the collector once its connection outlived it by this many seconds: longer than
# any usual receiver keeps data in its socket buffer.
_CONFIRMED_AFTER = 60.0
# How long close() may spend on resending unconfirmed frames, in seconds.
_CLOSE_RESEND_TIMEOUT = 5.0


class MessageTransport(Protocol):
    """Sends messages to one of several collectors. Raises TransportError or ConfigurationError."""

    async def open(self) -> str:
        """Connect if needed; return a description of the peer."""
        ...

    async def send(self, messages: Sequence[bytes]) -> frozenset[int]:
        """Send *messages*; return the indexes of those that are too large for the transport."""
        ...

    async def close(self) -> None:
        """Release all resources. Idempotent."""
        ...


@dataclass(frozen=True, slots=True)
class TransportOptions:
    """Options of a transport. *output* is the output's name, *timeout* in seconds, *resend* in bytes."""

    output: str
    addresses: tuple[Address, ...]
    timeout: float
    tls: TlsOptions | None = None
    resend: int = 0


class StreamTransport:
    """One connection at a time. *frame* adds the framing to a message."""

    def __init__(self, link: TransportOptions, frame: Callable[[bytes], bytes], observe: Observe) -> None:
        self._options = link
        self._frame = frame
        self._observe = observe
        self._next = 0
        self._stream: Stream | None = None
        self._resend_buffer = ResendBuffer(link.resend, _CONFIRMED_AFTER)
        self._lock = asyncio.Lock()

    async def open(self) -> str:
        """Connect if needed; return a description of the peer."""
        async with self._lock:
            stream = await self._connected()
            return f"{self._options.addresses[self._next]} ({stream.protocol})"

    async def send(self, messages: Sequence[bytes]) -> frozenset[int]:
        """Send *messages* in one write, after the unconfirmed ones."""
        frames = [self._frame(message) for message in messages]
        async with self._lock:
            stream = await self._connected()
            unconfirmed = self._resend_buffer.unconfirmed
            await stream.write(b"".join((*unconfirmed, *frames)), self._options.timeout)
            self._resend_buffer.sent(frames, asyncio.get_running_loop().time())
        if unconfirmed:
            size = sum(len(frame) for frame in unconfirmed)
            self._observe(EventsResent(self._options.output, len(unconfirmed), size))
        return frozenset()

    async def close(self) -> None:
        """Resend unconfirmed messages if that works at once, then close the connection."""
        with contextlib.suppress(TransportError, ConfigurationError, TimeoutError):
            async with asyncio.timeout(_CLOSE_RESEND_TIMEOUT):
                await self._resend_unconfirmed()
        stream, self._stream = self._stream, None
        if stream is not None:
            await stream.close()

    async def _resend_unconfirmed(self) -> None:
        if self._stream is not None and self._stream.fault is not None:
            await self._connection_lost(self._stream)
        if self._resend_buffer.unconfirmed:
            await self.send(())

    async def _connected(self) -> Stream:
        if self._stream is not None:
            fault = self._stream.fault
            if fault is None:
                return self._stream
            await self._connection_lost(self._stream)
            if isinstance(fault, Untrusted):
                raise fault
        self._stream = await self._connect_to_any()
        return self._stream

    async def _connection_lost(self, stream: Stream) -> None:
        self._stream = None
        self._resend_buffer.connection_lost(stream.ended)
        self._advance()
        await stream.abort()

    def _advance(self) -> None:
        self._next = (self._next + 1) % len(self._options.addresses)

    async def _connect_to_any(self) -> Stream:
        context = client_context(self._options.tls) if self._options.addresses[0].transport == "tls" else None
        share = self._options.timeout / len(self._options.addresses)
        faults: list[TransportError] = []
        for _ in self._options.addresses:
            address = self._options.addresses[self._next]
            try:
                stream = await connect(address.host, address.port, context=context, timeout=share)
            except TransportError as fault:
                faults.append(fault)
                self._advance()
            else:
                self._observe(OutputConnected(self._options.output, str(address)))
                return stream
        raise _combined(faults)


def _combined(faults: Sequence[TransportError]) -> TransportError:
    """One error for all collectors: untrusted (a hold) only if every one is."""
    reason = "; ".join(fault.reason for fault in faults)
    if all(isinstance(fault, Untrusted) for fault in faults):
        return Untrusted(reason)
    return TransportError(reason)
