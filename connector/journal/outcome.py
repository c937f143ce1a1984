"""The end of a transaction: its outcome is known before a cancellation of whoever waits for it is raised."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


async def finish(running: asyncio.Future[T], done: Callable[[T], None] | None) -> T:
    """Return the outcome of *running*; *done* is called with it first, also if the caller is cancelled.

    The cancellation is raised after that.
    """
    cancelled: asyncio.CancelledError | None = None
    while not running.done():
        try:
            await asyncio.wait((running,))
        except asyncio.CancelledError as error:
            cancelled = error
    if running.exception() is None and done is not None:
        done(running.result())
    if cancelled is not None:
        raise cancelled
    return running.result()
