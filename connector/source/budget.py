"""The request budget of one credential: a token bucket with priorities; rate limits survive restarts.

One object per credential, shared by all sources that use it. Waiting requests are served by priority, and
within a priority in order of arrival. A search has one request in flight, so all feeds take turns, however
long their searches are. Priorities are strict: a backfill proceeds only while nothing fresher waits.

The bucket holds a quarter of the budget and refills with the rest over the window, so that no window sees
more requests than configured. The API's own limits can only slow it down further; what other clients of the
credential seem to need is left to them.
"""

from __future__ import annotations

import asyncio
import heapq
import itertools
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Protocol

from connector.errors import ConnectorError, Unavailable
from connector.facts import (
    BudgetRemaining,
    BudgetWaited,
    RateLimited,
    RateLimitLifted,
    RateLimitRestored,
    RetryAfterCapped,
)
from connector.interfaces import Clock, KeyValueStore, Observe
from connector.model import Priority
from connector.source.quota_estimate import QuotaEstimate
from connector.source.ratelimit_headers import parse_policy, parse_remaining

_REPORTED_WAIT = 0.05
"""Seconds of waiting that are worth a fact."""

_ROUNDING = 0.001
"""Seconds added to a timer, so that a whole token is there when it fires."""

LONGEST_BLOCK = 3600.0
"""Longest pause in seconds that the API may ask for. Cloudflare blocks for five minutes; a wrong unit in
``Retry-After`` must not stop a credential for a year."""

_EMPTY_AT_MOST = 300.0
"""Longest pause in seconds for a ``Ratelimit`` header that says nothing is left."""


class RequestBudget(Protocol):
    """Grants requests; what ``Requester`` asks."""

    async def acquire(self, priority: Priority, account: str) -> None:
        """Wait until one request may be made; cancelling the wait passes the turn on."""
        ...

    def learn(self, headers: Mapping[str, str], account: str) -> None:
        """Apply the ``Ratelimit`` headers of a response."""
        ...

    async def block(self, seconds: float, account: str) -> None:
        """Stop every request for *seconds*, also after a restart."""
        ...

    async def resume(self, account: str) -> bool:
        """End the pause now, also the stored one; return whether there was one."""
        ...

    def restore_again(self) -> None:
        """Look for a stored pause before the next request: another process may have met a rate limit."""
        ...

    @property
    def blocked(self) -> float:
        """Seconds until requests may be made again; 0 if they may."""
        ...


class ActionBudget:
    """Grants requests of actions: before everything else, but few, so that they cannot starve collection.

    Args:
        own: what actions may use, whatever else is free.
        shared: the account's budget, which every request counts against.
        limits: of the two, the one that belongs to the credential: rate limits of the API apply to it.
        turn: who goes first in *own*: what was decided goes before what is only looked at.
        may_send: whether this process is still the one that performs actions, asked when a turn comes.
    """

    def __init__(
        self,
        own: Budget,
        shared: Budget,
        limits: Budget,
        turn: Priority = Priority.ACTION,
        may_send: Callable[[], bool] = lambda: True,
    ) -> None:
        self._own = own
        self._shared = shared
        self._limits = limits
        self._turn = turn
        self._may_send = may_send

    async def acquire(self, priority: Priority, account: str) -> None:
        """See ``RequestBudget``; whatever *priority* is, it is that of an action."""
        del priority
        await self._own.acquire(self._turn, account)
        try:
            await self._shared.acquire(Priority.ACTION, account)
        except asyncio.CancelledError:
            self._own.give_back()
            raise
        if not self._may_send():
            raise Unavailable("this replica does not perform actions any more")

    def learn(self, headers: Mapping[str, str], account: str) -> None:
        """See ``RequestBudget``."""
        self._limits.learn(headers, account)

    async def block(self, seconds: float, account: str) -> None:
        """See ``RequestBudget``."""
        await self._limits.block(seconds, account)

    async def resume(self, account: str) -> bool:
        """See ``RequestBudget``."""
        return await self._limits.resume(account)

    def restore_again(self) -> None:
        """See ``RequestBudget``."""
        self._limits.restore_again()

    @property
    def blocked(self) -> float:
        """See ``RequestBudget``."""
        return max(self._own.blocked, self._shared.blocked)


class Budget:
    """The request budget of one credential.

    Args:
        name: identifies the credential in the journal; not a secret.
        requests: most requests in any *window* seconds.
        window: see *requests*.
        notes: stores the end of a rate limit.
        observe: takes facts.
        clock: the wall clock.
    """

    def __init__(
        self,
        name: str,
        *,
        requests: int = 600,
        window: float = 300.0,
        notes: KeyValueStore | None = None,
        observe: Observe,
        clock: Clock,
    ) -> None:
        self._key = f"rate_limit/{name}"
        self._capacity, self._rate = _bucket(requests, window)
        self._notes = notes
        self._observe = observe
        self._clock = clock
        self._tokens = self._ceiling = self._capacity
        self._refilled: float | None = None
        self._slow_rate, self._slow_until = self._rate, 0.0
        self._blocked_until = float("-inf")
        self._granted = 0
        self._estimates: list[QuotaEstimate] = []
        self._waiting: list[tuple[Priority, int, asyncio.Future[None]]] = []
        self._order = itertools.count()
        self._timer: asyncio.TimerHandle | None = None
        self._restoring: asyncio.Task[None] | None = None

    async def acquire(self, priority: Priority, account: str) -> None:
        """Wait until one request may be made; cancelling the wait passes the turn on."""
        await self._restore(account)
        loop = asyncio.get_running_loop()
        turn: asyncio.Future[None] = loop.create_future()
        began = loop.time()
        heapq.heappush(self._waiting, (priority, next(self._order), turn))
        self._serve()
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self.give_back()
            else:
                self._serve()
            raise
        waited = loop.time() - began
        if waited >= _REPORTED_WAIT:
            self._observe(BudgetWaited(account, priority.name.lower(), waited))

    def learn(self, headers: Mapping[str, str], account: str) -> None:
        """Apply the ``Ratelimit`` headers of a response."""
        now = asyncio.get_running_loop().time()
        self._refill(now)
        items, rules = parse_remaining(headers), parse_policy(headers)
        self._estimates += [QuotaEstimate() for _ in items[len(self._estimates) :]]
        rates = []
        for item, estimate in zip(items, self._estimates, strict=False):
            ours = estimate.our_share(item, spent=self._granted, now=now)
            self._tokens = min(self._tokens, ours)
            if item.requests == 0:
                self._block_until(now + min(float(item.seconds), _EMPTY_AT_MOST))
            elif item.seconds:
                rates.append(ours / min(item.seconds, LONGEST_BLOCK))
        buckets = [_bucket(rule.requests, min(rule.seconds, LONGEST_BLOCK)) for rule in rules]
        rates += [rate for _, rate in buckets]
        if buckets:
            self._ceiling = min(self._capacity, *(capacity for capacity, _ in buckets))
            self._tokens = min(self._tokens, self._ceiling)
        if rates:
            # The newest response wins: a limit that was reset shows in the one after it.
            self._slow_rate = min(self._rate, *rates)
            spans = [item.seconds for item in items] + [rule.seconds for rule in rules]
            # A window in a wrong unit must not slow every request down for a year.
            self._slow_until = now + min(max(spans), LONGEST_BLOCK)
        least = min((item.requests for item in items), default=None)
        self._observe(BudgetRemaining(account, self._tokens, least))
        self._serve()

    async def block(self, seconds: float, account: str) -> None:
        """Stop every request for *seconds*, at most ``LONGEST_BLOCK``, also after a restart."""
        if seconds > LONGEST_BLOCK:
            self._observe(RetryAfterCapped(account, seconds, LONGEST_BLOCK))
            seconds = LONGEST_BLOCK
        self._block_until(asyncio.get_running_loop().time() + seconds)
        until = self._clock() + timedelta(seconds=seconds)
        self._observe(RateLimited(account, seconds, until))
        self._serve()
        if self._notes is not None:
            try:
                await self._notes.set_value(self._key, f"{until.isoformat()} {seconds:.0f}")
                await self._notes.set_value(_account_key(account), self._key)
            except ConnectorError:
                # A journal without room must not turn a pause into a failure: it holds in memory.
                return

    def give_back(self) -> None:
        """Take back a request that was granted and not made."""
        self._tokens += 1
        self._granted -= 1
        self._serve()

    async def resume(self, account: str) -> bool:
        """End the pause now, also the stored one; returns whether there was one."""
        await self._restore(account)
        was_blocked = self.blocked > 0
        self._blocked_until = float("-inf")
        self._tokens = max(self._tokens, 1.0)
        self._serve()
        if self._notes is not None:
            await clear_pause(self._notes, account)
        if was_blocked:
            self._observe(RateLimitLifted(account))
        return was_blocked

    @property
    def blocked(self) -> float:
        """Seconds until requests may be made again; 0 if they may."""
        return max(0.0, self._blocked_until - asyncio.get_running_loop().time())

    def restore_again(self) -> None:
        """Look for a stored pause before the next request: another process may have met a rate limit."""
        self._restoring = None

    async def _restore(self, account: str) -> None:
        if self._restoring is None:
            self._restoring = asyncio.ensure_future(self._load(account))
        await asyncio.shield(self._restoring)

    async def _load(self, account: str) -> None:
        try:
            noted = await self._notes.get_value(self._key) if self._notes is not None else None
            moment, _, length = (noted or "").partition(" ")
            left = (datetime.fromisoformat(moment).astimezone(UTC) - self._clock()).total_seconds()
            # A wall clock that was set back meanwhile must not make the pause longer than it was.
            left = min(left, float(length), LONGEST_BLOCK)
        except (ValueError, ConnectorError):
            return
        if left > 0:
            self._block_until(asyncio.get_running_loop().time() + left)
            self._observe(RateLimitRestored(account, left, self._clock() + timedelta(seconds=left)))

    def _block_until(self, moment: float) -> None:
        self._blocked_until = max(self._blocked_until, moment)

    def _refill_rate(self, now: float) -> float:
        return self._slow_rate if now < self._slow_until else self._rate

    def _refill(self, now: float) -> None:
        if self._refilled is not None:
            gained = (now - self._refilled) * self._refill_rate(now)
            self._tokens = min(self._ceiling, self._tokens + gained)
        self._refilled = now

    def _serve(self) -> None:
        """Grant turns while there are tokens, and set a timer for the next one."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        loop = asyncio.get_running_loop()
        now = loop.time()
        self._refill(now)
        while self._waiting:
            if self._waiting[0][2].done():
                heapq.heappop(self._waiting)
            elif now < self._blocked_until:
                self._timer = loop.call_at(self._blocked_until, self._serve)
                return
            elif self._tokens >= 1:
                self._tokens -= 1
                self._granted += 1
                heapq.heappop(self._waiting)[2].set_result(None)
            else:
                self._timer = loop.call_later(self._until_next(now), self._serve)
                return

    def _until_next(self, now: float) -> float:
        wait = (1 - self._tokens) / self._refill_rate(now) + _ROUNDING
        return min(wait, self._slow_until - now + _ROUNDING) if now < self._slow_until else wait


async def stored_pause(notes: KeyValueStore, account: str, now: datetime) -> datetime | None:
    """Return when the stored rate limit of *account* ends; ``None`` if there is none or it is over."""
    key = await notes.get_value(_account_key(account))
    moment, _, length = ((await notes.get_value(key) if key else None) or "").partition(" ")
    try:
        until = datetime.fromisoformat(moment).astimezone(UTC)
        left = min((until - now).total_seconds(), float(length), LONGEST_BLOCK)
    except ValueError:
        return None
    return now + timedelta(seconds=left) if left > 0 else None


async def clear_pause(notes: KeyValueStore, account: str) -> None:
    """Forget the stored rate limit of *account*."""
    key = await notes.get_value(_account_key(account))
    if key:
        await notes.set_value(key, None)
        await notes.set_value(_account_key(account), None)


def _account_key(account: str) -> str:
    """Key of an account's reference to its credential's rate limit: commands do not know credentials."""
    return f"rate_limit_of/{account}"


def _bucket(requests: int, window: float) -> tuple[float, float]:
    """Size and refill per second of a bucket that gives at most *requests* in any *window* seconds."""
    size = max(1.0, requests / 4)
    return size, max(1.0, requests - size) / window
