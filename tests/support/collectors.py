"""Collectors on loopback sockets: what a syslog daemon would have taken, message by message."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import socket
import ssl
import threading
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import trustme

from connector.facts import Fact
from tests.support.listening import listening


def unobserved(_fact: Fact) -> None:
    """An observer that looks away."""


@contextlib.contextmanager
def pipe_reader() -> Iterator[tuple[int, bytearray]]:
    """The writing end of a pipe, and what a thread read from the other end so far."""
    taken = bytearray()
    reading, writing = os.pipe()

    def read() -> None:
        while data := os.read(reading, 1 << 16):
            taken.extend(data)

    reader = threading.Thread(target=read)
    reader.start()
    try:
        yield writing, taken
    finally:
        os.close(writing)
        reader.join()
        os.close(reading)


def free_port() -> int:
    """A port where nobody listens, and that no connection is given as its own: a server may return to it.

    Linux gives connections ports from 32768 on (``net.ipv4.ip_local_port_range``).
    """
    while True:
        port = random.SystemRandom().randrange(20_000, 32_768)
        with socket.socket() as sock, contextlib.suppress(OSError):
            sock.bind(("127.0.0.1", port))
            return port


def split_frames(data: bytes) -> tuple[list[bytes], bytes]:
    """Messages of a byte stream in either framing, told apart by the first byte, and the unfinished rest."""
    messages = []
    while data:
        if data[:1].isdigit():
            head, space, rest = data.partition(b" ")
            length = int(head)
            if not space or len(rest) < length:
                break
            messages.append(rest[:length])
            data = rest[length:]
        else:
            message, ended, rest = data.partition(b"\n")
            if not ended:
                break
            messages.append(message)
            data = rest
    return messages, data


@dataclass
class StreamCollector:
    """A TCP or TLS collector. *connections* holds the bytes of each connection, oldest first."""

    port: int = 0
    connections: list[bytearray] = field(default_factory=list)
    writers: list[asyncio.StreamWriter] = field(default_factory=list)
    reading: asyncio.Event = field(default_factory=asyncio.Event)

    def messages(self) -> list[bytes]:
        """All whole messages of all connections."""
        return [message for data in self.connections for message in split_frames(bytes(data))[0]]

    def torn(self) -> list[bytes]:
        """What connections left unfinished."""
        return [rest for data in self.connections if (rest := split_frames(bytes(data))[1])]

    def hang_up(self, *, reset: bool = False) -> None:
        """End all connections, in good order or with a reset."""
        for writer in self.writers:
            if reset:
                writer.get_extra_info("socket").setsockopt(
                    socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0"
                )
                writer.transport.abort()
            else:
                writer.close()
        self.writers.clear()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        taken = bytearray()
        self.connections.append(taken)
        self.writers.append(writer)
        with contextlib.suppress(ConnectionError, ssl.SSLError):
            await self.reading.wait()
            while data := await reader.read(1 << 16):
                taken += data
        writer.close()
        with contextlib.suppress(ConnectionError, ssl.SSLError, TimeoutError):
            await asyncio.wait_for(writer.wait_closed(), 1)


@contextlib.asynccontextmanager
async def stream_collector(
    *, tls: ssl.SSLContext | None = None, port: int = 0, host: str = "127.0.0.1", reading: bool = True
) -> AsyncIterator[StreamCollector]:
    """Run a collector; with *reading* False it accepts connections but reads nothing at first."""
    collector = StreamCollector()
    if reading:
        collector.reading.set()
    async with listening(collector.serve, host=host, port=port, tls=tls) as collector.port:
        try:
            yield collector
        finally:
            collector.hang_up()


class DatagramCollector(asyncio.DatagramProtocol):
    """A UDP collector."""

    def __init__(self) -> None:
        self.port = 0
        self.taken: list[bytes] = []

    def datagram_received(self, data: bytes, addr: object) -> None:
        self.taken.append(data)

    def messages(self) -> Sequence[bytes]:
        return list(self.taken)


@contextlib.asynccontextmanager
async def datagram_collector(host: str = "127.0.0.1") -> AsyncIterator[DatagramCollector]:
    """Run a UDP collector on a free port of *host*."""
    transport, collector = await asyncio.get_running_loop().create_datagram_endpoint(
        DatagramCollector, local_addr=(host, 0)
    )
    collector.port = transport.get_extra_info("sockname")[1]
    try:
        yield collector
    finally:
        transport.close()
        await asyncio.sleep(0)


@dataclass(frozen=True)
class Authority:
    """A private authority with files as an operator would have them."""

    ca_file: str
    server: ssl.SSLContext
    cert_file: str


def authority(folder: Path, *names: str) -> Authority:
    """Make in *folder* an authority, a server context for *names* (127.0.0.1), a client certificate."""
    ca = trustme.CA()
    ca_file, cert_file = f"{folder}/ca.pem", f"{folder}/client.pem"
    ca.cert_pem.write_to_path(ca_file)
    ca.issue_cert("client.example").private_key_and_cert_chain_pem.write_to_path(cert_file)
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    ca.issue_cert(*(names or ("127.0.0.1",))).configure_cert(server)
    ca.configure_trust(server)
    return Authority(ca_file, server, cert_file)


async def until(condition: Callable[[], object], patience: float = 10.0) -> None:
    """Wait until the callable *condition* is true."""

    async with asyncio.timeout(patience):
        while not condition():  # noqa: ASYNC110, the other side has no event to wait for
            await asyncio.sleep(0.005)
