"""The daemon: runs every room together and ends them in the right order.

Scopes nest: endpoint { journal { control { delivery { collection }}}}. Whatever can be wrong with the
configuration was found before, when the house was built. A reload leaves the outer three open and does the
inner two anew.
"""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial

from connector import __version__
from connector.app.build import House, build_house, move_in
from connector.app.collectors import FeedPlan, begins, build_collectors, note_absent
from connector.app.control.backfill import BackfillDesk
from connector.app.control.operator import handlers
from connector.app.control.server import Handler, serve_control
from connector.app.monitor import beat, look
from connector.app.reload import Read, Reload, changes
from connector.app.routes import attach, build_deliverers
from connector.app.runtime import utc_now
from connector.app.signals import Stop, listening
from connector.app.sources import Budgets, open_sources
from connector.app.tasks import first_of, supervise, workers
from connector.collect.backfill.runner import BACKFILL
from connector.collect.collector import Collector
from connector.delivery import Deliverer
from connector.errors import JournalFull
from connector.facts import ConfigurationReloaded, DaemonStarted, DaemonStopped, DaemonStopping
from connector.interfaces import Observe
from connector.journal import Journal, Options
from connector.model import Feed, JsonObject
from connector.settings import Loaded
from connector.telemetry.endpoint import Endpoint

Announce = Callable[[str], None]
_GLANCE = 0.25
_HAND_OVER = timedelta(seconds=10)
"""How long a reload waits at most for what is being sent; what is cut short is sent again."""

_AGAIN = 2.0
"""Seconds until a journal without room is asked again to take the outputs of a reload."""


@dataclass(frozen=True, slots=True)
class Ground:
    """What a reload leaves as it is: the endpoint's *url*, the journal, the control commands."""

    url: str
    journal: Journal
    commands: dict[str, Handler]
    budgets: Budgets = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Running:
    """What runs while the doors are open."""

    journal: Journal
    deliverers: Mapping[str, Deliverer]
    collectors: tuple[tuple[FeedPlan, Collector], ...]
    desk: BackfillDesk


async def run(house: House, stop: Stop, announce: Announce, reload: Reload | None = None) -> None:
    """Collect and deliver until *stop* is asked for, then drain and end; *reload* may bring a successor.

    *announce* is called with the endpoint's URL ("" without one) once everything runs.
    """
    async with founded(house) as ground:
        await attach(house.routes, ground.journal)
        if reload is not None:
            ground.commands["reload"] = reload.handle
        successor: House | None = house
        while successor is not None:
            former, house = house, successor
            async with delivering(house, ground, stop) as running:
                if house is former:
                    _started(house, ground.url, announce)
                elif reload is not None:
                    reload.ended(changes=_reloaded(house, former))
                successor = await _collect(house, running, stop, reload)
                if successor is None:
                    await drain(running, house.settings.drain, stop)
                else:
                    await finish(running, min(house.settings.drain, _HAND_OVER), stop)
            if successor is not None and not await _settle(successor, ground.journal, stop):
                successor = None


async def run_once(house: House, stop: Stop, announce: Announce, patience: timedelta) -> bool:
    """Walk every feed to now, deliver, end; says whether all of it succeeded within *patience*."""
    clock = asyncio.get_running_loop().time
    async with opened(house, announce, stop) as running:
        deadline = clock() + patience.total_seconds()
        walks = asyncio.gather(*(collector.once() for _, collector in running.collectors))
        await first_of(walks, asyncio.ensure_future(stop.asked.wait()), seconds=patience.total_seconds())
        complete = walks.done() and not walks.cancelled()
        await drain(running, timedelta(seconds=max(1.0, deadline - clock())), stop)
        outputs = (await running.journal.outline()).outputs
        return complete and not any(o.backlog for o in outputs if o.output in running.deliverers)


@asynccontextmanager
async def opened(house: House, announce: Announce, stop: Stop) -> AsyncIterator[Running]:
    """Endpoint, journal, control and delivery, for as long as the block runs."""
    async with founded(house) as ground:
        await attach(house.routes, ground.journal)
        async with delivering(house, ground, stop) as running:
            _started(house, ground.url, announce)
            yield running


@asynccontextmanager
async def founded(house: House) -> AsyncIterator[Ground]:
    """Endpoint, journal and control, for as long as the block runs."""
    state, observe, clock = house.settings.state, house.observe, house.clock
    options = Options(retain=state.retain)
    commands: dict[str, Handler] = {"status": partial(_status, house)}
    with _endpoint(house) as url:
        async with (
            Journal.open(state.directory, observe=observe, clock=clock, options=options) as journal,
            serve_control(state.directory, commands),
            workers() as background,
        ):
            background(beat(house))
            background(look(house, journal))
            yield Ground(url, journal, commands)
            outputs = (await journal.outline()).outputs
            observe(DaemonStopped(tuple((o.output, o.backlog) for o in outputs if o.attached)))


@asynccontextmanager
async def delivering(house: House, ground: Ground, stop: Stop) -> AsyncIterator[Running]:
    """Delivery, and all that collection needs, for as long as the block runs."""
    journal, observe, clock = ground.journal, house.observe, house.clock
    async with open_sources(
        house.settings, journal, observe=observe, clock=clock, kept=ground.budgets
    ) as sources:
        await note_absent(house.feeds, journal, clock)
        collectors = build_collectors(house.feeds, sources, journal, observe=observe, clock=clock)
        desk = BackfillDesk(
            ((feed.plan.feed, collector) for feed, collector in collectors), partial(_trouble, house)
        )
        ground.commands.update({**handlers(journal, house.settings, observe), **desk.handlers()})
        deliverers = build_deliverers(
            house.routes, journal, observe=observe, clock=clock, snapshot=house.telemetry.snapshot
        )
        async with workers() as delivery:
            delivery(_end_with_reader(house, deliverers, stop))
            for name, deliverer in deliverers.items():
                delivery(supervise(f"output {name}", deliverer.run, observe))
            yield Running(journal, deliverers, collectors, desk)


async def _collect(house: House, running: Running, stop: Stop, reload: Reload | None) -> House | None:
    """Collect until *stop* is asked for, or until *reload* has a successor, which is returned."""
    async with workers() as start:
        for seconds, (feed, collector) in zip(
            begins(len(running.collectors)), running.collectors, strict=True
        ):
            work = partial(collector.run, feed.schedule)
            start(_later(seconds, f"feed {feed.plan.feed}", work, house.observe))
        if reload is not None:
            successor = await reload.successor(house, stop)
        else:
            await stop.asked.wait()
            successor = None
        if successor is None:
            house.observe(DaemonStopping(stop.reason, house.settings.drain.total_seconds()))
            house.post()
    return successor


async def _later(seconds: float, name: str, work: Callable[[], Awaitable[None]], observe: Observe) -> None:
    """Run *work*, *seconds* from now."""
    await asyncio.sleep(seconds)
    await supervise(name, work, observe)


async def _settle(house: House, journal: Journal, stop: Stop) -> bool:
    """Give the outputs of *house* their places before it collects; false when *stop* was asked for before."""
    while not stop.asked.is_set():
        try:
            await attach(house.routes, journal)
        except JournalFull:
            await first_of(asyncio.ensure_future(stop.asked.wait()), seconds=_AGAIN)
        else:
            move_in(house)
            gc.collect()  # the former house is a knot of cycles, and the collector is told to come rarely
            house.telemetry.outline(await journal.outline())
            return True
    return False


@contextmanager
def _endpoint(house: House) -> Iterator[str]:
    if house.sock is None:
        yield ""
        return
    endpoint = Endpoint(house.sock, house.board, house.metrics.exposition)
    house.post()
    endpoint.start()
    try:
        yield endpoint.url
    finally:
        endpoint.stop()


def _started(house: House, url: str, announce: Announce) -> None:
    accounts, feeds, routes = len(house.settings.accounts), len(house.feeds), len(house.routes)
    house.observe(DaemonStarted(__version__, accounts, feeds, routes, url))
    announce(url)


def _reloaded(house: House, former: House) -> tuple[str, ...]:
    """Say that *house* runs in the place of *former*; what differs."""
    accounts, feeds, routes = len(house.settings.accounts), len(house.feeds), len(house.routes)
    differing = changes(former.settings, house.settings)
    house.observe(ConfigurationReloaded(accounts, feeds, routes, differing))
    house.post()
    return differing


async def drain(running: Running, patience: timedelta, stop: Stop) -> None:
    """Let every output deliver what is in the journal, as long as *patience* and a second signal allow."""
    seconds = patience.total_seconds()
    drains = asyncio.gather(*(deliverer.drain(seconds) for deliverer in running.deliverers.values()))
    await first_of(drains, asyncio.ensure_future(stop.at_once.wait()))


async def finish(running: Running, patience: timedelta, stop: Stop) -> None:
    """Let every output deliver what it has in hand, as long as *patience* and a second signal allow."""
    seconds = patience.total_seconds()
    ends = asyncio.gather(*(deliverer.finish(seconds) for deliverer in running.deliverers.values()))
    await first_of(ends, asyncio.ensure_future(stop.at_once.wait()))


async def _end_with_reader(house: House, deliverers: Mapping[str, Deliverer], stop: Stop) -> None:
    """End when the only output is a stdout whose reader left (``... | head``): it can never come back."""
    if [getattr(route.settings, "type", "") for route in house.routes] != ["stdout"]:
        return
    (deliverer,) = deliverers.values()
    while deliverer.state.hold is None:  # noqa: ASYNC110, delivery tells its state, it calls nobody
        await asyncio.sleep(_GLANCE)
    stop.ask("the reader of stdout left")
    stop.at_once.set()


async def _status(house: House, _: JsonObject) -> JsonObject:
    return house.telemetry.snapshot()


def _trouble(house: House, feed: Feed) -> str:
    """Why the feed's backfill makes no progress, "" when it does."""
    for one in house.telemetry.snapshot()["feeds"]:
        if (one["account"], one["search"]) == (feed.account, feed.search):
            return str(one["failing_sweeps"].get(BACKFILL) or one["paused"])
    return ""


async def daemon(loaded: Loaded, announce: Announce, reread: Read | None = None) -> None:
    """Run until SIGTERM or SIGINT; raises ``ConfigurationError`` before anything opens.

    With *reread*, SIGHUP reads the configuration again; without it, that signal does what it always does.
    """
    house, stop = build_house(loaded, utc_now), Stop()
    reload = Reload(reread) if reread else None
    with listening(stop, reload.ask if reload else None):
        await run(house, stop, announce, reload)


async def once_only(loaded: Loaded, announce: Announce, patience: timedelta) -> bool:
    """Walk every feed to now, deliver, end; says whether everything reached every output in time."""
    house, stop = build_house(loaded, utc_now), Stop()
    with listening(stop):
        return await run_once(house, stop, announce, patience)
