"""A TCP or TLS client connection whose writes return once the peer's kernel has acknowledged the bytes.

asyncio's streams consider bytes written when they are in a buffer of this process. Here a write waits for
TCP acknowledgement, and a background reader notices at once when the connection ends.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import socket
import ssl

from connector.net.failures import classify_error
from connector.net.transport import TimedOut, TransportError
from connector.outputs.shared.sockets import connected_socket, peer_name, unacknowledged
from connector.outputs.shared.tls_bio import TlsLayer

_CHUNK = 1 << 16
"""Bytes of one read: whatever a collector answers fits."""

# How long close() waits for the peer to close first, in seconds: once it has, it has read everything.
_CLOSE_WAIT = 1.0
# Pauses between polls of the kernel's send queue, in seconds: loopback round trip up to a slow link's.
_POLL_FIRST, _POLL_LAST = 0.0005, 0.05


class Stream:
    """An open connection; made by ``connect``."""

    def __init__(self, sock: socket.socket, peer: str, tls: TlsLayer | None = None) -> None:
        self._sock = sock
        self._peer = peer
        self._tls = tls
        self._loop = asyncio.get_running_loop()
        self._sending = asyncio.Lock()
        self._received = asyncio.Event()
        self._writing: asyncio.Task[None] | None = None
        self._reading: asyncio.Task[None] | None = None
        self._fault: TransportError | None = None
        self._ended = 0.0
        self._closed_in_order = False
        self.finishing = False

    @property
    def fault(self) -> TransportError | None:
        """Why the connection ended; ``None`` while it is open."""
        return self._fault

    @property
    def ended(self) -> float:
        """When the connection ended (loop time)."""
        return self._ended

    @property
    def protocol(self) -> str:
        """``TCP``, or the TLS version."""
        return self._tls.version if self._tls else "TCP"

    async def start(self) -> None:
        """Complete the TLS handshake, if any, and start the reader."""
        started = self._loop.time()
        if self._tls is not None:
            await self._handshake(self._tls)
        self._reading = asyncio.create_task(self._read(), name=f"reader of {self._peer}")
        if self._tls is not None and self._tls.version == "TLSv1.3":
            await self._await_certificate_verdict(self._loop.time() - started)

    async def write(self, data: bytes, timeout: float) -> None:  # noqa: ASYNC109, it outlives a cancellation
        """Send *data*; on return the peer's kernel has it and the connection is still open.

        A cancelled write continues in the background, so that no message is cut in two. Raises
        ``TransportError``; the connection has then ended.
        """
        self._writing = asyncio.create_task(self._write(data, timeout), name=f"writer to {self._peer}")
        self._writing.add_done_callback(_forget)
        await asyncio.shield(self._writing)

    async def stays_open(self, seconds: float) -> None:
        """Return after *seconds*; raise ``TransportError`` as soon as the connection ends before."""
        if self._fault is None and self._reading is not None:
            await asyncio.wait({self._reading}, timeout=seconds)
        if self._fault is not None:
            raise self._fault

    async def finish(self) -> bool:
        """End the connection in order and wait briefly for the peer to do the same.

        Returns whether it did: then it has read everything. Raises ``TransportError`` where the connection
        was reset instead.
        """
        if self._fault is not None:
            raise self._fault
        self.finishing = True
        with contextlib.suppress(TimeoutError):
            try:
                async with asyncio.timeout(_CLOSE_WAIT):
                    await self._close_gracefully()
            except OSError as error:
                self._end(classify_error(self._peer, error, connecting=False))
        if self._fault is not None and not self._closed_in_order:
            raise self._fault
        return self._closed_in_order

    async def close(self) -> None:
        """Finish the running write, wait briefly for the peer to close, then release the socket."""
        try:
            async with asyncio.timeout(_CLOSE_WAIT):
                if self._writing is not None:
                    await asyncio.wait({self._writing})
                if self._fault is None:
                    await self._close_gracefully()
        except (TimeoutError, OSError):
            return
        finally:
            await self.abort()

    async def abort(self) -> None:
        """Release the socket at once. Idempotent."""
        self._end(TransportError(f"{self._peer}: the connection was closed"))
        tasks = {task for task in (self._writing, self._reading) if task is not None}
        for task in tasks:
            task.cancel()
        try:
            if tasks:
                # The loop must have stopped watching the socket before its number can be reused.
                await asyncio.wait(tasks)
        finally:
            self._sock.close()

    async def _handshake(self, tls: TlsLayer) -> None:
        while True:
            try:
                done = tls.handshake()
            finally:
                # Also after an error: the alert tells the peer why.
                await self._loop.sock_sendall(self._sock, tls.outgoing())
            if done:
                return
            data = await self._loop.sock_recv(self._sock, _CHUNK)
            if not data:
                raise ConnectionResetError(errno.ECONNRESET, "closed during the TLS handshake")
            tls.feed(data)

    async def _await_certificate_verdict(self, handshake: float) -> None:
        """Wait for the server's first record after the handshake.

        In TLS 1.3 a server verifies the client's certificate after the client has finished (RFC 8446, 4.4.2);
        session tickets mean acceptance, an alert means refusal. Some servers send nothing, so the wait is
        short.
        """
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(min(2.0, 0.25 + 2 * handshake)):
                await self._received.wait()
        if self._fault is not None:
            raise self._fault

    async def _read(self) -> None:
        try:
            while data := await self._loop.sock_recv(self._sock, _CHUNK):
                if self._tls is not None:
                    self._tls.feed(data)
                    if not self._tls.drain():
                        break
                    await self._flush(self._tls)
                self._received.set()
        except OSError as error:  # ssl.SSLError is one
            self._end(classify_error(self._peer, error, connecting=False))
        else:
            self._closed_in_order = self._fault is None
            self._end(TransportError(f"{self._peer}: the collector closed the connection"))

    async def _write(self, data: bytes, timeout: float) -> None:  # noqa: ASYNC109
        try:
            async with asyncio.timeout(timeout):
                await self._send(data)
                await self._await_acknowledged()
        except TimeoutError:
            self._end(
                TimedOut(f"{self._peer}: the collector did not acknowledge the data within {timeout:g} s")
            )
        except OSError as error:
            self._end(classify_error(self._peer, error, connecting=False))
        if self._fault is not None:
            raise self._fault

    async def _send(self, data: bytes) -> None:
        async with self._sending:
            if self._tls is not None:
                self._tls.seal(data)
                data = self._tls.outgoing()
            await self._loop.sock_sendall(self._sock, data)

    async def _flush(self, tls: TlsLayer) -> None:
        async with self._sending:
            if data := tls.outgoing():
                await self._loop.sock_sendall(self._sock, data)

    async def _await_acknowledged(self) -> None:
        """Wait until the peer's kernel has acknowledged every byte, then check for end of stream."""
        pause = _POLL_FIRST
        while self._fault is None and unacknowledged(self._sock):
            await asyncio.sleep(pause)
            pause = min(_POLL_LAST, pause * 2)
        await asyncio.sleep(0)
        with contextlib.suppress(BlockingIOError):
            if self._fault is None and not self._sock.recv(1, socket.MSG_PEEK):
                self._end(TransportError(f"{self._peer}: the collector closed the connection"))

    async def _close_gracefully(self) -> None:
        if self._tls is not None:
            self._tls.close_notify()
            await self._flush(self._tls)
        self._sock.shutdown(socket.SHUT_WR)
        if self._reading is not None:
            await asyncio.wait({self._reading})

    def _end(self, fault: TransportError) -> None:
        if self._fault is None:
            self._fault = fault
            self._ended = self._loop.time()
            self._received.set()


async def connect(
    host: str,
    port: int,
    *,
    context: ssl.SSLContext | None,
    timeout: float,  # noqa: ASYNC109, shared out between the host's addresses
) -> Stream:
    """Connect to the first address of *host* that accepts; use TLS if *context* is given.

    Names are resolved anew for every connection. Raises ``TransportError``.
    """
    peer = peer_name(host, port)
    loop = asyncio.get_running_loop()
    started = loop.time()
    try:
        async with asyncio.timeout(timeout):
            sock = await connected_socket(host, port, timeout)
            stream = Stream(sock, peer, TlsLayer(context, host) if context else None)
            try:
                await stream.start()
            except BaseException:
                await stream.abort()
                raise
    except TimeoutError:
        raise TimedOut(f"{peer}: no connection within {loop.time() - started:.0f} s") from None
    except OSError as error:
        raise classify_error(peer, error, connecting=True) from None
    return stream


def _forget(task: asyncio.Task[None]) -> None:
    # Retrieve the exception of a write whose caller was cancelled; the connection keeps its fault anyway.
    if not task.cancelled():
        task.exception()
