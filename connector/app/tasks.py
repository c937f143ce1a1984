"""Tasks that live as long as a block."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any, TypeAlias

Start: TypeAlias = Callable[[Coroutine[Any, Any, object]], None]


@asynccontextmanager
async def workers() -> AsyncIterator[Start]:
    """Start tasks inside the block; at its end they are cancelled and awaited.

    A task that fails ends the block with its error and cancels the others.
    """
    async with asyncio.TaskGroup() as group:
        tasks: list[asyncio.Task[object]] = []

        def start(work: Coroutine[Any, Any, object]) -> None:
            tasks.append(group.create_task(work))

        yield start
        for task in tasks:
            task.cancel()


async def first_of(*waits: asyncio.Future[Any], seconds: float | None = None) -> None:
    """Return when the first of *waits* ends, or after *seconds*; the others are cancelled.

    What the first raises is raised.
    """
    try:
        done, _ = await asyncio.wait(waits, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for wait in waits:
            wait.cancel()
        await asyncio.gather(*waits, return_exceptions=True)
    for wait in done:
        wait.result()
