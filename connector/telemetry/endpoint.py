"""The read-only HTTP endpoint: /metrics, health checks (/healthz, /readyz), JSON status and a status page.

It runs in its own thread on a socket bound by the main thread, and reads only an immutable snapshot of the
status and the metrics. It therefore answers while the main loop is busy, and reports when the loop hangs.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
import threading
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from importlib import resources

import orjson
from starlette.applications import Starlette
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp

from connector.errors import ConfigurationError, Problem
from connector.model import JsonObject
from connector.net.listener import ConnectionLimits, Listener, Reason
from connector.telemetry.authentication import Authentication, is_authenticated
from connector.telemetry.trend import Trend

_ALIVE = 30.0
"""Seconds without a snapshot from the main loop after which the process counts as hung."""

_QUEUE = 128
"""Connections the kernel queues until they are accepted, which happens at once."""

_METRICS_SECONDS = 0.25
"""Requests within this time share one text: making it takes the interpreter from the main loop."""

_COMPRESSION = 5
"""Level 9 takes twice the time of 5 and saves a few per cent."""

_COMPRESS_FROM = 1024
"""Bytes; shorter answers are not worth compressing."""

_HEADERS = {
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
}

_PAGE = {
    "/": ("index.html", "text/html"),
    "/page.css": ("page.css", "text/css"),
    "/page.js": ("page.js", "text/javascript"),
}


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
        raise ConfigurationError(
            Problem(
                f"{setting}: cannot listen on {listen}: {error}",
                hint="use another port, or 0 for a free one",
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
        self._limits = limits or ConnectionLimits()
        self._dropped = dropped
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stopped = asyncio.Event()
        self._exposition: asyncio.Future[bytes] | None = None
        self._exposed = 0.0
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
        listener = Listener(self._sock, self._app(), self._limits, self._tls, self._dropped)
        serving = asyncio.create_task(listener.serve())
        await self._stopped.wait()
        serving.cancel()
        await asyncio.wait([serving])

    def _app(self) -> ASGIApp:
        routes = Starlette(
            routes=[
                *(Route(path, _page(*kind)) for path, kind in _PAGE.items()),
                Route("/metrics", self._expose),
                Route("/healthz", self._health),
                Route("/readyz", self._ready),
                Route("/api/status", self._status),
                Route("/api/trend", self._past),
            ]
        )
        compressed = GZipMiddleware(routes, minimum_size=_COMPRESS_FROM, compresslevel=_COMPRESSION)
        return Authentication(compressed, self._token) if self._token else compressed

    async def _expose(self, _: Request) -> Response:
        now = time.monotonic()
        running = self._exposition is not None and not self._exposition.done()
        if self._exposition is None or (now - self._exposed >= _METRICS_SECONDS and not running):
            self._exposed = now
            self._exposition = asyncio.ensure_future(asyncio.to_thread(self._metrics))
        text = await asyncio.shield(self._exposition)
        return Response(text, headers=_HEADERS, media_type="text/plain; version=0.0.4; charset=utf-8")

    async def _health(self, _: Request) -> Response:
        silent = time.monotonic() - self._snapshots.read().beat
        alive = silent < _ALIVE
        return _json({"alive": alive, "seconds_since_heartbeat": round(silent, 1)}, 200 if alive else 503)

    async def _ready(self, request: Request) -> Response:
        status = self._snapshots.read().status
        ready = bool(status.get("ready"))
        answer: JsonObject = {"ready": ready}
        if not self._token or is_authenticated(request.scope):
            answer["reasons"] = status.get("reasons", [{"what": "process", "reason": "starting"}])
        return _json(answer, 200 if ready else 503)

    async def _status(self, _: Request) -> Response:
        return _json(self._snapshots.read().status)

    async def _past(self, _: Request) -> Response:
        return _json(self._snapshots.read().trend)


def _page(name: str, kind: str) -> Callable[[Request], Awaitable[Response]]:
    content = resources.files("connector.telemetry").joinpath("page", name).read_bytes()

    async def answer(_: Request) -> Response:
        return Response(content, headers=_HEADERS, media_type=f"{kind}; charset=utf-8")

    return answer


def _json(value: JsonObject, status: int = 200) -> Response:
    return Response(
        orjson.dumps(value, option=orjson.OPT_APPEND_NEWLINE),
        status_code=status,
        headers=_HEADERS,
        media_type="application/json",
    )
