"""Process runtime: wall clock, event loop, garbage collector and memory allocator settings."""

from __future__ import annotations

import asyncio
import gc
import os
import resource
from collections.abc import Callable, Coroutine
from contextlib import suppress
from importlib import import_module
from typing import Any, TypeVar

from connector import GC_THRESHOLDS

_TRIM_THRESHOLD, _MMAP_THRESHOLD, _ARENA_MAX = -1, -3, -8
"""Names of ``mallopt``'s parameters in glibc's ``malloc.h``."""

_DESCRIPTORS = 65_536
"""Enough for hundreds of feeds and outputs with several connections each."""

_LARGE = 512 << 10
"""Bytes from which an allocation gets its own mapping, which is returned to the system when freed.

By default glibc raises this threshold up to 32 MiB. A page's text has 1.7 MB; kept in the heap, it fragments
everything around it, and so does the body of a request, which has up to 1 MB. Mappings for smaller pieces,
such as entries, would cost more in the kernel than they save.
"""


def tune_collector() -> None:
    """Make garbage collections rare, and exempt the objects that exist now."""
    gc.freeze()
    gc.set_threshold(*GC_THRESHOLDS)


def raise_descriptor_limit() -> None:
    """Use as many descriptors as the system allows; the usual soft limit of 1024 exists for old programs.

    A process without free descriptors can open no connection and no file: it neither collects nor delivers.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _DESCRIPTORS if hard == resource.RLIM_INFINITY else min(hard, _DESCRIPTORS)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        with suppress(OSError, ValueError):  # a sandbox may forbid it
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def tune_allocator() -> None:
    """Keep the heap compact, unless glibc's own tuning variables are set in the environment."""
    if any(name == "GLIBC_TUNABLES" or name.startswith("MALLOC_") for name in os.environ):
        return
    try:
        import ctypes  # noqa: PLC0415, the import alone fails on some hardened systems

        mallopt = ctypes.CDLL(None).mallopt
    except (ImportError, MemoryError, OSError, AttributeError):
        return  # or not glibc
    mallopt(_ARENA_MAX, 1)
    mallopt(_TRIM_THRESHOLD, _LARGE)
    mallopt(_MMAP_THRESHOLD, _LARGE)


T = TypeVar("T")


def run(main: Coroutine[Any, Any, T]) -> T:
    """Run *main* on uvloop if it is installed, else on asyncio's loop, after tuning the process."""
    tune_collector()
    tune_allocator()
    raise_descriptor_limit()
    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        return runner.run(main)


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    try:
        factory: Callable[[], asyncio.AbstractEventLoop] = import_module("uvloop").new_event_loop
    except ImportError:
        return None
    return factory
