"""Paces commits in a catch-up, so that outputs read what was committed while it is still in memory.

Collection and delivery share one core, and collection is the faster of both. Unpaced, it fills the journal
while entries leave the cache before any output has read them, and each has to be read from the disk.
"""

from __future__ import annotations

import asyncio

from connector.broadcast import Broadcast

_CLOSE = 250
"""Revisions behind the head at which an output has caught up: the size of two entries."""

_FAR = 4000
"""Revisions behind the head from which an output reads from the disk anyway: waiting gains nothing."""

_LONGEST = 0.5
"""Seconds that one commit waits at most. A page of 1000 records in half a second is as fast as the API gives
records to one credential, so an output that is slower than that does not hold up the others."""


class Pacing:
    """Where outputs read, and whether the next commit should wait for them."""

    def __init__(self) -> None:
        self._positions: dict[str, int] = {}
        self._read = Broadcast()

    def reading(self, output: str, after: int) -> None:
        """Note that *output* asks for what follows *after*."""
        self._positions[output] = after
        self._read.notify()

    def forget(self, output: str) -> None:
        """Note that *output* will not read for a while."""
        self._positions.pop(output, None)
        self._read.notify()

    async def wait(self, head: int) -> None:
        """Wait until every output that follows *head* closely has nearly reached it.

        One that does not get there in time is not waited for again until it reads on.
        """
        until = asyncio.get_running_loop().time() + _LONGEST
        while behind := self._behind(head):
            if asyncio.get_running_loop().time() >= until:
                for output in behind:
                    self._positions.pop(output)
                return
            await self._read.wait(until)

    def _behind(self, head: int) -> list[str]:
        return [output for output, after in self._positions.items() if _CLOSE < head - after <= _FAR]
