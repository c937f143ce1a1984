"""Schedules a feed's polls: a fixed interval or a cron expression, computed by APScheduler's triggers.

Only the triggers are used. The scheduler itself would run jobs by the wall clock, drop ticks that come
late and cancel work at shutdown; here the collector sleeps and never runs a sweep twice at once.
"""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from connector.interfaces import Clock

if TYPE_CHECKING:
    from apscheduler.triggers.cron import CronTrigger

_GLANCE = 30.0
"""Seconds between two looks at the wall clock while waiting for a cron time, because clocks get set."""

_NEVER = datetime.max.replace(tzinfo=UTC)
"""When an expression is due that no day matches, such as the 30th of February."""


class Interval:
    """Every *every*, measured by the loop's clock, so that a wall clock that steps changes nothing."""

    def __init__(self, every: timedelta) -> None:
        self._every = every.total_seconds()
        self._next: float | None = None

    def catch_up(self, last: datetime) -> None:
        """Nothing to do: the first tick comes at once."""

    async def wait(self) -> None:
        """Return at the next tick, the first time at once; ticks missed meanwhile count as one."""
        now = asyncio.get_running_loop().time()
        planned = now if self._next is None else self._next
        missed = int(max(0.0, now - planned) // self._every)
        self._next = planned + (missed + 1) * self._every
        await asyncio.sleep(max(0.0, planned - now))


class Cron:
    """At the times of a five-field cron expression, in UTC."""

    def __init__(self, expression: str, clock: Clock) -> None:
        """Raises ValueError for an expression that is not one."""
        self._trigger = _trigger_of(expression)
        self._clock = clock
        self._last: datetime | None = None

    def catch_up(self, last: datetime) -> None:
        """Have the next ``wait`` return at once if a time of the expression has passed since *last*."""
        self._last = last

    async def wait(self) -> None:
        """Return at the next time of the expression; a clock that is set back starts the wait anew."""
        asked = self._clock()
        last, self._last = self._last, None
        if last is not None and self._due(last) <= asked:
            return
        due = self._due(asked)
        while (now := self._clock()) < due:
            if now < asked:
                asked, due = now, self._due(now)
            await asyncio.sleep(min(_GLANCE, (due - now).total_seconds()))

    def _due(self, after: datetime) -> datetime:
        due: datetime | None = self._trigger.get_next_fire_time(None, after + timedelta(microseconds=1))
        return due or _NEVER


def _trigger_of(expression: str) -> CronTrigger:
    from apscheduler.triggers.cron import CronTrigger  # noqa: PLC0415, few searches have a cron expression

    return CronTrigger.from_crontab(expression, timezone=UTC)


Schedule = Interval | Cron


def schedule_of(every: timedelta | None, cron: str | None, clock: Clock) -> Schedule:
    """The schedule of a search; *cron* wins over *every*."""
    return Cron(cron, clock) if cron else Interval(every or timedelta(minutes=1))


def period_of(every: timedelta | None, cron: str | None, clock: Clock) -> timedelta:
    """The longest time between two polls; of a cron expression, as looked at every hour of eight days."""
    if not cron:
        return every or timedelta(minutes=1)
    trigger = _trigger_of(cron)
    now = clock()
    longest = timedelta(minutes=1)
    for hour in range(8 * 24):
        moment = now + timedelta(hours=hour)
        first: datetime | None = trigger.get_next_fire_time(None, moment)
        second: datetime | None = first and trigger.get_next_fire_time(None, first + timedelta(seconds=1))
        if first is None or second is None:
            return timedelta(days=8)
        longest = max(longest, first - moment, second - first)
    return longest
