"""Notices an output whose filters left out everything for a day: often a misspelt value."""

from __future__ import annotations

import asyncio

from connector.delivery.context import DeliveryContext
from connector.facts import EverythingFiltered

_PATIENCE = 24 * 3600.0
"""Seconds without an event after which to warn, and again after each such time: a day has every kind of
traffic, office hours and batch jobs, so an output that takes part of it has sent something."""


class FilterWatch:
    """Counts what an output left out since it last sent an event."""

    def __init__(self, context: DeliveryContext) -> None:
        self._context = context
        self._since: float | None = None
        self._count = 0

    def accepted(self) -> None:
        """The collector accepted an event."""
        self._since, self._count = None, 0

    def filtered(self, count: int) -> None:
        """*count* revisions were left out by ``when``, ``emit`` or ``max_age``."""
        now = asyncio.get_running_loop().time()
        self._since = now if self._since is None else self._since
        self._count += count
        seconds = now - self._since
        if seconds >= _PATIENCE:
            self._context.observe(EverythingFiltered(self._context.name, self._count, seconds))
            self.accepted()
