"""The read-only HTTP endpoint: /metrics, health checks (/healthz, /readyz), JSON status and a status page.

It runs in its own thread on a socket bound by the main thread, and reads only an immutable snapshot of the
status and the metrics. It therefore answers while the main loop is busy, and reports when the loop hangs.
"""

from __future__ import annotations

import asyncio
import errno
import socket
import ssl
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import field
from typing import TYPE_CHECKING

from connector.errors import ConfigurationError, Problem
from connector.model import JsonObject
from connector.telemetry.trend import Trend
from connector.values import dataclass

if TYPE_CHECKING:
    from connector.net.listener import ConnectionLimits, Reason

_QUEUE = 128
"""Connections the kernel queues until they are accepted, which happens at once."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What the endpoint serves: status, plots, and *beat*, when they were made (monotonic seconds)."""

    status: JsonObject
    beat: float
    trend: JsonObject = field(default_factory=dict)


class SnapshotHolder:
    """Passes the newest snapshot from the main loop to the endpoint's thread."""

    def __init__(self) -> None:
        self._snapshot = Snapshot({}, time.monotonic())
        self._trend = Trend()

    def publish(self, status: JsonObject) -> None:
        """Publish *status*, which must not be changed afterwards."""
        now = time.monotonic()
        self._snapshot = Snapshot(status, now, self._trend.take(status, now))

    def read(self) -> Snapshot:
        """The newest snapshot."""
        return self._snapshot


def bind(listen: str, setting: str = "server.listen") -> socket.socket:
    """Bind ``host:port`` (``[::1]:9464`` for IPv6; port 0 takes a free one); *setting* is named in errors.

    Raises ``ConfigurationError`` when that is not possible.
    """
    host, _, port = listen.rpartition(":")
    host = host.strip("[]")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind((host, int(port)))
        sock.listen(_QUEUE)
    except (OSError, ValueError, OverflowError) as error:
        sock.close()
        reason = (error.strerror if isinstance(error, OSError) else None) or str(error)
        taken = isinstance(error, OSError) and error.errno == errno.EADDRINUSE
        who = "a connector that runs already, or another program, has it; " if taken else ""
        raise ConfigurationError(
            Problem(
                f"{setting}: cannot listen on {listen}: {reason}",
                hint=f"{who}use another port, or 0 for a free one",
            )
        ) from None
    return sock


def address_of(sock: socket.socket, *, tls: bool = False) -> str:
    """The URL under which *sock* answers on this machine."""
    host, port = sock.getsockname()[:2]
    shown = f"[{host}]" if ":" in host else host
    return f"{'https' if tls else 'http'}://{shown}:{port}"


class Endpoint:
    """Serves the newest snapshot and the metrics; ``start`` and ``stop`` on the main thread.

    Args:
        sock: a bound socket, from ``bind``.
        snapshots: holds the status to show.
        metrics: makes the text of /metrics; called in a thread.
        token: required for everything but /healthz and the bare answer of /readyz; "" for no authentication.
        tls: serve HTTPS, each new connection with this context.
        limits: bounds of connections.
        dropped: called for each connection closed early.
    """

    def __init__(
        self,
        sock: socket.socket,
        snapshots: SnapshotHolder,
        metrics: Callable[[], bytes],
        *,
        token: str = "",
        tls: Callable[[], ssl.SSLContext] | None = None,
        limits: ConnectionLimits | None = None,
        dropped: Callable[[Reason], None] = lambda _: None,
    ) -> None:
        self._sock = sock
        self._snapshots = snapshots
        self._metrics = metrics
        self._token = token
        self._tls = tls
        self._limits = limits
        self._dropped = dropped
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stopped = asyncio.Event()
        self._thread: threading.Thread | None = None

    @property
    def url(self) -> str:
        """Where it answers."""
        return address_of(self._sock, tls=self._tls is not None)

    def start(self) -> None:
        """Start to answer requests."""
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, args=(self._loop,), name="endpoint", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Stop at once; may be called again."""
        if self._loop is not None and self._thread is not None:
            with suppress(RuntimeError):  # it has ended already
                self._loop.call_soon_threadsafe(self._stopped.set)
            self._thread.join(timeout=5)
        self._sock.close()

    def _run(self, loop: asyncio.AbstractEventLoop) -> None:
        with asyncio.Runner(loop_factory=lambda: loop) as runner:
            runner.run(self._serve())

    async def _serve(self) -> None:
        """Serve without uvicorn's own server, which wakes up ten times a second and handles signals."""
        serving = asyncio.create_task(self._listen())
        await self._stopped.wait()
        serving.cancel()
        await asyncio.wait([serving])

    async def _listen(self) -> None:
        loop, called = asyncio.get_running_loop(), asyncio.Event()
        loop.add_reader(self._sock, called.set)
        try:
            await called.wait()
        finally:
            loop.remove_reader(self._sock)
        # What serves HTTP takes a twentieth of the start: imported while the first caller waits.
        from connector.net.listener import ConnectionLimits, Listener  # noqa: PLC0415
        from connector.telemetry.answers import Answers  # noqa: PLC0415

        app = Answers(self._snapshots, self._metrics, self._token).app()
        await Listener(self._sock, app, self._limits or ConnectionLimits(), self._tls, self._dropped).serve()
