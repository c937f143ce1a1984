"""An asyncio loop that jumps to the next timer instead of waiting for it.

A test of an endless back-off, a slow probe or a day of polling runs in milliseconds, and sees the very
times it would see in life::

    def test_an_hour_passes():
        async def story():
            loop = asyncio.get_running_loop()
            began = loop.time()
            await asyncio.sleep(3600)
            assert loop.time() - began == 3600

        run(story())

``loop.time()`` is the jumping time; ``wall_clock(loop)`` is a ``Clock`` that moves with it, so that
wall time and durations agree. Use plain (not ``async``) test functions: pytest's own loop does not jump.

A jump happens only when nothing else can: no callback is ready, no socket has data, and no job of
``run_in_executor`` is under way. Threads of other kinds and real sockets are invisible until they
deliver, so give ``run(..., grace=0.02)`` there: the loop then waits that long in real time for them
before each jump. A loop that waits for nothing at all fails after a few real seconds with ``Stuck``.
"""

from __future__ import annotations

import asyncio
import selectors
import time
from collections.abc import Callable, Coroutine, Mapping
from concurrent.futures import Executor
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from _typeshed import FileDescriptorLike

T = TypeVar("T")

EPOCH = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
_PATIENCE = 20.0
"""Real seconds without any timer or event after which a test is called stuck."""


class Stuck(RuntimeError):
    """Nothing is scheduled and nothing happens: the test would hang for ever."""


class JumpingSelector(selectors.BaseSelector):
    """Asks the real selector without waiting; where it has nothing, moves the time instead."""

    def __init__(self, grace: float) -> None:
        self._real = selectors.DefaultSelector()
        self._grace = grace
        self.now = 0.0
        self.jobs = 0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """Return what is ready; jump ahead by *timeout* where nothing is."""
        ready = self._real.select(0)
        if ready or (timeout is not None and timeout <= 0):
            return ready
        if self.jobs or timeout is None:
            return self._wait(timeout)
        if self._grace:
            ready = self._real.select(self._grace)
        if not ready:
            self.now += timeout
        return ready

    def _wait(self, timeout: float | None) -> list[tuple[selectors.SelectorKey, int]]:
        """Wait in real time for what cannot be jumped over: a thread, or something from outside."""
        deadline = time.monotonic() + _PATIENCE
        while time.monotonic() < deadline:
            ready = self._real.select(0.05)
            if ready:
                return ready
            if timeout is not None and not self.jobs:
                return []
        raise Stuck("no timer is set and nothing happens")

    def register(self, fileobj: FileDescriptorLike, events: int, data: Any = None) -> selectors.SelectorKey:
        """Watch *fileobj*."""
        return self._real.register(fileobj, events, data)

    def unregister(self, fileobj: FileDescriptorLike) -> selectors.SelectorKey:
        """Watch *fileobj* no more."""
        return self._real.unregister(fileobj)

    def modify(self, fileobj: FileDescriptorLike, events: int, data: Any = None) -> selectors.SelectorKey:
        """Watch *fileobj* for other events."""
        return self._real.modify(fileobj, events, data)

    def get_map(self) -> Mapping[FileDescriptorLike, selectors.SelectorKey]:
        """Return what is watched."""
        return self._real.get_map()

    def close(self) -> None:
        """Release the real selector."""
        self._real.close()


class JumpingLoop(asyncio.SelectorEventLoop):
    """The loop behind ``run``; use it directly where a runner needs a factory."""

    def __init__(self, grace: float = 0.0) -> None:
        self._jumping = JumpingSelector(grace)
        super().__init__(self._jumping)

    def time(self) -> float:
        """The jumping time, in seconds since the loop was made."""
        return self._jumping.now

    def run_in_executor(  # type: ignore[override]  # the stub's generic parameters cannot be repeated
        self, executor: Executor | None, func: Callable[..., T], *args: Any
    ) -> asyncio.Future[T]:
        """Run *func* in a thread; the time stands still until it is done."""
        future = super().run_in_executor(executor, func, *args)
        self._jumping.jobs += 1
        future.add_done_callback(self._job_done)
        return future

    def _job_done(self, _: asyncio.Future[T]) -> None:
        self._jumping.jobs -= 1


def wall_clock(loop: asyncio.AbstractEventLoop, start: datetime = EPOCH) -> Callable[[], datetime]:
    """A ``Clock`` that shows *start* when *loop* is new and moves with its time."""
    return lambda: start + timedelta(seconds=loop.time())


def run(story: Coroutine[Any, Any, T], *, grace: float = 0.0) -> T:
    """Run *story* to its end on a loop that jumps; *grace* is the real time to wait for outside events."""
    with asyncio.Runner(loop_factory=lambda: JumpingLoop(grace)) as runner:
        return runner.run(story)
