"""The control socket: how commands reach a running daemon.

A Unix socket in the state directory, for its owner only. One request per connection, a line of JSON each way:
``{"command": ...}``, then ``{"ok": true, "result": ...}`` or ``{"ok": false, "error": ...}``.
"""

from __future__ import annotations

import asyncio
import os
import stat
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path

import orjson

from connector.errors import ConnectorError
from connector.model import JsonObject

SOCKET = "control.sock"
_LONGEST = 1 << 20
_PATIENCE = 30.0
_PATH_LIMIT = 100
"""A Unix socket's path may have about 108 bytes; longer ones are reached through the directory."""

Handler = Callable[[JsonObject], Awaitable[object]]


class NoDaemon(ConnectorError):
    """No daemon runs on this state directory."""


@asynccontextmanager
async def serve_control(directory: Path, handlers: Mapping[str, Handler]) -> AsyncIterator[None]:
    """Answer commands while the block runs."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError, asyncio.TimeoutError):
            async with asyncio.timeout(_PATIENCE):
                line = await reader.readline()
                writer.write(orjson.dumps(await _handle(line, handlers), default=str) + b"\n")
                await writer.drain()
        writer.close()

    path = directory / SOCKET
    path.unlink(missing_ok=True)
    with _short(path) as reachable:
        before = os.umask(0o177)
        try:
            server = await asyncio.start_unix_server(answer, reachable, limit=_LONGEST)
        finally:
            os.umask(before)
    try:
        yield
    finally:
        server.close()
        with suppress(OSError):
            path.unlink()


async def ask(directory: Path, command: str, **arguments: object) -> object:
    """Send *command* to the daemon on *directory* and return its result.

    Raises ``NoDaemon`` when none runs there, ``ConnectorError`` with what the daemon said.
    """
    path = directory / SOCKET
    if not _is_socket(path):
        raise NoDaemon(f"no daemon runs on the state directory {directory}")
    try:
        with _short(path) as reachable:
            reader, writer = await asyncio.open_unix_connection(reachable, limit=64 << 20)
    except OSError:
        raise NoDaemon(f"no daemon answers on the state directory {directory}") from None
    try:
        async with asyncio.timeout(_PATIENCE):
            writer.write(orjson.dumps({"command": command, **arguments}) + b"\n")
            await writer.drain()
            line = await reader.readline()
    except TimeoutError:
        raise ConnectorError(
            f"the daemon on the state directory {directory} did not answer within {_PATIENCE:.0f} s; "
            "it may still be at it: look at its state, then ask again"
        ) from None
    except OSError:
        line = b""
    finally:
        writer.close()
    if not line:
        raise NoDaemon(f"the daemon on the state directory {directory} went away")
    answer = orjson.loads(line)
    if not answer.get("ok"):
        raise ConnectorError(str(answer.get("error", "the daemon refused the command")))
    result: object = answer.get("result")
    return result


async def _handle(line: bytes, handlers: Mapping[str, Handler]) -> JsonObject:
    try:
        request = orjson.loads(line)
        handler = handlers[request.pop("command")]
    except (orjson.JSONDecodeError, KeyError, AttributeError, TypeError):
        return {"ok": False, "error": f"unknown command; known: {', '.join(sorted(handlers))}"}
    try:
        return {"ok": True, "result": await handler(request)}
    except ConnectorError as error:
        return {"ok": False, "error": str(error)}


def _is_socket(path: Path) -> bool:
    try:
        return stat.S_ISSOCK(path.stat().st_mode)
    except OSError:
        return False


@contextmanager
def _short(path: Path) -> Iterator[str]:
    """A name for *path* that fits into a socket address, however deep its directory lies."""
    if len(os.fsencode(path)) <= _PATH_LIMIT:
        yield str(path)
        return
    handle = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{handle}/{path.name}"
    finally:
        os.close(handle)
