"""Wakes readers of the journal when its head advances or their position was moved (rewind, skip)."""

from __future__ import annotations

from connector.broadcast import Broadcast


class HeadNotifier:
    """The head as the main loop knows it, and the outputs whose position was moved under them."""

    def __init__(self, head: int) -> None:
        self.head = head
        self._moved: set[str] = set()
        self._changed = Broadcast()

    def advance(self, head: int) -> None:
        """Note that the newest sequence number is *head*."""
        if head > self.head:
            self.head = head
            self._changed.notify()

    def reset(self, head: int) -> None:
        """Note that the newest sequence number is *head*, even where it was larger before."""
        self.head = head
        self._changed.notify()

    def mark_moved(self, output: str) -> None:
        """Note that the position of *output* changed under its reader."""
        self._moved.add(output)
        self._changed.notify()

    def clear_moved(self, output: str) -> None:
        """Note that the reader of *output* has learned its position."""
        self._moved.discard(output)

    def is_moved(self, output: str) -> bool:
        """Whether the reader of *output* has to look up its position."""
        return output in self._moved

    async def wait(self) -> None:
        """Wait until the head or a position changes."""
        await self._changed.wait()
