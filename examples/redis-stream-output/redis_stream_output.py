"""Output ``redis_stream``: each event is one entry of a Redis stream, with the fields ``id`` and ``event``.

Accepted means: Redis answered with the entry's id. Its persistence settings decide how durable that is.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence
from typing import Literal

from pydantic import Field

from connector.errors import Hold, Retryable
from connector.interfaces import Observe, Output
from connector.model import Event, Limits, Receipt
from connector.outputs.common import OutputSettings
from connector.secret import Secret

_LIMITS = Limits(events=500, bytes=1_000_000)
_LONGEST = 64 << 10
# The first word of an error says whether to retry, to hold, or to reject the entry.
_TEMPORARY = {"BUSY", "LOADING", "MASTERDOWN", "NOREPLICAS", "OOM", "READONLY", "TRYAGAIN", "CLUSTERDOWN"}
_NEEDS_A_PERSON = {"NOAUTH", "NOPERM", "WRONGPASS", "WRONGTYPE", "MOVED"}


class RedisStreamSettings(OutputSettings):
    """Adds events to a Redis stream."""

    type: Literal["redis_stream"] = "redis_stream"
    address: str = Field(pattern=r"^[^:/ ]+:[0-9]+$", description="host:port of Redis.")
    stream: str = Field(default="cloudflare:email", min_length=1, description="Key of the stream.")
    password: Secret | None = Field(default=None, description="Password, if Redis requires one.")

    def build(self, name: str, observe: Observe) -> Output:  # noqa: ARG002, delivery reports all facts
        """Build the output; `open` connects."""
        return RedisStreamOutput(self)


class RedisStreamOutput:
    """One connection; all commands of a batch are sent before the first answer is read."""

    def __init__(self, settings: RedisStreamSettings) -> None:
        self._settings = settings
        self._limits = settings.batch.applied(_LIMITS)
        self._connection: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
        self._turn = asyncio.Lock()

    @property
    def limits(self) -> Limits:
        """Limits of one send."""
        return self._limits

    async def open(self) -> None:
        """Connect and authenticate, with the password read again: a rotated one needs no restart."""
        await self.close()
        password = self._settings.password
        if password is not None:
            password.refresh()
        host, _, port = self._settings.address.rpartition(":")
        try:
            async with asyncio.timeout(self._settings.timeout.total_seconds()):
                self._connection = await asyncio.open_connection(host, int(port), limit=_LONGEST)
                if password is not None:
                    [answer] = await self._ask([(b"AUTH", password.reveal().encode())])
                    self._raise_for(answer)
        except (OSError, TimeoutError, asyncio.IncompleteReadError, ValueError) as error:
            raise await self._lost(error) from None

    async def send(self, events: Sequence[Event]) -> Receipt:
        """Add *events*; an error of one entry is in the receipt, any other is raised."""
        key = self._settings.stream.encode()
        entries = [
            (b"XADD", key, b"*", b"id", event.revision.identity.encode(), b"event", event.payload)
            for event in events
        ]
        try:
            async with self._turn, asyncio.timeout(self._settings.timeout.total_seconds()):
                answers = await self._ask(entries)
        except (OSError, TimeoutError, asyncio.IncompleteReadError, ValueError) as error:
            raise await self._lost(error) from None
        except asyncio.CancelledError:
            # Answers to these commands may still arrive: never use this connection again.
            await self.close()
            raise
        return self._receipt(answers)

    async def close(self) -> None:
        """Close the connection. Idempotent, and safe without ``open``."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection[1].close()
            with contextlib.suppress(OSError):
                await connection[1].wait_closed()

    async def check(self) -> str:
        """Check that Redis answers and accepts the password; for ``email-connector check``."""
        await self.open()
        [answer] = await self._ask([(b"TYPE", self._settings.stream.encode())])
        self._raise_for(answer)
        return f"reached redis at {self._settings.address}; {self._settings.stream} is {answer.lstrip('+')}"

    async def _ask(self, commands: Sequence[Sequence[bytes]]) -> list[str]:
        if self._connection is None:
            raise ConnectionError("not connected")
        reader, writer = self._connection
        writer.write(b"".join(_command(command) for command in commands))
        await writer.drain()
        return [await _answer(reader) for _ in commands]

    def _receipt(self, answers: Sequence[str]) -> Receipt:
        rejected: dict[int, str] = {}
        retry: set[int] = set()
        for index, answer in enumerate(answers):
            word = answer[1:].partition(" ")[0]
            if not answer.startswith("-"):
                continue
            if word in _NEEDS_A_PERSON:
                self._raise_for(answer)
            elif word in _TEMPORARY:
                retry.add(index)
            else:
                rejected[index] = word
        return Receipt(rejected, frozenset(retry))

    def _raise_for(self, answer: str) -> None:
        """Raise the error that *answer* means for the whole batch; its text may quote events."""
        word = answer[1:].partition(" ")[0]
        if not answer.startswith("-"):
            return
        reason = f"redis at {self._settings.address} answered {word}"
        if word in _TEMPORARY:
            raise Retryable(reason)
        raise Hold(f"{reason}; check password, permissions and stream")

    async def _lost(self, error: Exception) -> Retryable:
        await self.close()
        return Retryable(f"redis at {self._settings.address}: {type(error).__name__}")


def _command(parts: Sequence[bytes]) -> bytes:
    """Encode a command in RESP: each part has its length, so no text can forge another."""
    return b"*%d\r\n" % len(parts) + b"".join(b"$%d\r\n%b\r\n" % (len(part), part) for part in parts)


async def _answer(reader: asyncio.StreamReader) -> str:
    """Read an answer as text; its first character is its RESP type."""
    line = (await reader.readuntil(b"\r\n"))[:-2].decode("utf-8", "replace")
    if line[:1] != "$":
        return line
    body = await reader.readexactly(int(line[1:]) + 2)
    return "$" + body[:-2].decode("utf-8", "replace")
