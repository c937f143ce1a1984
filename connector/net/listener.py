"""Accepts the endpoint's connections, few at a time and each for a limited time.

Anyone who can reach the port may open connections, so each one has a deadline, and beyond the limit the
connection that has waited longest for its request is closed in favour of the new one. So a probe is answered,
however many silent connections there are.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import resource
import socket
import ssl
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from math import ceil
from typing import Literal

from starlette.types import ASGIApp
from uvicorn.config import Config
from uvicorn.protocols.http.h11_impl import H11Protocol, RequestResponseCycle
from uvicorn.server import ServerState

Reason = Literal["limit", "timeout"]

_SHARE = 8
"""At most one in eight descriptors is for the endpoint: the journal, the API and the outputs need theirs."""

_EXHAUSTED = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})
_EXHAUSTED_WAIT = 0.5
"""Seconds until accept is tried again after the process ran out of descriptors."""

_LOGGER = logging.getLogger("connector.endpoint")
_LOGGER.setLevel(logging.ERROR)  # a malformed request is the sender's mistake and no news for the operator


def _connections() -> int:
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return 64 if soft == resource.RLIM_INFINITY else max(4, min(64, soft // _SHARE))


@dataclass(frozen=True, slots=True)
class ConnectionLimits:
    """Bounds of the endpoint: *connections* at a time, and the seconds of each stage.

    *header_seconds* runs from the connection (with its TLS handshake) to the end of the first request's
    header, *answer_seconds* until the client has read the answer, *idle_seconds* between requests.
    """

    connections: int = field(default_factory=_connections)
    header_seconds: float = 5.0
    answer_seconds: float = 30.0
    idle_seconds: float = 15.0


class Listener:
    """Serves *application* on *sock*; *dropped* is called for each connection closed early.

    *tls* gives the context of each new connection; ``None`` for plain HTTP.
    """

    def __init__(
        self,
        sock: socket.socket,
        application: ASGIApp,
        limits: ConnectionLimits,
        tls: Callable[[], ssl.SSLContext] | None,
        dropped: Callable[[Reason], None],
        *,
        date_header: bool = False,
    ) -> None:
        self.limits = limits
        self.dropped = dropped
        self.config = Config(
            application,
            http=H11Protocol,
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            date_header=date_header,
            timeout_keep_alive=ceil(limits.idle_seconds),
        )
        self.config.load()
        self.state = ServerState()
        self._sock = sock
        self._tls = tls
        self._open: dict[_Connection, None] = {}

    async def serve(self) -> None:
        """Accept connections until cancelled, then close all."""
        loop = asyncio.get_running_loop()
        self._sock.setblocking(False)
        try:
            while True:
                try:
                    sock, _ = await loop.sock_accept(self._sock)
                except OSError as error:
                    if error.errno in _EXHAUSTED:
                        await asyncio.sleep(_EXHAUSTED_WAIT)
                    continue  # anything else: the client is gone already
                self._admit(sock)
        finally:
            for connection in list(self._open):
                connection.abort()

    def _admit(self, sock: socket.socket) -> None:
        if len(self._open) >= self.limits.connections:
            waiting = (connection for connection in self._open if not connection.busy)
            next(waiting, next(iter(self._open))).drop("limit")
        sock.setblocking(False)
        connection = _Connection(self, sock)
        self._open[connection] = None
        connection.start(None if self._tls is None else self._tls())

    def forget(self, connection: _Connection) -> None:
        """Free the place of a closed connection."""
        self._open.pop(connection, None)


class _Connection(H11Protocol):
    """One connection. Data that arrives does not extend its deadline; only the next stage has a new one."""

    def __init__(self, listener: Listener, sock: socket.socket) -> None:
        super().__init__(listener.config, listener.state, {}, asyncio.get_running_loop())
        self.logger = _LOGGER
        self._listener = listener
        self._sock = sock
        self._timer: asyncio.TimerHandle | None = None
        self._opening: asyncio.Task[None] | None = None
        self._answering = False
        self._client_transport: asyncio.Transport | None = None

    @property
    def busy(self) -> bool:
        """Whether a request is being answered, or the client has not read its answer yet."""
        return self._answering or self._unread()

    def start(self, tls: ssl.SSLContext | None) -> None:
        """Shake hands and wait for a request."""
        self._expire_after(self._listener.limits.header_seconds)
        self._opening = self.loop.create_task(self._start(tls))

    async def _start(self, tls: ssl.SSLContext | None) -> None:
        timeouts = {
            "ssl_handshake_timeout": self._listener.limits.header_seconds,
            "ssl_shutdown_timeout": 1.0,
        }
        try:
            await self.loop.connect_accepted_socket(
                lambda: self, self._sock, ssl=tls, **(timeouts if tls else {})
            )
        except (OSError, asyncio.CancelledError):  # no TLS, a handshake that failed, or dropped meanwhile
            self._closed()

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """The handshake is over; a request may come."""
        self._client_transport = transport
        super().connection_made(transport)

    def connection_lost(self, exc: Exception | None) -> None:
        """Free the place."""
        super().connection_lost(exc)
        self._closed()

    def data_received(self, data: bytes) -> None:
        """Read a request; once its header is complete, the answer's time begins."""
        super().data_received(data)
        cycle: RequestResponseCycle | None = self.cycle
        if not self._answering and cycle is not None and not cycle.response_complete:
            self._answering = True
            self._expire_after(self._listener.limits.answer_seconds)

    def on_response_complete(self) -> None:
        """Wait for the next request, or answer the one that is here already."""
        self._answering = False
        if self._unread():
            self._expire_after(self._listener.limits.answer_seconds)
        else:
            self._set_timer(self._listener.limits.idle_seconds, self.transport.close)
        super().on_response_complete()
        if not self.cycle.response_complete:
            self._answering = True
            self._expire_after(self._listener.limits.answer_seconds)

    def drop(self, reason: Reason) -> None:
        """Close at once, and say why."""
        self._listener.dropped(reason)
        self.abort()

    def abort(self) -> None:
        """Close at once."""
        if self._client_transport is not None:
            self._client_transport.abort()
        elif self._opening is not None:
            self._opening.cancel()
        self._closed()

    def _unread(self) -> bool:
        return self._client_transport is not None and self._client_transport.get_write_buffer_size() > 0

    def _expire_after(self, seconds: float) -> None:
        self._set_timer(seconds, partial(self.drop, "timeout"))

    def _set_timer(self, seconds: float, action: Callable[[], None]) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self.loop.call_later(seconds, action)

    def _closed(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._listener.forget(self)
        if self._client_transport is None:
            with suppress(OSError):
                self._sock.close()
