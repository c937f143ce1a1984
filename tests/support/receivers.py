"""Collectors in threads, for tests in which the connector is a process of its own."""

from __future__ import annotations

import gzip
import socketserver
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, TypeVar

import orjson


class HttpReceiver:
    """Keeps the events of every request that it answered with 200; ``gate`` holds answers back.

    A request with an event that ``refuse`` says yes to is answered with ``refusal`` as a whole.
    """

    def __init__(self) -> None:
        self.events: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        self.gate = threading.Event()
        self.gate.set()
        self.waiting = threading.Event()
        self.refuse: Callable[[dict[str, Any]], bool] = lambda _: False
        self.refusal = 400
        self.url = ""

    def reached(self, count: int) -> bool:
        """Whether as many events arrived."""
        return len(self.events) >= count

    def take(self, body: bytes, headers: dict[str, str]) -> bool:
        """Take one request's body, NDJSON; says whether it is accepted."""
        self.headers.append(headers)
        if headers.get("content-encoding") == "gzip":
            body = gzip.decompress(body)
        events = [orjson.loads(line) for line in body.splitlines() if line]
        if any(self.refuse(event) for event in events):
            return False
        self.events.extend(events)
        return True


@contextmanager
def http_receiver() -> Iterator[HttpReceiver]:
    """An HTTP collector on a loopback port."""
    receiver = HttpReceiver()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length", "0")))
            receiver.waiting.set()
            receiver.gate.wait()
            taken = receiver.take(body, {name.lower(): value for name, value in self.headers.items()})
            self.send_response(200 if taken else receiver.refusal)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002, the signature is the library's
            return

    server = _quiet(ThreadingHTTPServer(("127.0.0.1", 0), Handler))
    server.daemon_threads = True
    receiver.url = f"http://127.0.0.1:{server.server_address[1]}/ingest"
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield receiver
    finally:
        receiver.gate.set()
        server.shutdown()
        server.server_close()
        thread.join()


Server = TypeVar("Server", bound=socketserver.BaseServer)


def _quiet(server: Server) -> Server:
    """A peer that is killed resets its connections; that is what these tests are about."""
    server.handle_error = lambda request, client_address: None  # type: ignore[method-assign]
    return server


class LineReceiver:
    """Keeps the lines of every connection."""

    def __init__(self) -> None:
        self.lines: list[bytes] = []
        self.port = 0


@contextmanager
def line_receiver() -> Iterator[LineReceiver]:
    """A TCP collector of LF-terminated lines on a loopback port."""
    receiver = LineReceiver()

    class Handler(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            for line in self.rfile:
                if line.endswith(b"\n"):
                    receiver.lines.append(line[:-1])

    server = _quiet(socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler))
    server.daemon_threads = True
    receiver.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield receiver
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
