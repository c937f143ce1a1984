"""Who may work on a record: one page at a time, so that an older answer never overtakes a newer one."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager


class Turns:
    """Hands out records by their ids. Pages that share none go on side by side."""

    def __init__(self) -> None:
        self._taken: set[str] = set()
        self._freed = asyncio.Event()

    @asynccontextmanager
    async def of(self, ids: Iterable[str]) -> AsyncIterator[None]:
        """Have *ids* for oneself while the block runs; waits for whoever has one of them."""
        wanted = frozenset(ids)
        while not self._taken.isdisjoint(wanted):
            await self._freed.wait()
        self._taken |= wanted
        try:
            yield
        finally:
            self._taken -= wanted
            self._freed.set()
            self._freed = asyncio.Event()
