"""Collectors that only count, in one process of their own: as fast as a collector can be.

``python -m tests.benchmarks.collector NAME=KIND[:SECONDS] ...`` opens a loopback port for each and prints
them as one JSON object. Kinds are ``hec``, ``bulk``, ``http``, ``down`` (answers 503), ``tcp`` (lines) and
``udp``; SECONDS is how long each answer takes. ``GET /counts`` on the port of ``control`` tells the events
taken so far.
"""

from __future__ import annotations

import asyncio
import json
import sys
import zlib
from collections import Counter
from typing import cast

from connector.app.runtime import run

_GZIP = 16 + zlib.MAX_WBITS
_HEC = b'{"text":"Success","code":0}'
_BULK = b'{"create":{"status":201}}'

taken: Counter[str] = Counter()


class Http(asyncio.Protocol):
    """Just enough HTTP/1.1: requests with a length, answers on the same connection, one at a time."""

    def __init__(self, name: str, kind: str, seconds: float) -> None:
        self._name, self._kind, self._seconds = name, kind, seconds
        self._buffer = bytearray()
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # Not asked what it is: a faster loop's transports are no children of the library's.
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        while True:
            end = self._buffer.find(b"\r\n\r\n")
            if end < 0:
                return
            head = b"\r\n" + bytes(self._buffer[:end]).lower()
            length = int(_header(head, b"content-length") or 0)
            if len(self._buffer) < end + 4 + length:
                return
            body = bytes(self._buffer[end + 4 : end + 4 + length])
            del self._buffer[: end + 4 + length]
            self._take(body, packed=_header(head, b"content-encoding") == b"gzip")

    def _take(self, body: bytes, *, packed: bool) -> None:
        status, answer = b"200 OK", b""
        if self._kind == "counts":
            answer = json.dumps(taken).encode()
        elif self._kind == "down":
            status = b"503 Service Unavailable"
        elif body:
            plain = zlib.decompress(body, _GZIP) if packed else body
            lines = plain.count(b"\n")
            count = {"hec": lines + 1, "bulk": lines // 2}.get(self._kind, lines)
            taken[self._name] += count
            if self._kind == "hec":
                answer = _HEC
            elif self._kind == "bulk":
                answer = b'{"errors":false,"items":[' + b",".join([_BULK] * count) + b"]}"
        reply = b"HTTP/1.1 %b\r\ncontent-length: %d\r\n\r\n%b" % (status, len(answer), answer)
        if self._seconds:
            asyncio.get_running_loop().call_later(self._seconds, self._answer, reply)
        else:
            self._answer(reply)

    def _answer(self, reply: bytes) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(reply)


class Lines(asyncio.Protocol):
    """Counts line ends."""

    def __init__(self, name: str) -> None:
        self._name = name

    def data_received(self, data: bytes) -> None:
        taken[self._name] += data.count(b"\n")


class Datagrams(asyncio.DatagramProtocol):
    """Counts datagrams."""

    def __init__(self, name: str) -> None:
        self._name = name

    def datagram_received(self, data: bytes, addr: object) -> None:
        taken[self._name] += 1


def _header(head: bytes, name: bytes) -> bytes:
    at = head.find(b"\r\n" + name + b":")
    return b"" if at < 0 else head[at + len(name) + 3 :].split(b"\r\n", 1)[0].strip()


async def _open(name: str, kind: str, seconds: float) -> int:
    loop = asyncio.get_running_loop()
    if kind == "udp":
        transport, _ = await loop.create_datagram_endpoint(lambda: Datagrams(name), ("127.0.0.1", 0))
        return int(transport.get_extra_info("sockname")[1])

    def protocol() -> asyncio.Protocol:
        return Lines(name) if kind == "tcp" else Http(name, kind, seconds)

    server = await loop.create_server(protocol, "127.0.0.1", 0)
    return int(server.sockets[0].getsockname()[1])


async def _serve(wanted: list[str]) -> None:
    ports = {"control": await _open("control", "counts", 0.0)}
    for one in wanted:
        name, _, what = one.partition("=")
        kind, _, seconds = what.partition(":")
        ports[name] = await _open(name, kind, float(seconds or 0))
    sys.stdout.write(json.dumps(ports) + "\n")
    sys.stdout.flush()
    await asyncio.get_running_loop().create_future()


if __name__ == "__main__":
    run(_serve(sys.argv[1:]))
