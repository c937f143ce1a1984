"""What the endpoint answers: metrics, health checks, status and the status page.

Imported with the first connection, for the libraries behind it take a twentieth of the daemon's start.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from importlib import resources

import orjson
from starlette.applications import Starlette
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp

from connector.model import JsonObject
from connector.telemetry.authentication import Authentication, is_authenticated
from connector.telemetry.endpoint import SnapshotHolder

_ALIVE = 30.0
"""Seconds without a snapshot from the main loop after which the process counts as hung."""

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


class Answers:
    """Answers from the newest of *snapshots* and from *metrics*; see ``Endpoint`` for *token*."""

    def __init__(self, snapshots: SnapshotHolder, metrics: Callable[[], bytes], token: str) -> None:
        self._snapshots = snapshots
        self._metrics = metrics
        self._token = token
        self._exposition: asyncio.Future[bytes] | None = None
        self._exposed = 0.0

    def app(self) -> ASGIApp:
        """All of it as one application."""
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
