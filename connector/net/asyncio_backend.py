"""Network I/O of the HTTP library on asyncio alone, without the compatibility layer for other event loops.

The library brings a backend that works on several event loops and pays for it on every read and write. This
one knows asyncio (and uvloop) only. TLS runs over memory buffers, so that it works over any stream, a proxy's
TLS connection included.
"""

from __future__ import annotations

import asyncio
import select
import socket
import ssl
from collections import deque
from collections.abc import Iterable
from typing import Any, cast

from connector.import_guard import absent
from connector.net.host_names import resolve

with absent("pygments", "rich"):
    import httpcore

_CHUNK = 1 << 16
_READ_AHEAD = 1 << 18
"""Bytes received and not yet asked for above which the peer has to wait."""

_NEXT_ADDRESS = 0.25
"""Seconds after which the next address of a host is tried beside the first (RFC 8305, section 5)."""


class AsyncioBackend(httpcore.AsyncNetworkBackend):
    """Opens connections for ``httpcore``'s pools."""

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109, the library's signature
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """Connect to the first address of *host* that accepts."""
        del local_address, socket_options  # not used by this program
        try:
            async with asyncio.timeout(timeout):
                return await _connect(host, port)
        except TimeoutError:
            raise httpcore.ConnectTimeout from None
        except OSError as error:
            raise httpcore.ConnectError(str(error)) from error

    async def sleep(self, seconds: float) -> None:
        """Wait between attempts."""
        await asyncio.sleep(seconds)


class _Connection(asyncio.Protocol):
    """One TCP connection: what was received and not read yet, and who waits."""

    def __init__(self) -> None:
        self._transport: asyncio.Transport | None = None
        self._received: deque[bytes] = deque()
        self._size = 0
        self._ended = False
        self._fault: Exception | None = None
        self._reader: asyncio.Future[None] | None = None
        self._writer: asyncio.Future[None] | None = None
        self._is_writable = True

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # Not asked what it is: a faster loop's transports are no children of the library's.
        self._transport = cast("asyncio.Transport", transport)
        # A write returns once the kernel has the bytes: a body must not exist twice.
        self._transport.set_write_buffer_limits(0)

    def data_received(self, data: bytes) -> None:
        self._received.append(data)
        self._size += len(data)
        if self._size > _READ_AHEAD and self._transport is not None:
            self._transport.pause_reading()
        _wake(self._reader)

    def eof_received(self) -> bool:
        self._ended = True
        _wake(self._reader)
        return True

    def connection_lost(self, exc: Exception | None) -> None:
        self._ended, self._fault = True, exc
        _wake(self._reader)
        self.resume_writing()

    def pause_writing(self) -> None:
        self._is_writable = False

    def resume_writing(self) -> None:
        self._is_writable = True
        _wake(self._writer)

    @property
    def has_news(self) -> bool:
        """Whether something was received, or the connection has ended: an idle one must not be used then."""
        if self._received or self._ended or self._transport is None or self._transport.is_closing():
            return True
        poll = select.poll()
        poll.register(self._transport.get_extra_info("socket").fileno(), select.POLLIN)
        return bool(poll.poll(0))

    async def read(self, most: int) -> bytes:
        """Return what was received, at most *most* bytes; nothing at the end. Raises ``OSError``."""
        while not self._received:
            if self._fault is not None:
                raise self._fault
            if self._ended:
                return b""
            self._reader = asyncio.get_running_loop().create_future()
            try:
                await self._reader
            finally:
                self._reader = None
        data = self._received.popleft()
        if len(data) > most:
            self._received.appendleft(data[most:])
            data = data[:most]
        self._size -= len(data)
        if self._size <= _READ_AHEAD and self._transport is not None and not self._ended:
            self._transport.resume_reading()
        return bytes(data)

    async def write(self, data: bytes) -> None:
        """Send *data*; returns once the kernel has it. Raises ``OSError``."""
        transport = self._transport
        if transport is None or self._fault is not None or transport.is_closing():
            raise self._fault or ConnectionResetError("the connection is closed")
        transport.write(data)
        while not self._is_writable:
            self._writer = asyncio.get_running_loop().create_future()
            try:
                await self._writer
            finally:
                self._writer = None
        if self._fault is not None:
            raise self._fault

    def close(self) -> None:
        """Close at once: whatever is still to be sent belongs to an exchange that was given up."""
        if self._transport is not None:
            self._transport.abort()


def _wake(waiter: asyncio.Future[None] | None) -> None:
    if waiter is not None and not waiter.done():
        waiter.set_result(None)


class _Stream(httpcore.AsyncNetworkStream):
    """A TCP connection as the library uses it."""

    def __init__(self, connection: _Connection) -> None:
        self._connection = connection

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:  # noqa: ASYNC109
        del timeout  # the client has one deadline for the whole exchange
        try:
            return await self._connection.read(max_bytes)
        except OSError as error:
            raise httpcore.ReadError(str(error)) from error

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:  # noqa: ASYNC109
        del timeout
        try:
            await self._connection.write(buffer)
        except OSError as error:
            raise httpcore.WriteError(str(error)) from error

    async def aclose(self) -> None:
        self._connection.close()

    async def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,  # noqa: ASYNC109
    ) -> httpcore.AsyncNetworkStream:
        return await _secured(self, ssl_context, server_hostname, timeout)

    def get_extra_info(self, info: str) -> Any:
        return self._connection.has_news if info == "is_readable" else None


class _TlsStream(httpcore.AsyncNetworkStream):
    """TLS over another stream."""

    def __init__(
        self, stream: httpcore.AsyncNetworkStream, context: ssl.SSLContext, name: str | None
    ) -> None:
        self._stream = stream
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_hostname=name)

    async def handshake(self) -> None:
        while True:
            try:
                self._tls.do_handshake()
            except ssl.SSLWantReadError:
                await self._flush()
                await self._feed()
            except ssl.SSLError:
                await self._flush()  # the alert tells the peer why
                raise
            else:
                await self._flush()
                return

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:  # noqa: ASYNC109
        del timeout
        while True:
            try:
                return self._tls.read(max_bytes)
            except ssl.SSLWantReadError:
                await self._flush()  # an answer to a key update
                await self._feed()
            except (ssl.SSLZeroReturnError, ssl.SSLEOFError):
                return b""

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:  # noqa: ASYNC109
        del timeout
        view = memoryview(buffer)
        while view:
            view = view[self._tls.write(view[:_CHUNK]) :]
            await self._flush()

    async def aclose(self) -> None:
        await self._stream.aclose()

    async def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,  # noqa: ASYNC109
    ) -> httpcore.AsyncNetworkStream:
        return await _secured(self, ssl_context, server_hostname, timeout)

    def get_extra_info(self, info: str) -> Any:
        if info == "is_readable" and (self._tls.pending() or self._incoming.pending):
            return True
        return self._tls if info == "ssl_object" else self._stream.get_extra_info(info)

    async def _flush(self) -> None:
        if data := self._outgoing.read():
            await self._stream.write(data)

    async def _feed(self) -> None:
        if data := await self._stream.read(_CHUNK):
            self._incoming.write(data)
        else:
            self._incoming.write_eof()


async def _secured(
    stream: httpcore.AsyncNetworkStream, context: ssl.SSLContext, name: str | None, seconds: float | None
) -> httpcore.AsyncNetworkStream:
    secured = _TlsStream(stream, context, name)
    try:
        async with asyncio.timeout(seconds):
            await secured.handshake()
    except TimeoutError:
        await stream.aclose()
        raise httpcore.ConnectTimeout from None
    except (OSError, httpcore.NetworkError) as error:  # ssl.SSLError is an OSError
        await stream.aclose()
        raise httpcore.ConnectError(str(error)) from error
    except BaseException:
        # A cancellation or a deadline from outside: nobody else knows the socket.
        await stream.aclose()
        raise
    return secured


async def _connect(host: str, port: int) -> _Stream:
    """Try the addresses of *host* in turn, the next one beside the others when none answers soon."""
    found = await resolve(host, port, socket.SOCK_STREAM)
    addresses = [address for _, address in _alternating(found)]
    running: set[asyncio.Task[_Connection]] = set()
    errors: list[OSError] = []
    try:
        while addresses or running:
            if addresses:
                running.add(asyncio.ensure_future(_open(*addresses.pop(0)[:2])))
            done, running = await asyncio.wait(
                running, timeout=_NEXT_ADDRESS if addresses else None, return_when=asyncio.FIRST_COMPLETED
            )
            for attempt in done:
                error = attempt.exception()
                if error is None:
                    running |= done - {attempt}
                    return _Stream(attempt.result())
                if not isinstance(error, OSError):
                    raise error
                errors.append(error)
    finally:
        for attempt in running:
            attempt.cancel()
            attempt.add_done_callback(_abandon)
    raise errors[0]


async def _open(host: str, port: int) -> _Connection:
    _, connection = await asyncio.get_running_loop().create_connection(_Connection, host, port)
    return connection


def _abandon(attempt: asyncio.Task[_Connection]) -> None:
    """Close a connection that came about after another one was chosen."""
    if not attempt.cancelled() and attempt.exception() is None:
        attempt.result().close()


def _alternating(found: list[Any]) -> list[Any]:
    """Addresses by family in turn, each family in the resolver's order (RFC 8305, section 4)."""
    first = [info for info in found if info[0] == found[0][0]]
    other = [info for info in found if info[0] != found[0][0]]
    both = [pair for pairs in zip(first, other, strict=False) for pair in pairs]
    rest = first[len(other) :] or other[len(first) :]
    return both + rest
