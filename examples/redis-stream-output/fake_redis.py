"""A fake Redis for tests: AUTH, TYPE and XADD, in a thread of its own."""

from __future__ import annotations

import socketserver
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import BinaryIO

Verdict = Callable[[bytes], str | None]


class FakeRedis:
    """The server's state: its password and the entries it accepted.

    *verdict* returns the error for an event; ``None`` accepts it.
    """

    def __init__(self, password: str, verdict: Verdict) -> None:
        self.password = password
        self.verdict = verdict
        self.port = 0
        self.entries: list[bytes] = []

    def serve(self, stream: BinaryIO) -> None:
        """Answer one connection to its end."""
        known = not self.password
        while command := _read(stream):
            if command[0] == b"AUTH":
                known = command[-1].decode() == self.password
                answer = "+OK" if known else f"-WRONGPASS {command[-1].decode()} is not the password"
            elif not known:
                answer = "-NOAUTH Authentication required."
            else:
                answer = self._answer(command)
            stream.write(answer.encode() + b"\r\n")
            stream.flush()

    def _answer(self, command: list[bytes]) -> str:
        if command[0] != b"XADD":
            return "+stream"
        refusal = self.verdict(command[-1])
        if refusal:
            return f"-{refusal}"
        self.entries.append(command[-1])
        number = f"{len(self.entries)}-0"
        return f"${len(number)}\r\n{number}"


def _read(stream: BinaryIO) -> list[bytes]:
    head = stream.readline()
    if not head.endswith(b"\r\n"):
        return []
    parts = []
    for _ in range(int(head[1:])):
        length = stream.readline()
        if not length.endswith(b"\r\n"):
            return []
        part = stream.read(int(length[1:]) + 2)
        if len(part) < int(length[1:]) + 2:
            return []
        parts.append(part[:-2])
    return parts


@contextmanager
def fake_redis(password: str = "", verdict: Verdict = lambda _: None) -> Iterator[FakeRedis]:
    """Run one on a free port of 127.0.0.1."""
    redis = FakeRedis(password, verdict)

    class Handler(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            try:
                with self.connection.makefile("rwb") as stream:
                    redis.serve(stream)
            except OSError:
                return

    class Server(socketserver.ThreadingTCPServer):
        allow_reuse_address = True
        daemon_threads = True

    with Server(("127.0.0.1", 0), Handler) as server:
        redis.port = server.server_address[1]
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield redis
        finally:
            server.shutdown()
            thread.join()
