"""A shared connection pool that is replaced after a failed use; others finish with the old one.

Cancelling an HTTP exchange at the wrong moment can leave a pooled connection marked busy for ever. This
cannot be detected from outside the library, so a pool is not reused after an exchange that failed or was
cancelled.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Generic, TypeVar

T = TypeVar("T")


class _Lease(Generic[T]):
    """A resource and its number of current users."""

    def __init__(self, resource: T) -> None:
        self.resource = resource
        self.users = 0


class Replaceable(Generic[T]):
    """Lends the current resource and replaces it when a use fails.

    Args:
        make: creates a resource; may raise.
        close: closes one; must be idempotent.
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
        """Lend the resource; a block that ends with any error, cancellation included, replaces it.

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
        """Make the next use start with a new resource."""
        if self._current is not None:
            self._retire(self._current)

    async def close(self) -> None:
        """Close every resource, also those in use; final and idempotent."""
        self._closed = True
        self._current = None
        for lease in list(self._leases):
            self._dispose(lease)
        while self._closing:
            # Not gathered: the sockets must close even if this task is cancelled.
            await asyncio.wait(self._closing)

    def _lease(self) -> _Lease[T]:
        if self._closed:
            raise RuntimeError("the resource was closed")
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
        """Close in the background, so that neither a caller nor its cancellation affects it."""
        if lease not in self._leases:
            return
        self._leases.discard(lease)
        task = asyncio.ensure_future(self._close_quietly(lease.resource))
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)

    async def _close_quietly(self, resource: T) -> None:
        try:
            await self._close(resource)
        except Exception:  # noqa: BLE001, a connection that does not close cleanly loses nothing
            return
