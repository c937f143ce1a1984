"""Proxies in front of PostgreSQL: they break a connection at a COMMIT, or keep it open in silence."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Literal, TypeVar

_ANSWER_SECONDS = 0.3
"""Time that the server has to commit, though its answer is thrown away."""


class CommitProxy:
    """*cut* is armed for one COMMIT, and counts the cuts."""

    def __init__(self, server_port: int) -> None:
        self._server_port = server_port
        self.cut: Literal["", "before", "answer"] = ""
        self.cuts = 0
        self.port = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Pass one connection on."""
        server_reader, server_writer = await asyncio.open_connection("127.0.0.1", self._server_port)
        answers = asyncio.create_task(self._pass(server_reader, writer))
        try:
            while data := await reader.read(1 << 16):
                if b"COMMIT" in data and self.cut:
                    how, self.cut = self.cut, ""
                    self.cuts += 1
                    answers.cancel()
                    if how == "answer":
                        server_writer.write(data)
                        await server_writer.drain()
                        await asyncio.sleep(_ANSWER_SECONDS)
                    break
                server_writer.write(data)
                await server_writer.drain()
        except OSError:
            pass
        finally:
            answers.cancel()
            for one in (writer, server_writer):
                one.transport.abort()

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(1 << 16):
                writer.write(data)
                await writer.drain()
            writer.close()


class SilentProxy:
    """After ``silence`` the connections of before stay open, and nothing passes; new ones are served."""

    def __init__(self, server_port: int) -> None:
        self._server_port = server_port
        self._era = 0
        self.port = 0

    def silence(self) -> None:
        """Pass nothing on for those who are connected now."""
        self._era += 1

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Pass one connection on."""
        era = self._era
        server_reader, server_writer = await asyncio.open_connection("127.0.0.1", self._server_port)
        answers = asyncio.create_task(self._pass(era, server_reader, writer))
        try:
            await self._pass(era, reader, server_writer)
        finally:
            answers.cancel()
            for one in (writer, server_writer):
                one.transport.abort()

    async def _pass(self, era: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(1 << 16):
                if era == self._era:
                    writer.write(data)
                    await writer.drain()
            if era == self._era:
                writer.close()


Proxy = TypeVar("Proxy", CommitProxy, SilentProxy)


@contextlib.asynccontextmanager
async def listening(proxy: Proxy) -> AsyncIterator[Proxy]:
    """*proxy* while the block runs; its ``port`` says where."""
    server = await asyncio.start_server(proxy.serve, "127.0.0.1", 0)
    proxy.port = server.sockets[0].getsockname()[1]
    try:
        yield proxy
    finally:
        server.close()
