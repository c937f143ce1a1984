"""The process's wall clock and event loop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from datetime import UTC, datetime
from importlib import import_module
from typing import Any, TypeVar

from connector.app.tuning import tune_allocator, tune_collector

T = TypeVar("T")


def utc_now() -> datetime:
    """The local wall clock, in UTC."""
    return datetime.now(UTC)


def run(main: Coroutine[Any, Any, T]) -> T:
    """Run *main* on the fastest event loop installed, in a process that is tuned for it."""
    tune_collector()
    tune_allocator()
    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        return runner.run(main)


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    try:
        factory: Callable[[], asyncio.AbstractEventLoop] = import_module("uvloop").new_event_loop
    except ImportError:
        return None
    return factory
