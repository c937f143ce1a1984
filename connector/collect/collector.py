"""Keeps one feed current: the live sweep on its schedule, revisits behind it, each failure classed.

Both run beside each other and neither twice at once. A failure leaves the checkpoint where it was; the
same time is asked again, with a patience that fits the error, until it succeeds.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime
from functools import partial

from connector.collect.absence import Absences
from connector.collect.patience import Patience
from connector.collect.plan import Plan
from connector.collect.schedule import Schedule
from connector.collect.sweeper import Sweeper
from connector.collect.walk import Walker
from connector.collect.windows import LIVE
from connector.errors import Moved, SourceError
from connector.facts import FeedCaughtUp
from connector.interfaces import Clock, Enricher, FeedLog, Lookup, Observe, Source

_LOOK = (1.0, 60.0)
"""Seconds between two looks whether a revisit is due: at least, at most."""


class Collector:
    """Collects one feed; see the module."""

    def __init__(
        self,
        plan: Plan,
        source: Source,
        lookup: Lookup,
        log: FeedLog,
        *,
        observe: Observe,
        clock: Clock,
        refresh: Callable[[], bool] = lambda: False,
        enricher: Enricher | None = None,
    ) -> None:
        self._plan = plan
        self._source = source
        self._observe = observe
        self._clock = clock
        self._refresh = refresh
        walker = Walker(
            plan.feed,
            plan.fingerprint,
            source,
            log,
            watched=plan.watched,
            observe=observe,
            clock=self._now,
            enricher=enricher,
        )
        absences = Absences(
            plan.feed,
            lookup,
            log,
            watched=plan.watched,
            observe=observe,
            clock=self._now,
        )
        self._sweeper = Sweeper(plan, walker, absences, log, observe=observe, now=self._now)

    @property
    def checkpoints(self) -> Mapping[str, datetime]:
        """Where the feed's sweeps stand."""
        return self._sweeper.checkpoints

    async def run(self, schedule: Schedule) -> None:
        """Collect until cancelled."""
        await self._sweeper.load()
        async with asyncio.TaskGroup() as group:
            group.create_task(self._live(schedule))
            group.create_task(self._revisits())

    async def once(self) -> None:
        """Walk the feed to now, with the revisits that are due; returns when all of it is durable."""
        await self._sweeper.load()
        await self._persist(LIVE, self._sweeper.live)
        for sweep in self._sweeper.revisits:
            await self._persist(sweep.name, partial(self._sweeper.revisit, sweep))

    async def _live(self, schedule: Schedule) -> None:
        while True:
            await schedule.wait()
            await self._persist(LIVE, self._sweeper.live)
            checkpoint = self._sweeper.checkpoints.get(LIVE)
            if checkpoint is not None:
                self._observe(FeedCaughtUp(self._plan.feed, checkpoint))

    async def _revisits(self) -> None:
        shortest = min((age.total_seconds() for age in self._plan.ages), default=0.0)
        pause = min(max(shortest / 10, _LOOK[0]), _LOOK[1])
        while self._sweeper.revisits:
            await asyncio.sleep(pause)
            for sweep in self._sweeper.revisits:
                await self._persist(sweep.name, partial(self._sweeper.revisit, sweep))

    async def _persist(self, name: str, walk: Callable[[], Awaitable[object]]) -> None:
        """Run *walk* until it succeeds."""
        patience = Patience(self._plan.feed, name, self._observe, self._refresh)
        while True:
            try:
                await walk()
            except Moved:
                await self._sweeper.load()
            except SourceError as error:
                await patience.bear(error)
            else:
                patience.succeeded()
                return

    def _now(self) -> datetime:
        """The earlier of both clocks: a watermark never passes what either believes to be now."""
        return min(self._source.now(), self._clock())
