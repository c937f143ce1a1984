"""The suite for outputs catches what it is for: each output here has one defect, and one check names it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Sequence

import pytest

from connector.errors import Retryable
from connector.interfaces import Output
from connector.model import Event, Limits, Receipt
from connector.testing import faults, outputs
from connector.testing.outputs import CHECKS, POISON, Check, OutputHarness, Violation

SECRET = "canary-77"


class Sound:
    """Sends a line per event and reads a word per line; the server says ``no`` to poison."""

    limits = Limits(events=50, bytes=1_000_000)

    def __init__(self, port: int) -> None:
        self.port = port
        self.connection: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
        self.turn = asyncio.Lock()

    async def open(self) -> None:
        await self.close()
        try:
            self.connection = await asyncio.open_connection("127.0.0.1", self.port)
        except OSError:
            raise Retryable("nobody is there") from None

    async def send(self, events: Sequence[Event]) -> Receipt:
        try:
            async with self.turn, asyncio.timeout(0.4):
                return self.receipt(await self.ask(events))
        except BaseException as error:
            await self.close()
            if isinstance(error, OSError | EOFError | TimeoutError):
                raise Retryable("no answer") from None
            raise

    async def ask(self, events: Sequence[Event]) -> list[bytes]:
        if self.connection is None:
            raise ConnectionError
        reader, writer = self.connection
        writer.write(b"".join(event.payload + b"\n" for event in events))
        await writer.drain()
        return [await reader.readuntil(b"\n") for _ in events]

    def receipt(self, answers: Sequence[bytes]) -> Receipt:
        return Receipt({index: "no" for index, answer in enumerate(answers) if answer == b"no\n"})

    async def close(self) -> None:
        connection, self.connection = self.connection, None
        if connection is not None:
            connection[1].close()
            with contextlib.suppress(OSError):
                await connection[1].wait_closed()


class Hasty(Sound):
    """Does not wait for answers."""

    async def ask(self, events: Sequence[Event]) -> list[bytes]:
        if self.connection is None:
            raise ConnectionError
        self.connection[1].write(b"".join(event.payload + b"\n" for event in events))
        return [b"ok\n"] * len(events)


class Careless(Sound):
    """Takes any failure for success."""

    async def send(self, events: Sequence[Event]) -> Receipt:
        try:
            return await super().send(events)
        except Retryable:
            return Receipt()


class Endless(Sound):
    """Waits for ever."""

    async def send(self, events: Sequence[Event]) -> Receipt:
        try:
            return self.receipt(await self.ask(events))
        except (OSError, EOFError):
            raise Retryable("no answer") from None


class Talkative(Sound):
    """Shows its secret."""

    def __repr__(self) -> str:
        return f"Talkative({SECRET})"


class Blind(Sound):
    """Does not look at what was refused."""

    def receipt(self, answers: Sequence[bytes]) -> Receipt:
        return Receipt()


class Raw(Sound):
    """Lets errors of the network through as they are."""

    async def open(self) -> None:
        await self.close()
        self.connection = await asyncio.open_connection("127.0.0.1", self.port)


class Clinging(Sound):
    """Cannot be closed twice."""

    closed = False

    async def close(self) -> None:
        if self.connection is None and self.closed:
            raise RuntimeError("it is closed")
        self.closed = self.connection is not None
        await super().close()


class Shifting(Sound):
    """Changes its limits when it is opened."""

    async def open(self) -> None:
        self.limits = Limits(events=10)
        await super().open()


DEFECTS: dict[type[Sound], Check] = {
    Hasty: faults.refuses_only_the_culprit,
    Careless: faults.survives_a_collector_that_hangs,
    Endless: faults.survives_answers_that_are_lost,
    Talkative: outputs.hides_secrets,
    Blind: faults.refuses_only_the_culprit,
    Raw: outputs.names_an_unreachable_collector,
    Clinging: outputs.closes_twice,
    Shifting: outputs.has_usable_limits,
}


@contextlib.asynccontextmanager
async def bench(build: Callable[[int], Output]) -> AsyncIterator[OutputHarness]:
    """A server for ``Sound``, and what the suite needs."""
    taken: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, EOFError, asyncio.CancelledError):
            while True:
                line = await reader.readuntil(b"\n")
                poisoned = POISON.encode() in line
                writer.write(b"no\n" if poisoned else b"ok\n")
                if not poisoned:
                    taken.append(line)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    try:
        yield OutputHarness(
            build=lambda: build(port),
            taken=lambda: taken,
            unreachable=lambda: build(1),
            picky=lambda: build(port),
            secrets=(SECRET,),
            port=port,
            through=build,
        )
    finally:
        server.close()
        await asyncio.sleep(0.05)


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
async def test_a_sound_output_passes(check: Check) -> None:
    async with bench(Sound) as harness:
        await check(harness)


@pytest.mark.parametrize("kind", DEFECTS, ids=lambda kind: kind.__name__)
async def test_a_defect_is_named(kind: type[Sound], monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("harness", "outputs", "faults"):
        monkeypatch.setattr(f"connector.testing.{module}.PATIENCE", 1.0)
    expected = RuntimeError if kind is Clinging else Violation
    async with bench(kind) as harness:
        with pytest.raises(expected):
            await DEFECTS[kind](harness)
