"""Waking everything that waits for a change."""

from __future__ import annotations

import asyncio

from connector.broadcast import Broadcast
from tests.support.jumping_loop import run


def test_a_notification_wakes_all_waiters_once() -> None:
    async def scenario() -> None:
        changed, woken = Broadcast(), []

        async def wait(name: str) -> None:
            await changed.wait()
            woken.append(name)

        waiting = [asyncio.create_task(wait(name)) for name in "ab"]
        await asyncio.sleep(0)
        changed.notify()
        await asyncio.gather(*waiting)
        late = asyncio.create_task(wait("late"))
        await asyncio.sleep(60)
        assert sorted(woken) == ["a", "b"]
        assert not late.done(), "an earlier notification must not wake a later waiter"
        late.cancel()

    run(scenario())


def test_a_wait_ends_at_its_time() -> None:
    async def scenario() -> None:
        loop = asyncio.get_running_loop()
        until = loop.time() + 5
        await Broadcast().wait(until)
        assert loop.time() >= until

    run(scenario())
