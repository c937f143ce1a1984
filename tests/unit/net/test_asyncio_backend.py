"""A host with several addresses is reached by whichever answers, and no socket is left behind."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpcore
import pytest

from connector.net import asyncio_backend
from connector.net.asyncio_backend import AsyncioBackend


@asynccontextmanager
async def echo() -> AsyncIterator[int]:
    """A server that sends back what it gets; its port. It ends when its connections have."""
    serving: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            while data := await reader.read(1 << 16):
                writer.write(data)
                await writer.drain()
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()

    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        serving.add(asyncio.ensure_future(serve(reader, writer)))

    server = await asyncio.start_server(accept, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1]
        await asyncio.gather(*serving)


def resolving(monkeypatch: pytest.MonkeyPatch, *addresses: tuple[str, int]) -> None:
    """Make every name resolve to *addresses*."""

    async def found(*_: Any, **__: Any) -> list[Any]:
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", address) for address in addresses]

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", found, raising=False)


def closed_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


async def talks(stream: httpcore.AsyncNetworkStream) -> bool:
    await stream.write(b"ping")
    answer = await stream.read(100)
    await stream.aclose()
    return answer == b"ping"


async def test_an_address_that_refuses_is_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    async with echo() as port:
        resolving(monkeypatch, ("127.0.0.1", closed_port()), ("127.0.0.1", port))

        assert await talks(await AsyncioBackend().connect_tcp("host", port, timeout=5))


async def test_an_address_that_does_not_answer_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    original, asked = asyncio_backend._open, []

    async def hanging(host: str, port: int) -> Any:
        asked.append(port)
        if port == 1:
            await asyncio.Event().wait()
        return await original(host, port)

    monkeypatch.setattr(asyncio_backend, "_open", hanging)
    monkeypatch.setattr(asyncio_backend, "_NEXT_ADDRESS", 0.01)
    async with echo() as port:
        resolving(monkeypatch, ("127.0.0.1", 1), ("127.0.0.1", port))

        assert await talks(await AsyncioBackend().connect_tcp("host", port, timeout=5))
    assert asked == [1, port]


async def test_a_host_none_of_whose_addresses_answers_names_the_first_reason(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    resolving(monkeypatch, ("127.0.0.1", closed_port()), ("127.0.0.1", closed_port()))

    with pytest.raises(httpcore.ConnectError) as caught:
        await AsyncioBackend().connect_tcp("host", 1, timeout=5)

    assert isinstance(caught.value.__cause__, ConnectionRefusedError)


async def test_what_was_received_before_the_connection_broke_is_still_read() -> None:
    connection = asyncio_backend._Connection()
    connection.data_received(b"HTTP/1.1 413")
    connection.connection_lost(ConnectionResetError())

    assert await connection.read(100) == b"HTTP/1.1 413"
    with pytest.raises(ConnectionResetError):
        await connection.read(100)


async def test_a_large_answer_that_nobody_reads_yet_stays_with_the_peer() -> None:
    sent, done = 0, asyncio.Event()

    async def flood(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        with contextlib.suppress(ConnectionError):
            while sent < 256 << 20:
                writer.write(bytes(1 << 16))
                await writer.drain()
                sent += 1 << 16
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()
        done.set()

    server = await asyncio.start_server(flood, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        stream = await AsyncioBackend().connect_tcp("127.0.0.1", port, timeout=5)
        before = -1
        while sent != before:
            before = sent
            await asyncio.sleep(0.1)

        assert sent < 64 << 20
        taken = 0
        while taken < 1 << 20:
            taken += len(await stream.read(1 << 16))
        await stream.aclose()
        await done.wait()
