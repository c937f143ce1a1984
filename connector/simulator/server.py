"""Serves a simulator over HTTP: inside a running event loop, or from a thread.

uvicorn implements the protocol; this module owns the listening socket, so that no signal handler is
installed and stopping never waits for uvicorn's tick.
"""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from typing import Any, Final

from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.config import Config
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.server import ServerState

from connector.simulator.simulator import Simulator
from connector.simulator.transport_faults import TRANSPORT

_PREFIX: Final = "/client/v4"
_KEEP_ALIVE: Final = 120  # seconds; longer than a usual polling interval, as the real edge does
_THREAD_START: Final = 30.0  # seconds


class _Protocol(H11Protocol):
    """Exposes the connection to the application, so that faults can break it."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.app = _exposing(self.app, transport)


def _exposing(app: ASGIApp, transport: asyncio.Transport) -> ASGIApp:
    async def exposed(scope: Scope, receive: Receive, send: Send) -> None:
        scope.setdefault("extensions", {})[TRANSPORT] = transport
        await app(scope, receive, send)

    return exposed


@asynccontextmanager
async def listening(
    simulator: Simulator, host: str = "127.0.0.1", port: int = 0, *, bound: socket.socket | None = None
) -> AsyncIterator[str]:
    """Serve *simulator* in the running loop for the duration of the block; yields the base URL.

    Port 0 picks a free one. A *bound* socket replaces *host* and *port* and is closed at the end.
    """
    config = Config(
        simulator.app,
        http=_Protocol,
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        date_header=False,
        timeout_keep_alive=_KEEP_ALIVE,
    )
    config.load()
    state = ServerState()
    loop = asyncio.get_running_loop()

    def protocol() -> asyncio.Protocol:
        return _Protocol(config=config, server_state=state, app_state={}, _loop=loop)

    place: dict[str, Any] = {"sock": bound} if bound else {"host": host, "port": port}
    server = await loop.create_server(protocol, **place)
    try:
        yield _base_url(server.sockets[0])
    finally:
        server.close()
        await _close(state)


async def serve(
    simulator: Simulator,
    host: str = "127.0.0.1",
    port: int = 0,
    ready: Callable[[str], None] | None = None,
    *,
    bound: socket.socket | None = None,
) -> None:
    """Serve until cancelled; *ready* is called with the base URL once requests are accepted."""
    async with listening(simulator, host, port, bound=bound) as base_url:
        if ready is not None:
            ready(base_url)
        await asyncio.get_running_loop().create_future()


@contextmanager
def running(simulator: Simulator, host: str = "127.0.0.1", port: int = 0) -> Iterator[str]:
    """Serve from a new thread for the duration of the block; yields the base URL, ending in /client/v4."""
    background = _Background(simulator, host, port)
    try:
        yield background.start()
    finally:
        background.stop()


class _Background:
    """A thread with its own event loop that serves until stopped."""

    def __init__(self, simulator: Simulator, host: str, port: int) -> None:
        self._simulator = simulator
        self._place = (host, port)
        self._ready = threading.Event()
        self._url: str | None = None
        self._error: BaseException | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._task: asyncio.Task[None] | None = None
        self._thread = threading.Thread(target=self._run, name="simulator", daemon=True)

    def start(self) -> str:
        """Return the base URL once requests are accepted; raises the error that prevented it."""
        self._thread.start()
        self._ready.wait(_THREAD_START)
        if self._url is None:
            raise self._error or RuntimeError("the simulator did not start")
        return self._url

    def stop(self) -> None:
        """Stop the loop and join the thread."""
        if self._loop is not None and self._task is not None:
            with suppress(RuntimeError):  # the loop has already ended
                self._loop.call_soon_threadsafe(self._task.cancel)
        self._thread.join()

    def _run(self) -> None:
        try:
            with suppress(asyncio.CancelledError):
                asyncio.run(self._serve())
        except Exception as error:  # noqa: BLE001 - raised again in start()
            self._error = error
        finally:
            self._ready.set()

    async def _serve(self) -> None:
        self._loop, self._task = asyncio.get_running_loop(), asyncio.current_task()
        await serve(self._simulator, *self._place, self._accepting)

    def _accepting(self, base_url: str) -> None:
        self._url = base_url
        self._ready.set()


async def _close(state: ServerState) -> None:
    """Abort every connection and cancel requests in progress."""
    tasks = list(state.tasks)
    for task in tasks:
        task.cancel()
    for connection in list(state.connections):
        if connection.transport is not None:
            connection.transport.abort()
    await asyncio.gather(*tasks, return_exceptions=True)
    # One iteration of the loop lets the transports notify their protocols.
    await asyncio.sleep(0)


def _base_url(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}{_PREFIX}" if ":" in host else f"http://{host}:{port}{_PREFIX}"
