"""One resource that is replaced after trouble, while those who still use the old one finish with it.

Whoever breaks off an exchange at an unlucky moment may leave something behind in the resource that never
becomes free again, such as a connection of a pool that counts as busy for ever. Nobody can tell from
outside, so that what was broken off is not used for anything new.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Generic, TypeVar

T = TypeVar("T")


class _Lease(Generic[T]):
    """A resource and how many use it now."""

    def __init__(self, resource: T) -> None:
        self.resource = resource
        self.users = 0


class Replaceable(Generic[T]):
    """Hands out the present resource and replaces it when its use fails.

    Args:
        make: makes a resource; may raise.
        close: closes one; must be safe to repeat.
    """

    def __init__(self, make: Callable[[], T], close: Callable[[T], Awaitable[None]]) -> None:
        self._make = make
        self._close = close
        self._current: _Lease[T] | None = _Lease(make())
        self._leases = {self._current}
        self._closing: set[asyncio.Task[None]] = set()
        self._closed = False

    @asynccontextmanager
    async def use(self) -> AsyncIterator[T]:
        """Lend the resource; a block that ends with any error, cancelled or not, renews it for the next.

        Raises what *make* raises, and ``RuntimeError`` after ``close``.
        """
        lease = self._lease()
        lease.users += 1
        try:
            yield lease.resource
        except BaseException:
            self._retire(lease)
            raise
        finally:
            lease.users -= 1
            self._release(lease)

    def replace(self) -> None:
        """Let the next use begin with a new resource."""
        if self._current is not None:
            self._retire(self._current)

    async def close(self) -> None:
        """Close all that was made, also under those who use it; final, safe to repeat."""
        self._closed = True
        self._current = None
        for lease in list(self._leases):
            self._dispose(lease)
        while self._closing:
            # Not gathered: were this cancelled, the sockets must close all the same.
            await asyncio.wait(self._closing)

    def _lease(self) -> _Lease[T]:
        if self._closed:
            raise RuntimeError("it was closed")
        if self._current is None:
            self._current = _Lease(self._make())
            self._leases.add(self._current)
        return self._current

    def _retire(self, lease: _Lease[T]) -> None:
        if self._current is lease:
            self._current = None
        self._release(lease)

    def _release(self, lease: _Lease[T]) -> None:
        if lease is not self._current and lease.users == 0:
            self._dispose(lease)

    def _dispose(self, lease: _Lease[T]) -> None:
        """Close without making anybody wait, and whatever becomes of the task that happens to be here."""
        if lease not in self._leases:
            return
        self._leases.discard(lease)
        task = asyncio.ensure_future(self._close_quietly(lease.resource))
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)

    async def _close_quietly(self, resource: T) -> None:
        try:
            await self._close(resource)
        except Exception:  # noqa: BLE001, nothing is lost with a connection that does not close in good order
            return
