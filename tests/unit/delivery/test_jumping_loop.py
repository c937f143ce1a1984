"""The loop that jumps: hours in milliseconds, in the right order, and never past a thread or a socket."""

from __future__ import annotations

import asyncio
import time
from datetime import timedelta

import pytest

from tests.support import jumping_loop
from tests.support.jumping_loop import EPOCH, Stuck, run, wall_clock


def test_timers_fire_in_order_at_their_times() -> None:
    async def scenario() -> list[tuple[str, float]]:
        loop = asyncio.get_running_loop()
        reported: list[tuple[str, float]] = []

        async def sleeper(name: str, seconds: float) -> None:
            await asyncio.sleep(seconds)
            reported.append((name, loop.time()))

        await asyncio.gather(sleeper("a day", 86400), sleeper("an hour", 3600), sleeper("at once", 0))
        return reported

    assert run(scenario()) == [("at once", 0), ("an hour", 3600), ("a day", 86400)]


def test_the_wall_clock_moves_along() -> None:
    async def scenario() -> None:
        clock = wall_clock(asyncio.get_running_loop())
        await asyncio.sleep(90)
        assert clock() == EPOCH + timedelta(seconds=90)

    run(scenario())


def test_the_time_stands_still_while_a_thread_works() -> None:
    async def scenario() -> float:
        loop = asyncio.get_running_loop()
        late = asyncio.create_task(asyncio.sleep(1000))
        await asyncio.to_thread(time.sleep, 0.05)
        during = loop.time()
        await late
        return during

    assert run(scenario()) == 0


def test_a_real_socket_is_heard_before_a_timer_is_jumped_to() -> None:
    async def scenario() -> bytes:
        async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(await reader.readline())
            await writer.drain()
            writer.close()
            await writer.wait_closed()

        async with await asyncio.start_server(echo, "127.0.0.1", 0) as server:
            host, port = server.sockets[0].getsockname()
            async with asyncio.timeout(3600):
                reader, writer = await asyncio.open_connection(host, port)
                writer.write(b"hello\n")
                answer = await reader.readline()
                writer.close()
                await writer.wait_closed()
                return answer

    assert run(scenario(), grace=0.05) == b"hello\n"


def test_waiting_for_nothing_fails_instead_of_hanging(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jumping_loop, "_PATIENCE", 0.1)

    async def scenario() -> None:
        await asyncio.Event().wait()

    with pytest.raises(Stuck):
        run(scenario())
