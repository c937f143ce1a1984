"""The process's wall clock and event loop."""

from __future__ import annotations

import asyncio
import gc
import os
from collections.abc import Callable, Coroutine
from importlib import import_module
from typing import Any, TypeVar

_TRIM_THRESHOLD, _MMAP_THRESHOLD, _ARENA_MAX = -1, -3, -8
"""Names of ``mallopt``'s parameters in glibc's ``malloc.h``."""

_LARGE = 128 << 10
"""Bytes from which on a piece of memory is asked of the system, and given back, on its own.

Left alone, glibc learns to keep pieces of up to 32 MiB: decoding a page takes one of 19, most of it never
touched, and what comes to lie around it is scattered over as much.
"""


def tune_collector() -> None:
    """Let the collector come seldom, and not look again at what is there now."""
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)


def tune_allocator() -> None:
    """Keep memory compact. Whoever set glibc's own variables in the environment knows better."""
    if any(name == "GLIBC_TUNABLES" or name.startswith("MALLOC_") for name in os.environ):
        return
    try:
        import ctypes  # noqa: PLC0415, a hardened system may forbid what the import alone does

        mallopt = ctypes.CDLL(None).mallopt
    except (ImportError, MemoryError, OSError, AttributeError):
        return  # or it is another C library
    mallopt(_ARENA_MAX, 1)
    mallopt(_TRIM_THRESHOLD, _LARGE)
    mallopt(_MMAP_THRESHOLD, _LARGE)


T = TypeVar("T")


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
