"""Task helpers: a scope that cancels its tasks, a supervisor for workers, waiting for the first task."""

from __future__ import annotations

import asyncio
import random
import traceback
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any, TypeAlias

from connector.errors import JournalBroken
from connector.facts import WorkerFailed
from connector.interfaces import Observe
from connector.net.backoff import full_jitter

_HEALTHY_SECONDS = 300.0
"""A worker that ran this long (longer than the longest wait, 61 s) counts as recovered."""

StartTask: TypeAlias = Callable[[Coroutine[Any, Any, object]], None]


@asynccontextmanager
async def task_scope() -> AsyncIterator[StartTask]:
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


async def supervise(name: str, work: Callable[[], Awaitable[None]], observe: Observe) -> None:
    """Run *work* until it returns; report, count and restart it after an unexpected error.

    ``JournalBroken`` is raised: without a journal nothing would be safe.
    """
    attempt = 0
    clock = asyncio.get_running_loop().time
    while True:
        started = clock()
        try:
            await work()
        except JournalBroken:
            raise
        except Exception as error:  # noqa: BLE001, one crashed worker must not affect the others
            attempt = 1 if clock() - started > _HEALTHY_SECONDS else attempt + 1
            after = 1.0 + full_jitter(attempt, base=1.0, cap=60.0, random=random.random)
            observe(WorkerFailed(name, describe_error(error), after))
            await asyncio.sleep(after)
        else:
            return


def describe_error(error: BaseException) -> str:
    """Class and place of *error*. Its text is left out: it may contain email content or secrets."""
    if isinstance(error, BaseExceptionGroup):
        return "; ".join(describe_error(inner) for inner in error.exceptions)
    frames = traceback.extract_tb(error.__traceback__)
    place = f" at {frames[-1].filename.rpartition('/connector/')[2]}:{frames[-1].lineno}" if frames else ""
    return f"{type(error).__name__}{place}"


async def wait_first(*waits: asyncio.Future[Any], seconds: float | None = None) -> None:
    """Return when the first of *waits* is done, or after *seconds*; the others are cancelled.

    An exception of the first is raised.
    """
    try:
        done, _ = await asyncio.wait(waits, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for wait in waits:
            wait.cancel()
        await asyncio.gather(*waits, return_exceptions=True)
    for wait in done:
        wait.result()
