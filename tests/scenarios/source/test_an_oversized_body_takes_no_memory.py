"""A body beyond all bounds, plain or unpacked, is cut off at the limit; a smaller window is asked for."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import tracemalloc
import zlib
from collections.abc import AsyncIterator, Callable, Iterator

import pytest

from connector.errors import SearchIncomplete, SourceError
from connector.model import Priority, Query
from connector.source.options import SourceOptions
from tests.scenarios.source.account import SECOND, account, in_turn, page, rows, run
from tests.support.scripted_http import Reply

LIMIT = 1 << 20
CHUNK = b" " * (64 << 10)
HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n"


def _plain() -> Iterator[bytes]:
    for _ in range(1000):
        yield CHUNK


def _packed() -> Iterator[bytes]:
    packer = zlib.compressobj(1, wbits=31)
    for _ in range(1000):
        if piece := packer.compress(CHUNK):
            yield piece
    yield packer.flush()


@contextlib.asynccontextmanager
async def _streaming(pieces: Callable[[], Iterator[bytes]], coding: bytes) -> AsyncIterator[str]:
    """A server that never holds more of its 64 MB than one piece."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            await reader.readuntil(b"\r\n\r\n")
            writer.write(HEAD + coding + b"\r\n")
            for piece in pieces():
                writer.write(b"%x\r\n%b\r\n" % (len(piece), piece))
                await writer.drain()
            writer.write(b"0\r\n\r\n")
            await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()
        await asyncio.sleep(0)


@pytest.mark.parametrize(
    ("pieces", "coding"), [(_plain, b""), (_packed, b"content-encoding: gzip\r\n")], ids=["plain", "packed"]
)
def test_no_more_than_the_limit_is_ever_held(pieces: Callable[[], Iterator[bytes]], coding: bytes) -> None:
    async def story() -> None:
        async with (
            _streaming(pieces, coding) as origin,
            account(in_turn(page([])), max_body=LIMIT, origin=origin) as it,
        ):
            tracemalloc.start()
            try:
                read, error = await it.read_until_error()
                _, peak = tracemalloc.get_traced_memory()
            finally:
                tracemalloc.stop()
            assert read == []
            assert isinstance(error, SearchIncomplete)
            assert error.reason == "answer_too_large"
            assert peak < 4 * LIMIT

    run(story())


_MANY = b"{}," * 3_000_000 + b"{}"
"""A gzip of nine kilobytes; decoded, two hundred megabytes of objects."""

_AROUND = b'{"success":true,"errors":[' + _MANY + b'],"result":[],"result_info":{}}'
_INSIDE = b'{"success":true,"result":{"id":"r1","links":[' + _MANY + b"]}}"


@pytest.mark.parametrize(
    ("status", "body", "lookup"),
    [(500, _AROUND, False), (200, _AROUND, False), (200, _INSIDE, False), (200, _INSIDE, True)],
    ids=["a failure", "around a page", "no page", "one record"],
)
def test_what_unpacks_to_too_many_objects_is_not_decoded(status: int, body: bytes, *, lookup: bool) -> None:
    packed = gzip.compress(body)
    reply = Reply(status, packed, {"content-type": "application/json", "content-encoding": "gzip"})

    async def story() -> None:
        async with account(in_turn(reply), max_body=16 << 20, options=SourceOptions(attempts=1)) as it:
            tracemalloc.start()
            try:
                asked = it.source.get("r1", Priority.REVISIT) if lookup else it.ids(Query(per_page=1), SECOND)
                with pytest.raises(SourceError) as failed:
                    await asked
                _, peak = tracemalloc.get_traced_memory()
            finally:
                tracemalloc.stop()
            assert (failed.value.reason == "answer_too_large") == (status == 200)
            assert peak < 64 << 20

    run(story())


def test_the_text_names_the_limit() -> None:
    async def story() -> None:
        async with account(in_turn(page(rows(0, 5000))), max_body=10_000) as it:
            _, error = await it.read_until_error()
            assert "larger than 10000 bytes" in str(error)
            sizes = [asked.params["per_page"] for asked in it.searches]
            assert sizes == ["1000", "250", "62", "15", "3", "1"]

    run(story())


def test_what_fits_exactly_is_read() -> None:
    whole = page(rows(0, 3))

    async def story() -> None:
        async with account(in_turn(whole), max_body=len(whole.body)) as it:
            assert len(await it.ids()) == 3

    run(story())
