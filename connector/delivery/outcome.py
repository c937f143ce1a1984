"""Calls an output; returns its result or exception as a value, so that no plugin can end delivery."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from traceback import clear_frames
from typing import TypeVar

T = TypeVar("T")


class CancelledItself(Exception):
    """An output raised ``CancelledError`` without being cancelled."""


async def outcome_of(work: Awaitable[T]) -> T | Exception:
    """Return what *work* returned or raised; raise only that the caller itself was cancelled meanwhile.

    That holds even where *work* answers a cancellation with another error or with a result.
    """
    task = asyncio.current_task()
    before = task.cancelling() if task else 0
    outcome: T | Exception
    try:
        outcome = await work
    except asyncio.CancelledError:
        outcome = CancelledItself()
    except Exception as error:  # noqa: BLE001, an output is foreign code: whatever it raises is data here
        # Frames that hold the error that holds them would keep their batch until the collector comes.
        clear_frames(error.__traceback__)
        outcome = error
    try:
        if task and task.cancelling() > before:
            raise asyncio.CancelledError
        return outcome
    finally:
        del outcome
