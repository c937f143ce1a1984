"""``PageSize``: how many records to request per page, so that no page takes more memory than there is.

Messages differ in size by a factor of a thousand, and the API has no limit in bytes. The size of the pages
seen so far decides; it survives restarts. A size not yet seen to work is marked in the journal while its
first page is processed: a start that finds such a mark knows that the previous process died inside the page,
probably out of memory, and requests a smaller one.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from connector.errors import ConnectorError
from connector.interfaces import KeyValueStore

_BUDGET = 8 << 20
"""Bytes of JSON a page should have: twice the usual size of 1000 records."""

_SHRINK = 4
"""Divisor after a death inside a page, or a response that was too large: few attempts until one fits."""

_ALWAYS_FITS = 10
"""Records of a page that is requested without a mark: whatever the size, no fewer would help."""

_UNPROVEN = "unproven"


class PageSize:
    """The largest page to request for one account.

    Args:
        account: names the account in the store.
        store: where the size survives a restart; ``None`` remembers it in memory only.
    """

    def __init__(self, account: str, store: KeyValueStore | None) -> None:
        self._key = f"page_size/{account}"
        self._store = store
        self._limit: int | None = None
        self._proven = _ALWAYS_FITS
        self._loaded = False

    async def choose(self, asked: int) -> int:
        """Return how many records to request where *asked* are configured."""
        if not self._loaded:
            self._loaded = True
            await self._load()
        return asked if self._limit is None else max(1, min(asked, self._limit))

    @asynccontextmanager
    async def processing(self, per_page: int) -> AsyncIterator[None]:
        """Mark pages of *per_page* records as unproven until the block ends, however it ends."""
        if per_page <= self._proven:
            yield
            return
        await self._save(f"{per_page} {_UNPROVEN}")
        try:
            yield
            self._proven = max(self._proven, per_page)
        finally:
            await self._save(None if self._limit is None else str(self._limit))

    def learn(self, per_page: int, asked: int, size: int) -> None:
        """Learn from a page of *size* bytes that held up to *per_page* records; *asked* are configured."""
        if size > _BUDGET:
            self._limit = max(1, min(per_page // 2, per_page * _BUDGET // size))
        elif self._limit is not None and size * 2 <= _BUDGET and per_page >= self._limit:
            self._limit = None if self._limit * 2 >= asked else self._limit * 2

    async def shrink(self, per_page: int) -> bool:
        """Request smaller pages after one that could not be read; returns whether there are any."""
        if per_page <= 1:
            return False
        self._limit = max(1, per_page // _SHRINK)
        await self._save(str(self._limit))
        return True

    async def _load(self) -> None:
        if self._store is None:
            return
        try:
            saved = (await self._store.get_value(self._key) or "").split()
            number = int(saved[0]) if saved else 0
        except (ConnectorError, ValueError):
            return
        if number > 0:
            self._limit = max(1, number // _SHRINK) if saved[1:] == [_UNPROVEN] else number

    async def _save(self, value: str | None) -> None:
        if self._store is None:
            return
        try:
            await self._store.set_value(self._key, value)
        except ConnectorError:
            # A journal without room must not stop a search; the size holds in memory.
            return
