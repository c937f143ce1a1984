"""Spreads the work over the replicas that share a journal: takes, renews and gives back leases.

Every replica runs one keeper. It renews what it holds, learns who else lives, and computes from that who
should do what; all of them compute the same. Whoever does a unit of work waits in ``hold`` until it is this
replica's turn, and stops when the grant ends.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import field

from connector.broadcast import Broadcast
from connector.errors import JournalError, JournalUnavailable, LeaseLost
from connector.facts import LeaseExpired, LeaseReleased, LeaseTaken, ReplicasSeen
from connector.interfaces import Observe
from connector.leases import RENEW, TTL, Leases, Replicas, Unit, assign
from connector.values import dataclass

_MARGIN = 1.0
"""Seconds before the end of a lease at which its holder stops: what it sends now still takes a moment."""

_GRACE = 2.0
"""Seconds that a free lease is left to the replica that should take it; then any other does.

That one may have died a moment ago and look alive: a takeover must not wait for it. It looks itself at the
moment at which the lease runs out.
"""

_SETTLED = 2 * RENEW
"""Seconds that a replica must have lived before others give work up for it."""

_SOON, _RETRY = 0.05, 0.5
"""Seconds after the end of another's lease, and between attempts to reach the database."""

_RELEASE_SECONDS = 5.0
"""Longest a release may take; after that the lease runs out by itself."""


def boot_time() -> float:
    """Seconds on a clock that goes on while the process is stopped and while the host sleeps."""
    return time.clock_gettime(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))


@dataclass(slots=True)
class Grant:
    """A unit that this replica holds. *ended*: stop at once. *wanted*: finish soon, another should do it.

    *recheck* makes the keeper look whether it is still held.
    """

    unit: Unit
    tokens: dict[str, int] = field(default_factory=dict)
    valid_until: float = float("inf")
    ended: asyncio.Event = field(default_factory=asyncio.Event)
    wanted: asyncio.Event = field(default_factory=asyncio.Event)
    recheck: Callable[[], None] = lambda: None

    @property
    def is_valid(self) -> bool:
        """Whether the work may still have effects outside."""
        return not self.ended.is_set() and boot_time() < self.valid_until

    async def over(self) -> None:
        """Wait until the work should end, at once or soon."""
        waits = [asyncio.ensure_future(event.wait()) for event in (self.ended, self.wanted)]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()


class Keeper:
    """Grants units of work. Without *leases* this process is alone and holds everything.

    Args:
        leases: the leases of this replica.
        observe: takes facts.
    """

    def __init__(self, leases: Leases | None, observe: Observe) -> None:
        self._leases = leases
        self._observe = observe
        self._grants: dict[str, Grant] = {}
        self._waiting: dict[str, Unit] = {}
        self._units: tuple[Unit, ...] = ()
        self._free_since: dict[str, float] = {}
        self._unwanted: dict[str, int] = {}
        self._changed = Broadcast()
        self._woken = asyncio.Event()
        self.view = Replicas()

    @property
    def is_alone(self) -> bool:
        """Whether no other process can share the journal."""
        return self._leases is None

    def serve(self, units: Iterable[Unit]) -> None:
        """From now on this replica's configuration can do *units*."""
        self._units = tuple(units)
        self._woken.set()

    def proofs(self, unit: Unit) -> Callable[[], Sequence[tuple[str, int]]]:
        """Names and tokens of *unit*'s leases, for ``Journal.fenced``."""

        def held() -> Sequence[tuple[str, int]]:
            grant = self._grants.get(unit.name)
            if grant is None or grant.ended.is_set():
                raise LeaseLost(f"this replica does not hold {unit.name}")
            return list(grant.tokens.items())

        return held

    def holds(self, lease: str) -> bool:
        """Whether this replica holds *lease*, or is alone."""
        return self._leases is None or any(lease in grant.tokens for grant in self._grants.values())

    def is_valid(self, unit: Unit) -> bool:
        """Whether this replica may send for *unit* now."""
        grant = self._grants.get(unit.name)
        return grant is not None and grant.is_valid

    @asynccontextmanager
    async def hold(self, unit: Unit) -> AsyncIterator[Grant]:
        """Wait until *unit* is this replica's; give it back at the end of the block."""
        if self._leases is None:
            grant = self._grants[unit.name] = Grant(unit)
        else:
            grant = await self._granted(unit)
        try:
            yield grant
        finally:
            grant.ended.set()
            if self._grants.get(unit.name) is grant:
                del self._grants[unit.name]
            if self._leases is not None and grant.tokens:
                await self._release(self._leases, grant)

    async def run(self) -> None:
        """Renew and take until cancelled."""
        leases = self._leases
        if leases is None:
            return
        aside = [asyncio.create_task(work) for work in (self._listen(leases), self._expire())]
        try:
            while True:
                self._woken.clear()
                pause = await self._turn(leases)
                with suppress(TimeoutError):
                    async with asyncio.timeout(pause):
                        await self._woken.wait()
        finally:
            for task in aside:
                task.cancel()
            await asyncio.gather(*aside, return_exceptions=True)

    async def retire(self) -> None:
        """Tell the others that this replica ends, so that they take what it gives back at once."""
        self._units = ()
        if self._leases is not None:
            with suppress(JournalError, TimeoutError):
                async with asyncio.timeout(_RELEASE_SECONDS):
                    await self._leases.leave()

    async def _granted(self, unit: Unit) -> Grant:
        self._waiting[unit.name] = unit
        self._woken.set()
        try:
            while unit.name not in self._grants:
                await self._changed.wait()
            return self._grants[unit.name]
        finally:
            self._waiting.pop(unit.name, None)

    async def _listen(self, leases: Leases) -> None:
        while True:
            await leases.changed()
            self._woken.set()

    async def _turn(self, leases: Leases) -> float:
        """Renew, look, take; returns the seconds until the next turn."""
        began = boot_time()
        held = {name: token for grant in self._grants.values() for name, token in grant.tokens.items()}
        try:
            serves = sorted({lease for unit in self._units for lease in unit.leases})
            view = await leases.renew(serves, held)
        except JournalUnavailable:
            return _RETRY
        self.view = view
        self._check(leases.replica, view, began + TTL - _MARGIN)
        pause = RENEW
        try:
            pause = await self._take(leases, view)
        except JournalUnavailable:
            pause = _RETRY
        held = {name: token for grant in self._grants.values() for name, token in grant.tokens.items()}
        self._observe(ReplicasSeen(leases.replica, view, tuple(sorted(held))))
        return pause

    def _check(self, replica: str, view: Replicas, valid_until: float) -> None:
        """Extend the grants that were renewed, and end those that another replica has taken."""
        known = {lease.name: (lease.holder, lease.token) for lease in view.leases}
        for grant in list(self._grants.values()):
            for name, token in grant.tokens.items():
                if known.get(name) != (replica, token):
                    self._end(grant, f"{name} has another holder, or none")
                    break
            else:
                grant.valid_until = valid_until

    async def _expire(self) -> None:
        """End grants that ran out, also while the database does not answer."""
        while True:
            await asyncio.sleep(_RETRY)
            for grant in list(self._grants.values()):
                if boot_time() >= grant.valid_until:
                    self._end(grant, "it was not renewed in time: the database or this process stood still")

    def _end(self, grant: Grant, reason: str) -> None:
        """The work of *grant* MUST stop; its leases are another's, or run out."""
        self._grants.pop(grant.unit.name, None)
        grant.tokens.clear()
        grant.ended.set()
        for name in grant.unit.leases:
            self._observe(LeaseExpired(name, reason))

    async def _take(self, leases: Leases, view: Replicas) -> float:
        me, now = leases.replica, boot_time()
        chosen = assign(self._units, view.replicas)
        known = {lease.name: lease for lease in view.leases}
        pause = RENEW
        for unit in list(self._waiting.values()):
            holders = [
                known[name] for name in unit.leases if name in known and known[name].holder is not None
            ]
            others = [lease for lease in holders if lease.holder != me]
            if others:
                self._free_since.pop(unit.name, None)
                pause = min(pause, max(lease.expires for lease in others) + _SOON)
                continue
            since = self._free_since.setdefault(unit.name, now)
            if chosen.get(unit.name, me) != me and now - since < _GRACE:
                pause = min(pause, _GRACE - (now - since) + _SOON)
                continue
            await self._take_unit(leases, unit)
        settled = [replica for replica in view.replicas if replica.id == me or replica.age >= _SETTLED]
        chosen = assign(self._units, settled)
        for grant in self._grants.values():
            self._consider(grant, is_unwanted=chosen.get(grant.unit.name, me) != me)
        return max(pause, _SOON)

    async def _take_unit(self, leases: Leases, unit: Unit) -> None:
        began = boot_time()
        tokens = await leases.take(unit.leases)
        if tokens is None:
            return
        if unit.name not in self._waiting:
            await leases.release(tokens)
            return
        self._free_since.pop(unit.name, None)
        self._unwanted.pop(unit.name, None)
        self._grants[unit.name] = Grant(unit, dict(tokens), began + TTL - _MARGIN, recheck=self._woken.set)
        del self._waiting[unit.name]
        for name, token in tokens.items():
            self._observe(LeaseTaken(name, token))
        self._changed.notify()

    def _consider(self, grant: Grant, *, is_unwanted: bool) -> None:
        """Give work up for another replica only when two turns say so: a replica may come and go."""
        count = self._unwanted.get(grant.unit.name, 0) + 1 if is_unwanted else 0
        self._unwanted[grant.unit.name] = count
        if count > 1:
            grant.wanted.set()

    async def _release(self, leases: Leases, grant: Grant) -> None:
        tokens, grant.tokens = dict(grant.tokens), {}
        try:
            async with asyncio.timeout(_RELEASE_SECONDS):
                await leases.release(tokens)
        except (JournalError, TimeoutError) as error:
            for name in tokens:
                self._observe(LeaseExpired(name, f"it could not be released: {type(error).__name__}"))
        else:
            for name in tokens:
                self._observe(LeaseReleased(name))
