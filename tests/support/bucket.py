"""An S3 bucket on a loopback socket: stores objects, honours ``If-None-Match``, misbehaves when told to."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import hashlib
import ssl
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from typing import TypeAlias
from urllib.parse import unquote

from tests.support.scripted_http import Asked, Reply, ScriptedServer, scripted

Trouble: TypeAlias = Callable[[Asked], Reply | None]


def refusal(status: int, code: str, message: str = "no", **headers: str) -> Reply:
    """An error as S3 writes it."""
    body = f"<?xml version='1.0'?><Error><Code>{code}</Code><Message>{message}</Message></Error>"
    named = {name.replace("_", "-"): text for name, text in headers.items()}
    return Reply(status, body.encode(), {"content-type": "application/xml", **named})


class Bucket:
    """What is stored: path to body. *trouble* answers before, *afterwards* instead of a success."""

    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}
        self.trouble: Trouble = lambda _: None
        self.afterwards: Trouble = lambda _: None
        self.server: ScriptedServer | None = None
        self.repetitions = 0

    @property
    def url(self) -> str:
        assert self.server is not None
        return self.server.url

    def answer(self, asked: Asked) -> Reply:
        if (refused := self.trouble(asked)) is not None:
            return refused
        if asked.method != "PUT":
            return Reply(200, b"<ListBucketResult/>")
        assert asked.headers["x-amz-content-sha256"] == hashlib.sha256(asked.body).hexdigest()
        key = unquote(asked.path)
        if key in self.objects and asked.headers.get("if-none-match") == "*":
            self.repetitions += 1
            return refusal(412, "PreconditionFailed")
        self.objects[key] = asked.body
        return self.afterwards(asked) or Reply(200)

    def lines(self) -> list[bytes]:
        """Every line of every object, in the order of their keys."""
        return [
            line
            for key in sorted(self.objects)
            for line in gzip.decompress(self.objects[key]).split(b"\n")[:-1]
        ]


@contextlib.asynccontextmanager
async def bucket(*, tls: ssl.SSLContext | None = None) -> AsyncIterator[Bucket]:
    """A bucket while the block runs."""
    stored = Bucket()
    async with scripted(stored.answer, tls=tls) as server:
        stored.server = server
        yield stored


@contextlib.contextmanager
def in_a_thread() -> Iterator[Bucket]:
    """A bucket with a loop of its own, for tests of other processes."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    manager = bucket()
    try:
        stored = asyncio.run_coroutine_threadsafe(manager.__aenter__(), loop).result(10)
        try:
            yield stored
        finally:
            asyncio.run_coroutine_threadsafe(manager.__aexit__(None, None, None), loop).result(10)
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
        loop.close()
