"""Output ``redis_stream``: each event is one entry of a Redis stream, with the fields ``id`` and ``event``.

Accepted means: Redis answered with the entry's number. What that is worth is Redis' own setting.
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
# What Redis says first in an error tells who can help: time, a person, or nobody.
_PASSING = {"BUSY", "LOADING", "MASTERDOWN", "NOREPLICAS", "OOM", "READONLY", "TRYAGAIN", "CLUSTERDOWN"}
_FOR_A_PERSON = {"NOAUTH", "NOPERM", "WRONGPASS", "WRONGTYPE", "MOVED"}


class RedisStreamSettings(OutputSettings):
    """Adds events to a Redis stream."""

    type: Literal["redis_stream"] = "redis_stream"
    address: str = Field(pattern=r"^[^:/ ]+:[0-9]+$", description="host:port of Redis.")
    stream: str = Field(default="cloudflare:email", min_length=1, description="Key of the stream.")
    password: Secret | None = Field(default=None, description="Password, where Redis wants one.")

    def build(self, name: str, observe: Observe) -> Output:  # noqa: ARG002, delivery tells all there is to tell
        """Make the output; it connects when it is opened."""
        return RedisStreamOutput(self)


class RedisStreamOutput:
    """One connection; all entries of a batch are asked for before the first answer is read."""

    def __init__(self, settings: RedisStreamSettings) -> None:
        self._settings = settings
        self._limits = settings.batch.applied(_LIMITS)
        self._connection: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
        self._turn = asyncio.Lock()

    @property
    def limits(self) -> Limits:
        """What one send may hold."""
        return self._limits

    async def open(self) -> None:
        """Connect and log in, with the password as it is now: a rotated one heals without a restart."""
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
                    self._judge(answer)
        except (OSError, TimeoutError, asyncio.IncompleteReadError, ValueError) as error:
            raise await self._gone(error) from None

    async def send(self, events: Sequence[Event]) -> Receipt:
        """Add *events*; an error that is about one entry is in the receipt, any other is raised."""
        key = self._settings.stream.encode()
        entries = [
            (b"XADD", key, b"*", b"id", event.revision.identity.encode(), b"event", event.payload)
            for event in events
        ]
        try:
            async with self._turn, asyncio.timeout(self._settings.timeout.total_seconds()):
                answers = await self._ask(entries)
        except (OSError, TimeoutError, asyncio.IncompleteReadError, ValueError) as error:
            raise await self._gone(error) from None
        except asyncio.CancelledError:
            # Answers may be on their way that belong to no later question: this connection is used up.
            await self.close()
            raise
        return self._receipt(answers)

    async def close(self) -> None:
        """Close the connection; safe without ``open``, and twice."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection[1].close()
            with contextlib.suppress(OSError):
                await connection[1].wait_closed()

    async def check(self) -> str:
        """Say whether Redis is there and lets us in; no event is sent. Part of ``email-connector check``."""
        await self.open()
        [answer] = await self._ask([(b"TYPE", self._settings.stream.encode())])
        self._judge(answer)
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
            if word in _FOR_A_PERSON:
                self._judge(answer)
            elif word in _PASSING:
                retry.add(index)
            else:
                rejected[index] = word
        return Receipt(rejected, frozenset(retry))

    def _judge(self, answer: str) -> None:
        """Raise what *answer* means for everything. Only its first word is told: the rest may quote."""
        word = answer[1:].partition(" ")[0]
        if not answer.startswith("-"):
            return
        told = f"redis at {self._settings.address} answered {word}"
        if word in _PASSING:
            raise Retryable(told)
        raise Hold(f"{told}; check password, rights and stream")

    async def _gone(self, error: Exception) -> Retryable:
        await self.close()
        return Retryable(f"redis at {self._settings.address}: {type(error).__name__}")


def _command(parts: Sequence[bytes]) -> bytes:
    """A command in Redis' protocol, RESP: each part with its length, so that no text can forge another."""
    return b"*%d\r\n" % len(parts) + b"".join(b"$%d\r\n%b\r\n" % (len(part), part) for part in parts)


async def _answer(reader: asyncio.StreamReader) -> str:
    """An answer as text; its first letter is its kind, as RESP has it."""
    line = (await reader.readuntil(b"\r\n"))[:-2].decode("utf-8", "replace")
    if line[:1] != "$":
        return line
    body = await reader.readexactly(int(line[1:]) + 2)
    return "$" + body[:-2].decode("utf-8", "replace")
