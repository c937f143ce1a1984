"""An API that only looks up: pages of records that were rendered before, so that it never slows a benchmark.

``python -m tests.benchmarks.static_api RECORDS SPAN_SECONDS ERA`` prints its URL. It answers searches by
window, ``per_page`` and cursor, compressed; nothing limits how much may be asked.
"""

from __future__ import annotations

import asyncio
import sys
import zlib
from bisect import bisect_left
from datetime import datetime, timedelta
from functools import lru_cache
from typing import cast
from urllib.parse import parse_qs, urlsplit

from connector.app.runtime import run
from connector.simulator.values import Era
from tests.benchmarks.corpus import records

_GZIP = 16 + zlib.MAX_WBITS
_PAGES = 256
"""Pages kept compressed: a benchmark asks for the same ones in every run."""


class Store:
    """All records by time; pages are cut and compressed once."""

    def __init__(self, rows: list[tuple[int, bytes]]) -> None:
        self._times = [second for second, _ in rows]
        self._rows = [record for _, record in rows]
        self.page = lru_cache(maxsize=_PAGES)(self._page)

    def _page(self, start: str, end: str, per_page: int, after: int) -> bytes:
        first = bisect_left(self._times, _second(start)) + after
        last = bisect_left(self._times, _second(end))
        rows = self._rows[first : min(first + per_page, last)]
        following = b'"%d"' % (after + per_page) if first + per_page < last else b"null"
        body = b"".join((
            b'{"errors":[],"messages":[],"result":[', b",".join(rows),
            b'],"result_info":{"count":%d,"per_page":%d,"next":' % (len(rows), per_page), following,
            b'},"success":true}',
        ))  # fmt: skip
        packer = zlib.compressobj(1, zlib.DEFLATED, _GZIP)
        return packer.compress(body) + packer.flush()


def _second(text: str) -> int:
    return int(datetime.fromisoformat(text).timestamp())


class Http(asyncio.Protocol):
    """Just enough HTTP/1.1: requests without a body, answers on the same connection."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._buffer = b""
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # Not asked what it is: a faster loop's transports are no children of the library's.
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        *requests, self._buffer = (self._buffer + data).split(b"\r\n\r\n")
        for request in requests:
            target = request.split(b" ", 2)[1].decode()
            asked = {name: values[0] for name, values in parse_qs(urlsplit(target).query).items()}
            body = b""
            if "start" in asked:
                body = self._store.page(
                    asked["start"], asked["end"], int(asked["per_page"]), int(asked.get("cursor", 0))
                )
            status = b"200 OK" if body else b"404 Not Found"
            head = b"HTTP/1.1 %b\r\ncontent-type: application/json\r\n%bcontent-length: %d\r\n\r\n"
            if self._transport is not None:
                self._transport.write(
                    head % (status, b"content-encoding: gzip\r\n" if body else b"", len(body)) + body
                )


async def _serve(store: Store) -> None:
    server = await asyncio.get_running_loop().create_server(lambda: Http(store), "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    sys.stdout.write(f"http://127.0.0.1:{port}/client/v4\n")
    sys.stdout.flush()
    await asyncio.get_running_loop().create_future()


if __name__ == "__main__":
    run(
        _serve(
            Store(
                records(int(sys.argv[1]), timedelta(seconds=float(sys.argv[2])), era=cast("Era", sys.argv[3]))
            )
        )
    )
