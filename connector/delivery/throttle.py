"""Keeps an output for people from flooding: a limit per minute, and one alert per group. Pure.

The caller passes the time. What is left out here is summed up: when its minute or group ends, a ``Digest``
stands for it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Literal, TypeAlias

from connector.model import Revision
from connector.values import dataclass

ThrottleReason: TypeAlias = Literal["group_by", "throttle"]

_MINUTE = 60.0
"""Seconds over which ``throttle.per_minute`` counts."""

_MAX_GROUPS = 10_000
"""Groups remembered at once. A sender who varies the subject opens a group per message: beyond this the
oldest group ends early, which at worst sends one alert more. About 5 MB, a revision each."""


@dataclass(frozen=True, slots=True)
class GroupBy:
    """What groups alerts: equal *key*, first seen less than *within* seconds ago. ``None`` joins no group."""

    key: Callable[[Revision], str | None]
    within: float


@dataclass(frozen=True, slots=True)
class Digest:
    """Stands for *count* revisions that were left out; *newest* is the last of them."""

    newest: Revision
    count: int


@dataclass(slots=True)
class _Summary:
    """What was left out since it began; it ends at *ends*."""

    ends: float
    newest: Revision | None = None
    count: int = 0

    def add(self, revision: Revision, count: int) -> None:
        """Sum up *count* more, of which *revision* is the newest."""
        self.newest, self.count = revision, self.count + count

    def digest(self) -> Digest | None:
        """What it sums up; ``None`` where nothing was left out."""
        return None if self.newest is None else Digest(self.newest, self.count)


class Throttle:
    """Decides what is sent at once, and sums up the rest.

    The first of a group is sent at once, later ones wait for the digest of their group. Of what remains,
    *per_minute* are sent in each minute, which begins with its first event; the rest waits for the digest of
    that minute. Digests of groups count towards the limit; beyond it they become part of the minute's.

    Args:
        per_minute: the most events in a minute, the minute's digest aside; ``None`` for no limit.
        group_by: what groups alerts; ``None`` for no groups.
    """

    def __init__(self, per_minute: int | None = None, group_by: GroupBy | None = None) -> None:
        self._per_minute = per_minute
        self._group_by = group_by
        self._groups: dict[str, _Summary] = {}
        self._minute: _Summary | None = None
        self._passed = 0
        self._ready: deque[Digest] = deque()

    def admit(self, revision: Revision, now: float) -> ThrottleReason | None:
        """Return ``None`` if *revision* is to be sent now, else the name of what left it out."""
        self._advance(now)
        group_by = self._group_by
        key = None if group_by is None else group_by.key(revision)
        if group_by is not None and key is not None:
            group = self._groups.get(key)
            if group is not None:
                group.add(revision, 1)
                return "group_by"
            if len(self._groups) >= _MAX_GROUPS:
                self._end_oldest_group(now)
            self._groups[key] = _Summary(now + group_by.within)
        minute = self._full_minute(now)
        if minute is None:
            return None
        minute.add(revision, 1)
        return "throttle"

    def corrected(self, revision: Revision) -> None:
        """*revision* takes an alert back: no digest may still show it as one, and alert again."""
        for summary in (*self._groups.values(), *([self._minute] if self._minute else [])):
            if summary.newest is not None and _same_record(summary.newest, revision):
                summary.newest = revision
        for number, digest in enumerate(self._ready):
            if _same_record(digest.newest, revision):
                self._ready[number] = Digest(revision, digest.count)

    @property
    def due(self) -> float | None:
        """When the next digest may be ready; ``None`` where nothing was left out."""
        if self._ready:
            return float("-inf")
        group = next((summary for summary in self._groups.values() if summary.count), None)
        waiting = [summary for summary in (group, self._minute) if summary is not None and summary.count]
        return min((summary.ends for summary in waiting), default=None)

    def take(self, now: float, *, flush: bool = False) -> Digest | None:
        """Return the next digest, if one is ready; with *flush* also of what has not ended yet."""
        self._advance(now, flush=flush)
        return self._ready.popleft() if self._ready else None

    def put_back(self, digest: Digest) -> None:
        """Keep a digest that could not be sent, as the next one."""
        self._ready.appendleft(digest)

    def _advance(self, now: float, *, flush: bool = False) -> None:
        """End what is over, oldest first: all groups last equally long."""
        while self._groups and (flush or next(iter(self._groups.values())).ends <= now):
            self._end_oldest_group(now)
        if self._minute is not None and (flush or self._minute.ends <= now):
            self._end_minute()

    def _end_oldest_group(self, now: float) -> None:
        digest = self._groups.pop(next(iter(self._groups))).digest()
        if digest is None:
            return
        minute = self._full_minute(now)
        if minute is None:
            self._ready.append(digest)
        else:
            minute.add(digest.newest, digest.count)

    def _full_minute(self, now: float) -> _Summary | None:
        """The current minute if its limit is reached; else count one more event and return ``None``."""
        if self._per_minute is None:
            return None
        if self._minute is not None and self._minute.ends <= now:
            self._end_minute()
        if self._minute is None:
            self._minute, self._passed = _Summary(now + _MINUTE), 0
        if self._passed >= self._per_minute:
            return self._minute
        self._passed += 1
        return None

    def _end_minute(self) -> None:
        digest = None if self._minute is None else self._minute.digest()
        if digest is not None:
            self._ready.append(digest)
        self._minute = None


def _same_record(one: Revision, other: Revision) -> bool:
    return one.record.id == other.record.id and one.feed.account == other.feed.account
