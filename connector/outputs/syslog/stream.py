"""Syslog over TCP and TLS: one connection with reconnect, failover and resend of unconfirmed messages."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from connector.errors import ConfigurationError
from connector.facts import EventsResent, OutputConnected, ResendAbandoned
from connector.interfaces import Observe
from connector.model import Event, LateFailure, LateFailures
from connector.net.tls import TlsOptions, client_context
from connector.net.transport import TransportError, Untrusted
from connector.outputs.shared.tcp import Stream, connect
from connector.outputs.syslog.address import Address
from connector.outputs.syslog.resend_buffer import Frame, ResendBuffer

# A frame counts as read by the collector once its connection outlived it by this many seconds: longer than
# any usual receiver keeps data in its socket buffer.
_CONFIRMED_AFTER = 60.0
# How long close() may spend on resending unconfirmed frames, in seconds.
_CLOSE_RESEND_TIMEOUT = 5.0
# How long a connection has to stay open after a write, in seconds, before the write counts. The kernel
# acknowledges before anything reads: a firewall that resets the connection because of a message does so a
# few milliseconds later.
_SETTLE = 0.03
# The same while the last broken connection is younger than _CONFIRMED_AFTER: it may break again for the
# same cause, and a firewall that answers more slowly should be recognized as well.
_SETTLE_AFTER_BREAK = 0.2
# The same for a resend to a peer that resets connections when they are ended: their end proves nothing.
_SETTLE_WITHOUT_END = 1.0
# A connection that ended within so many seconds of the last write may have ended because of what was written.
# A resend then waits twice as long as that took before it ends its connection, at most twice this: a
# filter that closes in good order would else be taken for a collector that has read everything.
_BROKEN_BY_DATA = 2.0
# Resends in a row on which the connection may break before the collector counts as failing: the whole, one
# half and one more, where one frame breaks it.
_RESEND_BREAKS = 3
# Suspect frames to try again after a send, each on its own connection.
_SUSPECTS_PER_SEND = 8


class MessageTransport(Protocol):
    """Sends messages to one of several collectors. Raises TransportError or ConfigurationError.

    Each message arrives as one: raw line breaks in it become spaces.
    """

    async def open(self) -> str:
        """Connect if needed; return a description of the peer."""
        ...

    async def send(self, messages: Sequence[bytes], events: Sequence[Event]) -> frozenset[int]:
        """Send *messages*, one of each of *events*; return the indexes of those that are too large."""
        ...

    def late_failures(self) -> LateFailures:
        """What became of messages after they were sent; see ``LateReporting``."""
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
        self._abandoned: list[LateFailure] = []
        self._broke_at = float("-inf")
        self._resets_at_end = False
        self._settle_resend = _SETTLE_AFTER_BREAK

    async def open(self) -> str:
        """Connect if needed; return a description of the peer."""
        async with self._lock:
            stream = await self._connected()
            return f"{self._options.addresses[self._next]} ({stream.protocol})"

    async def send(self, messages: Sequence[bytes], events: Sequence[Event]) -> frozenset[int]:
        """Send *messages* in one write, after the unconfirmed ones.

        They count as sent when the connection is still open a moment after the peer's kernel acknowledged
        them. Where it breaks before, the caller learns it and nothing of this call is kept for resending.
        """
        frames = [Frame(self._frame(message), event) for message, event in zip(messages, events, strict=True)]
        async with self._lock:
            stream = await self._connected()
            await stream.write(b"".join(frame.data for frame in frames), self._options.timeout)
            await stream.stays_open(self._settle)
            self._resend_buffer.sent(frames, asyncio.get_running_loop().time())
            await self._retry_suspects()
        return frozenset()

    def late_failures(self) -> LateFailures:
        """See ``LateReporting``."""
        abandoned, self._abandoned = tuple(self._abandoned), []
        suspected = tuple(suspect.failure() for suspect in self._resend_buffer.suspects)
        return LateFailures(suspected, abandoned)

    async def close(self) -> None:
        """Resend unconfirmed messages if that works at once, then close the connection."""
        with contextlib.suppress(TransportError, ConfigurationError, TimeoutError):
            async with asyncio.timeout(_CLOSE_RESEND_TIMEOUT), self._lock:
                if self._stream is not None and self._stream.fault is not None:
                    await self._connection_lost(self._stream)
                await self._resend_unconfirmed()
        stream, self._stream = self._stream, None
        if stream is not None:
            await stream.close()

    async def _connected(self) -> Stream:
        if self._stream is not None:
            fault = self._stream.fault
            if fault is None:
                return self._stream
            await self._connection_lost(self._stream)
            if isinstance(fault, Untrusted):
                raise fault
        await self._resend_unconfirmed()
        self._stream = await self._connect_to_any()
        self._observe(OutputConnected(self._options.output, str(self._options.addresses[self._next])))
        return self._stream

    async def _connection_lost(self, stream: Stream) -> None:
        self._stream = None
        self._broke_at = stream.ended
        took = stream.ended - self._resend_buffer.last_sent
        self._settle_resend = max(_SETTLE_AFTER_BREAK, 2 * took if took <= _BROKEN_BY_DATA else 0.0)
        self._resend_buffer.connection_lost(stream.ended)
        self._advance()
        await stream.abort()

    @property
    def _settle(self) -> float:
        recent = asyncio.get_running_loop().time() - self._broke_at < _CONFIRMED_AFTER
        return _SETTLE_AFTER_BREAK if recent else _SETTLE

    async def _resend_unconfirmed(self) -> None:
        """Send the unconfirmed frames again, over connections of their own.

        Where a connection breaks again, the frames are halved until the one that breaks it is alone, so that
        it holds back no other. Raises TransportError where connections break whatever is sent.
        """
        buffer = self._resend_buffer
        count = size = breaks = 0
        try:
            while group := buffer.group:
                fault = await self._resend(group)
                if fault is None:
                    buffer.resent()
                    count += len(group)
                    size += sum(len(frame.data) for frame in group)
                    breaks = 0
                    continue
                buffer.broke(fault.reason)
                breaks += 1
                if breaks >= _RESEND_BREAKS and buffer.group:
                    raise fault
        finally:
            if count:
                self._observe(EventsResent(self._options.output, count, size))

    async def _retry_suspects(self) -> None:
        """Other frames were just sent: try suspects again, and give up those that break connections."""
        buffer = self._resend_buffer
        for _ in range(min(len(buffer.suspects), _SUSPECTS_PER_SEND)):
            frame = buffer.suspects[0].frame
            try:
                fault = await self._resend((frame,))
            except (TransportError, ConfigurationError):
                return  # No connection says nothing about the frame.
            if fault is None:
                buffer.suspects.popleft()
                self._observe(EventsResent(self._options.output, 1, len(frame.data)))
            elif (suspect := buffer.suspect_broke(fault.reason)) is not None:
                self._abandoned.append(suspect.failure())
                identity = frame.event.revision.identity
                self._observe(ResendAbandoned(self._options.output, identity, suspect.breaks, fault.reason))

    async def _resend(self, frames: Sequence[Frame]) -> TransportError | None:
        """Send *frames* over a new connection and end it in order; return why it broke, if it did.

        Raises TransportError where no connection can be made.
        """
        stream = await self._connect_to_any()
        try:
            await stream.write(b"".join(frame.data for frame in frames), self._options.timeout)
            await stream.stays_open(self._settle_resend)
            if self._resets_at_end:
                await stream.stays_open(_SETTLE_WITHOUT_END)
            elif await stream.finish():
                return None
        except TransportError as fault:
            if await self._broke_because_of_data(stream):
                self._advance()
                return fault
            # Whether the frames broke it is open: once more, without ending the connection.
            return await self._resend(frames)
        except asyncio.CancelledError:
            await stream.close()  # So that no message is cut in two.
            raise
        finally:
            await stream.abort()
        # Sent, but maybe not read: keep them like any others.
        self._resend_buffer.sent(frames, asyncio.get_running_loop().time())
        return None

    async def _broke_because_of_data(self, broken: Stream) -> bool:
        """Whether *broken* did not break only because it was ended: some peers reset all these."""
        if not broken.finishing:
            return True
        empty = await self._connect_to_any()
        try:
            await empty.finish()
        except TransportError:
            self._resets_at_end = True
        finally:
            await empty.abort()
        return not self._resets_at_end

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
                return stream
        raise _combined(faults)


def _combined(faults: Sequence[TransportError]) -> TransportError:
    """One error for all collectors: untrusted (a hold) only if every one is."""
    reason = "; ".join(fault.reason for fault in faults)
    if all(isinstance(fault, Untrusted) for fault in faults):
        return Untrusted(reason)
    return TransportError(reason)
