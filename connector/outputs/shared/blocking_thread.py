"""A daemon thread for calls that may block, such as writing to a pipe that is not read or to a slow disk.

Not a pool of ``concurrent.futures``: the interpreter joins those at exit, so one blocked write would keep
the process from ending.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable
from queue import SimpleQueue
from typing import Generic, TypeVar

S = TypeVar("S")
T = TypeVar("T")


class CallCancelled(Exception):
    """The caller stopped waiting for this call."""


class CallToken:
    """Lets a running call find out that its caller stopped waiting."""

    def __init__(self) -> None:
        self._cancelled = threading.Event()

    def cancel(self) -> None:
        """Mark the call as cancelled."""
        self._cancelled.set()

    def check(self) -> None:
        """Raise ``CallCancelled`` if the caller stopped waiting."""
        if self._cancelled.is_set():
            raise CallCancelled


class _Job(Generic[T]):
    def __init__(self, call: Callable[[CallToken], T]) -> None:
        self.call = call
        self.token = CallToken()
        self.loop = asyncio.get_running_loop()
        self.future: asyncio.Future[T] = self.loop.create_future()

    def run(self) -> None:
        try:
            self.token.check()
            result = self.call(self.token)
        except BaseException as error:  # noqa: BLE001, it is raised again where the call is awaited
            self._report(self._fail, error)
        else:
            self._report(self._succeed, result)

    def _report(self, callback: Callable[[S], None], outcome: S) -> None:
        # RuntimeError: the loop is closed, so the caller no longer exists.
        with contextlib.suppress(RuntimeError):
            self.loop.call_soon_threadsafe(callback, outcome)

    def _succeed(self, result: T) -> None:
        if not self.future.done():
            self.future.set_result(result)

    def _fail(self, error: BaseException) -> None:
        if not self.future.done():
            self.future.set_exception(error)


class BlockingThread:
    """Runs calls one after the other in one daemon thread, started with the first call."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._jobs: SimpleQueue[Callable[[], None] | None] | None = None

    async def run(self, call: Callable[[CallToken], T], timeout: float) -> T:  # noqa: ASYNC109, for the job
        """Run *call* in the thread and return its result.

        Raises ``TimeoutError`` after *timeout* seconds. Then, and when the caller is cancelled, a running
        call continues until it checks its token; a call that has not started is skipped.
        """
        if self._jobs is None:
            self._jobs = SimpleQueue()
            threading.Thread(target=_work, args=(self._jobs,), name=self._name, daemon=True).start()
        job = _Job(call)
        self._jobs.put(job.run)
        try:
            async with asyncio.timeout(timeout):
                return await job.future
        finally:
            job.token.cancel()

    def stop(self) -> None:
        """End the thread after the calls queued so far; a later call starts a new one."""
        if self._jobs is not None:
            self._jobs.put(None)
            self._jobs = None


def _work(jobs: SimpleQueue[Callable[[], None] | None]) -> None:
    while (run := jobs.get()) is not None:
        run()
