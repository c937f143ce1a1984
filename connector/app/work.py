"""What a replica works on while it holds the lease for it: the delivery of an output, a group of feeds.

Without other replicas everything is held from the start to the end.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, MutableMapping, Sequence
from contextlib import asynccontextmanager

from connector.app.collectors import FeedPlan
from connector.app.replicas import Grant, Keeper
from connector.app.routes import Route
from connector.app.sources import accounts_by_credential
from connector.app.tasks import supervise, task_scope
from connector.delivery import Deliverer
from connector.errors import LeaseLost, Retryable
from connector.facts import FeedStarted
from connector.interfaces import BatchOutput, Observe, Output, ResumableOutput
from connector.leases import Unit, account_lease, output_unit
from connector.model import BatchName, Event, Limits, Receipt
from connector.outputs.common import LocalSettings
from connector.settings import Settings
from connector.source.client import CloudflareSource
from connector.values import dataclass

_FINISH_SECONDS = 10.0
"""Longest that requests in flight may take when another replica should deliver to an output."""


_LOOK_SECONDS = 2.0
"""Seconds between two looks for actions that other replicas took."""


@dataclass(frozen=True, slots=True)
class Group:
    """Accounts (by name) that share a credential, and so a request budget: one replica collects from them."""

    unit: Unit
    accounts: frozenset[str]


def plan_groups(settings: Settings) -> tuple[Group, ...]:
    """A group per credential."""
    groups = []
    for names in accounts_by_credential(settings):
        leases = sorted({account_lease(settings.accounts[name].account_id) for name in names})
        groups.append(Group(Unit(f"accounts {', '.join(sorted(names))}", tuple(leases)), frozenset(names)))
    return tuple(groups)


def is_served_here(route: Route) -> bool:
    """Whether this host may deliver to *route*: an output on one host is pinned to it."""
    settings = route.settings
    pinned = settings.pinned_to if isinstance(settings, LocalSettings) else None
    return pinned is None or pinned == socket.gethostname()


def plan_units(settings: Settings, routes: Iterable[Route]) -> list[Unit]:
    """Everything that this replica can do."""
    outputs = [output_unit(route.name) for route in routes if is_served_here(route)]
    actions = [ACTIONS] if settings.actions is not None else []
    return [*outputs, *(group.unit for group in plan_groups(settings)), *actions]


class GuardedOutput:
    """An output that sends only while *is_held*: a replica that was frozen may have lost its lease."""

    def __init__(self, output: Output, is_held: Callable[[], bool]) -> None:
        self._output = output
        self._is_held = is_held

    @property
    def limits(self) -> Limits:
        """See ``Output``."""
        return self._output.limits

    async def open(self) -> None:
        """See ``Output``."""
        await self._output.open()

    async def send(self, events: Sequence[Event]) -> Receipt:
        """See ``Output``."""
        self._check()
        return await self._output.send(events)

    async def close(self) -> None:
        """See ``Output``."""
        await self._output.close()

    def _check(self) -> None:
        if not self._is_held():
            raise Retryable("the lease for this output has run out")


class _GuardedBatchOutput(GuardedOutput):
    def __init__(self, output: BatchOutput, is_held: Callable[[], bool]) -> None:
        super().__init__(output, is_held)
        self._whole = output

    async def send_batch(self, batch: BatchName, events: Sequence[Event]) -> Receipt:
        """See ``BatchOutput``."""
        self._check()
        return await self._whole.send_batch(batch, events)


class _GuardedResumableOutput(GuardedOutput):
    def __init__(self, output: ResumableOutput, is_held: Callable[[], bool]) -> None:
        super().__init__(output, is_held)
        self._resumable = output

    async def resume(self) -> None:
        """See ``ResumableOutput``."""
        await self._resumable.resume()


def guarded(output: Output, is_held: Callable[[], bool]) -> GuardedOutput:
    """*output*, sending only while *is_held*; it can do what *output* can."""
    if isinstance(output, BatchOutput):
        return _GuardedBatchOutput(output, is_held)
    if isinstance(output, ResumableOutput):
        return _GuardedResumableOutput(output, is_held)
    return GuardedOutput(output, is_held)


async def deliver_while_held(
    keeper: Keeper,
    name: str,
    build: Callable[[], Deliverer],
    deliverers: MutableMapping[str, Deliverer],
    observe: Observe,
) -> None:
    """Deliver to output *name* whenever this replica holds its lease; returns when it was drained.

    *deliverers* has the deliverer while it works.
    """
    unit = output_unit(name)
    while True:
        async with keeper.hold(unit) as grant:
            deliverer = deliverers.get(name) or build()
            deliverers[name] = deliverer
            try:
                async with _until_over(grant, f"output {name}", deliverer.run, observe) as ended:
                    if not ended:
                        await deliverer.finish(_FINISH_SECONDS)
            finally:
                if not keeper.is_alone:
                    del deliverers[name]
            if ended:
                return


ACTIONS = Unit("actions", ("actions",))
"""Performing response actions; every replica takes requests."""


async def perform_while_held(
    keeper: Keeper,
    run: Callable[[], Awaitable[None]],
    look: Callable[[], Awaitable[None]],
    observe: Observe,
) -> None:
    """Perform response actions (*run*) whenever this replica holds the lease for it.

    *look* finds those that other replicas took meanwhile; it is called every few seconds.
    """

    async def look_again() -> None:
        while True:
            await asyncio.sleep(_LOOK_SECONDS)
            await look()

    while True:
        async with keeper.hold(ACTIONS) as grant, task_scope() as start:
            start(supervise("actions", _held(run, grant), observe))
            if not keeper.is_alone:
                start(supervise("actions of other replicas", _held(look_again, grant), observe))
            await grant.over()


async def collect_while_held(
    keeper: Keeper,
    unit: Unit,
    sources: Sequence[CloudflareSource],
    feeds: Sequence[tuple[float, FeedPlan, Callable[[], Awaitable[None]]]],
    observe: Observe,
) -> None:
    """Run the *feeds* (delay in seconds, plan, work) of a group whenever this replica holds its leases."""
    while True:
        async with keeper.hold(unit) as grant, task_scope() as start:
            for source in sources:
                source.restore_pause()
            for delay, feed, work in feeds:
                if not keeper.is_alone:
                    observe(FeedStarted(feed.plan.feed, feed.fresh_within.total_seconds()))
                start(_later(delay, f"feed {feed.plan.feed}", _held(work, grant), observe))
            await grant.over()


@asynccontextmanager
async def held_aside(keeper: Keeper, unit: Unit) -> AsyncIterator[asyncio.Event]:
    """Wait for *unit* beside the block; the event is set once it is held, to the end of the block."""
    held = asyncio.Event()

    async def keep() -> None:
        async with keeper.hold(unit) as grant:
            held.set()
            await grant.ended.wait()

    keeping = asyncio.create_task(keep())
    try:
        yield held
    finally:
        keeping.cancel()
        await asyncio.gather(keeping, return_exceptions=True)


@asynccontextmanager
async def _until_over(
    grant: Grant, name: str, run: Callable[[], Awaitable[None]], observe: Observe
) -> AsyncIterator[bool]:
    """Run *run* until it ends (true) or *grant* is over (false); after the block it is cancelled."""
    working = asyncio.create_task(supervise(name, _held(run, grant), observe))
    over = asyncio.create_task(grant.over())
    try:
        await asyncio.wait((working, over), return_when=asyncio.FIRST_COMPLETED)
        if working.done():
            working.result()
        if grant.ended.is_set():
            working.cancel()
        yield working.done() and not grant.ended.is_set()
    finally:
        over.cancel()
        working.cancel()
        await asyncio.gather(working, over, return_exceptions=True)


def _held(work: Callable[[], Awaitable[None]], grant: Grant) -> Callable[[], Awaitable[None]]:
    """*work*, which waits for the end of *grant* where it learns first that the lease is another's."""

    async def run() -> None:
        try:
            await work()
        except LeaseLost:
            await _await_end(grant)
        except BaseExceptionGroup as group:
            if group.split(LeaseLost)[1] is not None:
                raise
            await _await_end(grant)

    return run


async def _await_end(grant: Grant) -> None:
    """Wait for the keeper to notice."""
    grant.recheck()
    await grant.ended.wait()


async def _later(delay: float, name: str, work: Callable[[], Awaitable[None]], observe: Observe) -> None:
    await asyncio.sleep(delay)
    await supervise(name, work, observe)
