"""The control socket: a Unix socket in the state directory through which commands reach a running daemon.

Only its owner can connect. One request per connection, a line of JSON each way:
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
_REQUEST_BYTES = 1 << 20
_ANSWER_BYTES = 64 << 20
"""Limits of one line: a request names up to 1000 dead letters, a status may list thousands of feeds."""

_TIMEOUT = 30.0
"""Seconds for request and answer: longer than any command takes on a slow disk, short enough to wait for."""

_PATH_LIMIT = 100
"""Bytes. Linux allows 108 (``sun_path``); longer paths are reached through ``/proc/self/fd``."""

Handler = Callable[[JsonObject], Awaitable[object]]


class NoDaemon(ConnectorError):
    """No daemon is running on this state directory."""


@asynccontextmanager
async def serve_control(directory: Path, handlers: Mapping[str, Handler]) -> AsyncIterator[None]:
    """Answer commands while the block runs.

    Raises ``ConnectorError`` if the socket cannot be created.
    """

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError, asyncio.TimeoutError):
            async with asyncio.timeout(_TIMEOUT):
                line = await reader.readline()
                writer.write(orjson.dumps(await _handle(line, handlers), default=str) + b"\n")
                await writer.drain()
        writer.close()

    path = directory / SOCKET
    try:
        server = await _listen(path, answer)
    except OSError as error:
        raise ConnectorError(f"cannot create the control socket {path}: {error.strerror}") from None
    try:
        yield
    finally:
        server.close()
        with suppress(OSError):
            path.unlink()


def _make_way(path: Path) -> None:
    """Remove a socket that a killed daemon left behind; refuse to remove anything else."""
    if path.is_symlink() or (path.exists() and not _is_socket(path)):
        raise ConnectorError(f"{path} exists and is not a socket; move it away, the connector needs the name")
    path.unlink(missing_ok=True)


async def _listen(
    path: Path, answer: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
) -> asyncio.Server:
    """Create the socket, for its owner only."""
    _make_way(path)
    with _short(path) as reachable:
        before = os.umask(0o177)
        try:
            return await asyncio.start_unix_server(answer, reachable, limit=_REQUEST_BYTES)
        finally:
            os.umask(before)


async def ask(directory: Path, command: str, **arguments: object) -> object:
    """Send *command* to the daemon on *directory* and return its result.

    Raises ``NoDaemon`` if none is running there, ``ConnectorError`` with the error that the daemon returned.
    """
    path = directory / SOCKET
    if not _is_socket(path):
        raise NoDaemon(f"no daemon is running on the state directory {directory}")
    try:
        with _short(path) as reachable:
            reader, writer = await asyncio.open_unix_connection(reachable, limit=_ANSWER_BYTES)
    except OSError:
        raise NoDaemon(f"no daemon is running on the state directory {directory}") from None
    try:
        async with asyncio.timeout(_TIMEOUT):
            writer.write(orjson.dumps({"command": command, **arguments}) + b"\n")
            await writer.drain()
            line = await reader.readline()
    except TimeoutError:
        raise ConnectorError(
            f"the daemon on the state directory {directory} did not answer within {_TIMEOUT:.0f} s; "
            "the command may still be running: check `status`, then try again"
        ) from None
    except (OSError, ValueError):  # ValueError: the answer is longer than the limit
        line = b""
    finally:
        writer.close()
    if not line:
        raise NoDaemon(f"the daemon on the state directory {directory} closed the connection")
    try:
        answer = orjson.loads(line)
    except orjson.JSONDecodeError:
        answer = None
    if not isinstance(answer, dict):
        raise ConnectorError("unexpected reply from the daemon (version mismatch?)")
    if not answer.get("ok"):
        raise ConnectorError(str(answer.get("error", "the daemon refused the command")))
    result: object = answer.get("result")
    return result


async def _handle(line: bytes, handlers: Mapping[str, Handler]) -> JsonObject:
    try:
        request = orjson.loads(line)
        handler = handlers[request.pop("command")]
    except (orjson.JSONDecodeError, KeyError, AttributeError, TypeError):
        return {"ok": False, "error": f"unknown command; expected one of: {', '.join(sorted(handlers))}"}
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
    """A path for *path* that fits into a socket address, however long it is."""
    if len(os.fsencode(path)) <= _PATH_LIMIT:
        yield str(path)
        return
    handle = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{handle}/{path.name}"
    finally:
        os.close(handle)
