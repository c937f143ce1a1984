"""A thread of its own for calls that may block: a pipe nobody reads must not stop the event loop.

A pool of ``concurrent.futures`` would be joined when the interpreter ends, and one blocked write would
keep the process from ending; this thread is a daemon.
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
    """Nobody waits for this call any more."""


class CallToken:
    """Tells a running call whether anybody still waits for its result."""

    def __init__(self) -> None:
        self._abandoned = threading.Event()

    def cancel(self) -> None:
        """Say that nobody waits any more."""
        self._abandoned.set()

    def check(self) -> None:
        """Raise ``CallCancelled`` if nobody waits any more."""
        if self._abandoned.is_set():
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
            self._tell(self._fail, error)
        else:
            self._tell(self._succeed, result)

    def _tell(self, settle: Callable[[S], None], outcome: S) -> None:
        # A closed loop: whoever waited is gone.
        with contextlib.suppress(RuntimeError):
            self.loop.call_soon_threadsafe(settle, outcome)

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

        After *timeout* seconds raises ``TimeoutError``. Then, as when cancelled, the call goes on in the
        thread until it looks at its ticket; a call that has not begun is left out.
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
        """Let the thread end after the calls given so far; a later call starts a new one."""
        if self._jobs is not None:
            self._jobs.put(None)
            self._jobs = None


def _work(jobs: SimpleQueue[Callable[[], None] | None]) -> None:
    while (run := jobs.get()) is not None:
        run()
