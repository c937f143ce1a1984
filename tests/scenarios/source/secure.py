"""Certificates of a private authority, and the least proxy that can CONNECT, for scenarios with TLS."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

import trustme

from connector.net.tls import TlsOptions


class Authority:
    """A private authority, with its certificate in a file."""

    def __init__(self, directory: Path) -> None:
        self._authority = trustme.CA()
        self._directory = directory
        self.file = directory / "authority.pem"
        self._authority.cert_pem.write_to_path(str(self.file))

    @property
    def trusted(self) -> TlsOptions:
        """Options that believe this authority alone."""
        return TlsOptions(ca_file=self.file)

    def server(self, name: str = "127.0.0.1", *, clients: bool = False) -> ssl.SSLContext:
        """A server called *name*; with *clients* it wants a certificate of this authority."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._authority.issue_cert(name).configure_cert(context)
        if clients:
            self._authority.configure_trust(context)
            context.verify_mode = ssl.CERT_REQUIRED
            # With 1.3 a client learns of a refusal only when it reads; both ways have to be understood.
            context.maximum_version = ssl.TLSVersion.TLSv1_2
        return context

    def client(self, name: str = "connector@example.com") -> Path:
        """A file with a client's key and certificate."""
        path = self._directory / f"{name}.pem"
        self._authority.issue_cert(name).private_key_and_cert_chain_pem.write_to_path(str(path))
        return path


@dataclass
class Tunnel:
    """A proxy on *port*; *asked* holds the head of each CONNECT."""

    port: int = 0
    asked: list[str] = field(default_factory=list)

    @property
    def targets(self) -> list[str]:
        """Where each CONNECT wanted to go."""
        return [head.split(" ")[1] for head in self.asked]


@contextlib.asynccontextmanager
async def tunnel(target: int, *, refusal: bytes = b"") -> AsyncIterator[Tunnel]:
    """A proxy that leads every CONNECT to *target* on this machine, or answers *refusal*."""
    it, tasks, writers = Tunnel(), set[asyncio.Task[None]](), list[asyncio.StreamWriter]()

    async def pipe(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            while data := await reader.read(65536):
                writer.write(data)
                await writer.drain()
        writer.close()

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.append(writer)
        it.asked.append((await reader.readuntil(b"\r\n\r\n")).decode())
        if refusal:
            writer.write(refusal)
            writer.close()
            return
        upstream, onward = await asyncio.open_connection("127.0.0.1", target)
        writers.append(onward)
        writer.write(b"HTTP/1.1 200 Connected\r\n\r\n")
        tasks.add(asyncio.create_task(pipe(reader, onward)))
        tasks.add(asyncio.create_task(pipe(upstream, writer)))

    server = await asyncio.start_server(connected, "127.0.0.1", 0)
    it.port = server.sockets[0].getsockname()[1]
    try:
        yield it
    finally:
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for writer in writers:
            writer.close()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()
