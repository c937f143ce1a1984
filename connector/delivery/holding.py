"""Whether an output is on hold, and why: told once when it begins and once when it ends."""

from __future__ import annotations

import asyncio
from datetime import datetime
from typing import Literal, TypeAlias

from connector.delivery.context import Kit
from connector.facts import HoldBegun, HoldEnded

Side: TypeAlias = Literal["collector", "journal"]
"""Who makes it wait: the collector, or a journal that cannot take an acknowledgement."""


class Holding:
    """The hold of one output. Both sides may cause it; it ends when neither does."""

    def __init__(self, kit: Kit) -> None:
        self._kit = kit
        self._reasons: dict[Side, str] = {}
        self._began = 0.0
        self.since: datetime | None = None

    def by(self, side: Side) -> bool:
        """Whether *side* makes the output wait."""
        return side in self._reasons

    @property
    def reason(self) -> str | None:
        """Why the output waits for a person; ``None`` where it does not."""
        return next(iter(self._reasons.values()), None)

    def begin(self, side: Side, reason: str) -> None:
        """Wait because of *side*; a hold that is there already only learns the new reason."""
        if not self._reasons:
            self._began = asyncio.get_running_loop().time()
            self.since = self._kit.clock()
            self._reasons[side] = reason
            self._kit.observe(HoldBegun(self._kit.name, reason))
        self._reasons[side] = reason

    def end(self, side: Side) -> None:
        """*side* is well again."""
        if self._reasons.pop(side, None) is not None and not self._reasons:
            self.since = None
            seconds = asyncio.get_running_loop().time() - self._began
            self._kit.observe(HoldEnded(self._kit.name, seconds))
