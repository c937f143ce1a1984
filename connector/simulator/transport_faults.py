"""Sends responses with faults of the transport: resets, truncation, slow bodies, hanging connections."""

from __future__ import annotations

import asyncio
import socket
import struct
import zlib
from collections.abc import Mapping
from typing import Final

from starlette.types import Receive, Scope, Send

from connector.simulator.exchange import ApiReply
from connector.simulator.faults import Fault

TRANSPORT: Final = "simulator.transport"
"""Key under which the server puts the connection into the ASGI scope, so that a fault can break it."""

_SMALLEST_GZIP: Final = 1_000
"""Bytes from which responses are compressed, as the edge does."""

_PIECES: Final = 20
"""Pieces in which a slow body is sent."""
_LINGER_NONE: Final = struct.pack("ii", 1, 0)


async def deliver(
    answer: ApiReply,
    fault: Fault | None,
    headers: Mapping[str, str],
    scope: Scope,
    receive: Receive,
    send: Send,
) -> None:
    """Send *answer*, damaged or delayed by *fault*."""
    kind = fault.kind if fault else None
    seconds = fault.seconds if fault else None
    if kind == "reset":
        await _break(scope, receive)
        return
    if kind == "hang":
        await _wait(receive, 3600.0 if seconds is None else seconds)
        await _break(scope, receive)
        return
    if kind == "delay":
        await asyncio.sleep(5.0 if seconds is None else seconds)
    await send({"type": "http.response.start", "status": answer.status, "headers": _raw(answer, headers)})
    if kind == "cut":
        await send(_part(answer.body[: len(answer.body) // 2], more=True))
        # The first half must be sent before the reset, which discards the send buffer.
        await asyncio.sleep(0.05)
        await _break(scope, receive)
    elif kind == "slow":
        await _dribble(answer.body, 5.0 if seconds is None else seconds, send)
    else:
        await send(_part(answer.body, more=False))


def compress(answer: ApiReply, accepted: str, level: int | None) -> None:
    """Compress the body if the client accepts gzip and the body is large enough."""
    if level is None or "gzip" not in accepted or len(answer.body) < _SMALLEST_GZIP:
        return
    if "Content-Encoding" in answer.headers:
        return
    packer = zlib.compressobj(level, wbits=31)
    answer.body = packer.compress(answer.body) + packer.flush()
    answer.headers["Content-Encoding"] = "gzip"


def _raw(answer: ApiReply, common: Mapping[str, str]) -> list[tuple[bytes, bytes]]:
    headers = {
        **common, "Content-Type": answer.type, "Content-Length": str(len(answer.body)), **answer.headers,
    }  # fmt: skip
    return [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()]


def _part(body: bytes, *, more: bool) -> dict[str, object]:
    return {"type": "http.response.body", "body": body, "more_body": more}


async def _dribble(body: bytes, seconds: float, send: Send) -> None:
    size = max(len(body) // _PIECES, 1)
    pieces = [body[start : start + size] for start in range(0, len(body), size)]
    for piece in pieces:
        await asyncio.sleep(seconds / len(pieces))
        await send(_part(piece, more=True))
    await send(_part(b"", more=False))


async def _break(scope: Scope, receive: Receive) -> None:
    """Reset the connection: the client sees ECONNRESET instead of a normal close."""
    transport = scope.get("extensions", {}).get(TRANSPORT)
    if transport is None:
        raise RuntimeError("breaking a connection needs the simulator's own server")
    if not transport.is_closing():  # the client may have left
        connection: socket.socket = transport.get_extra_info("socket")
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_NONE)
        transport.abort()
    await _wait(receive, 60.0)


async def _wait(receive: Receive, seconds: float) -> None:
    """Wait until the client disconnects, *seconds* at most."""
    try:
        async with asyncio.timeout(seconds):
            while (await receive())["type"] != "http.disconnect":
                pass
    except TimeoutError:
        pass
