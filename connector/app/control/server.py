"""The control socket: a Unix socket in the state directory through which commands reach a running daemon.

Only its owner can connect. One request per connection, a line of JSON each way:
``{"command": ...}``, then ``{"ok": true, "result": ...}`` or ``{"ok": false, "error": ...}``. A stream
(``tap``) answers with such lines until either side closes the connection.
"""

from __future__ import annotations

import asyncio
import os
import stat
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Coroutine, Iterator, Mapping
from contextlib import aclosing, asynccontextmanager, contextmanager, suppress
from pathlib import Path
from types import MappingProxyType

import orjson

from connector.errors import ConnectorError
from connector.model import JsonObject

SOCKET = "control.sock"
PAGE_SIZE = 100
"""Most dead letters that one request reads or resolves: keeps every answer quick and small."""

_REQUEST_BYTES = 1 << 20
_ANSWER_BYTES = 64 << 20
"""Limits of one line: a request names up to 1000 dead letters, a status may list thousands of feeds."""

_TIMEOUT = 30.0
"""Seconds for request and answer: longer than any command takes on a slow disk, short enough to wait for."""

_PATH_LIMIT = 100
"""Bytes. Linux allows 108 (``sun_path``); longer paths are reached through ``/proc/self/fd``."""

Handler = Callable[[JsonObject], Awaitable[object]]
Stream = Callable[[JsonObject], AsyncGenerator[object, None]]
"""Answers one request with many results, until the client leaves. It may raise ``ConnectorError``."""

_NO_STREAMS: Mapping[str, Stream] = MappingProxyType({})


class NoDaemon(ConnectorError):
    """No daemon is running on this state directory."""


@asynccontextmanager
async def serve_control(
    directory: Path, handlers: Mapping[str, Handler], streams: Mapping[str, Stream] = _NO_STREAMS
) -> AsyncIterator[None]:
    """Answer commands while the block runs.

    Raises ``ConnectorError`` if the socket cannot be created.
    """

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError, asyncio.TimeoutError):
            async with asyncio.timeout(_TIMEOUT):
                request = _request(await reader.readline())
                command = request.pop("command", None)
                stream = streams.get(command) if isinstance(command, str) else None
                if stream is None:
                    await _write(writer, await _handle(command, request, handlers))
            if stream is not None:
                await _until_closed(reader, _send_all(writer, stream(request)))
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
    async with _connected(directory) as (reader, writer):
        try:
            async with asyncio.timeout(_TIMEOUT):
                await _write(writer, {"command": command, **arguments})
                line = await reader.readline()
        except TimeoutError:
            raise ConnectorError(
                f"the daemon on the state directory {directory} did not answer within {_TIMEOUT:.0f} s; "
                "the command may still be running: check `status`, then try again"
            ) from None
        except (OSError, ValueError):  # ValueError: the answer is longer than the limit
            line = b""
    if not line:
        raise _closed(directory)
    return _result(line)


async def follow(directory: Path, command: str, **arguments: object) -> AsyncGenerator[object, None]:
    """Send *command* to the daemon on *directory* and yield the results of its stream, until it ends.

    Raises ``NoDaemon`` if none is running there or it stops, ``ConnectorError`` with the error it returned.
    """
    async with _connected(directory) as (reader, writer):
        try:
            await _write(writer, {"command": command, **arguments})
            while line := await reader.readline():
                yield _result(line)
        except (OSError, ValueError):
            pass
    raise _closed(directory)


@asynccontextmanager
async def _connected(directory: Path) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """A connection to the daemon on *directory*; raises ``NoDaemon`` if none is running there."""
    path = directory / SOCKET
    missing = NoDaemon(f"no daemon is running on the state directory {directory}")
    if not _is_socket(path):
        raise missing
    try:
        with _short(path) as reachable:
            reader, writer = await asyncio.open_unix_connection(reachable, limit=_ANSWER_BYTES)
    except OSError:
        raise missing from None
    try:
        yield reader, writer
    finally:
        writer.close()


def _closed(directory: Path) -> NoDaemon:
    return NoDaemon(
        f"the daemon on the state directory {directory} closed the connection: it stops, or its log says why"
    )


def _result(line: bytes) -> object:
    """The result in one line of an answer; raises ``ConnectorError`` with the error that it holds instead."""
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


def _request(line: bytes) -> JsonObject:
    try:
        request = orjson.loads(line)
    except orjson.JSONDecodeError:
        return {}
    return request if isinstance(request, dict) else {}


async def _write(writer: asyncio.StreamWriter, answer: JsonObject) -> None:
    writer.write(orjson.dumps(answer, default=str) + b"\n")
    await writer.drain()


async def _handle(command: object, request: JsonObject, handlers: Mapping[str, Handler]) -> JsonObject:
    handler = handlers.get(command) if isinstance(command, str) else None
    if handler is None:
        return {"ok": False, "error": f"unknown command; expected one of: {', '.join(sorted(handlers))}"}
    try:
        return {"ok": True, "result": await handler(request)}
    except ConnectorError as error:
        return {"ok": False, "error": str(error)}


async def _send_all(writer: asyncio.StreamWriter, results: AsyncGenerator[object, None]) -> None:
    """Write each of *results*; a client that does not read for as long as an answer may take is left."""
    async with aclosing(results):
        try:
            async for result in results:
                async with asyncio.timeout(_TIMEOUT):
                    await _write(writer, {"ok": True, "result": result})
        except ConnectorError as error:
            await _write(writer, {"ok": False, "error": str(error)})


async def _until_closed(reader: asyncio.StreamReader, work: Coroutine[object, object, None]) -> None:
    """Run *work* until it ends or the client closes the connection; more input from it is ignored."""
    task = asyncio.ensure_future(work)
    closed = asyncio.ensure_future(_end_of(reader))
    try:
        await asyncio.wait((task, closed), return_when=asyncio.FIRST_COMPLETED)
    finally:
        closed.cancel()
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def _end_of(reader: asyncio.StreamReader) -> None:
    while await reader.read(_REQUEST_BYTES):
        pass


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
