"""How far the journal has grown, as the main loop knows it: what readers wait for."""

from __future__ import annotations

import asyncio


class HeadNotifier:
    """The head, a wake-up when it rises, and the outputs whose position somebody else moved."""

    def __init__(self, head: int) -> None:
        self.head = head
        self._moved: set[str] = set()
        self._change = asyncio.Event()

    def advance(self, head: int) -> None:
        """The newest sequence number is *head* now."""
        if head > self.head:
            self.head = head
            self._wake()

    def move(self, output: str) -> None:
        """The position of *output* changed under its reader."""
        self._moved.add(output)
        self._wake()

    def clear(self, output: str) -> None:
        """The reader of *output* knows its position."""
        self._moved.discard(output)

    def moved(self, output: str) -> bool:
        """Whether the reader of *output* has to look its position up."""
        return output in self._moved

    async def change(self) -> None:
        """Wait until something of this changes."""
        await self._change.wait()

    def _wake(self) -> None:
        self._change.set()
        self._change = asyncio.Event()
