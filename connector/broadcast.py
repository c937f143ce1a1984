"""A broadcast to everything that waits for a change: wake all waiters, then start anew.

``asyncio.Event`` stays set and ``asyncio.Condition`` needs a lock; this is the small primitive in between.
"""

from __future__ import annotations

import asyncio
import contextlib


class Broadcast:
    """Wakes all present waiters at each ``notify``. Nothing is remembered for those who come later.

    Check your condition, then wait, with no ``await`` in between: no notification is lost then.
    """

    def __init__(self) -> None:
        self._event = asyncio.Event()

    def notify(self) -> None:
        """Wake everything that waits now."""
        self._event.set()
        self._event = asyncio.Event()

    async def wait(self, until: float | None = None) -> None:
        """Return at the next notification, or when the loop's time is *until*."""
        event = self._event
        if until is None:
            await event.wait()
            return
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout_at(until):
                await event.wait()
