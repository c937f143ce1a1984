"""The daemon: runs every room together and ends them in the right order.

Scopes nest: endpoint { journal { control { delivery { collection }}}}. Whatever can be wrong with the
configuration was found before, when the house was built.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from datetime import timedelta
from functools import partial

from connector import __version__
from connector.app.accounts import open_sources
from connector.app.backfill import BackfillDesk
from connector.app.collection import FeedPlan, build_collectors
from connector.app.control import serve_control
from connector.app.delivery import attach, build_deliverers
from connector.app.house import House
from connector.app.operator import handlers
from connector.app.pulse import beat, look
from connector.app.signals import Stop
from connector.app.supervise import supervise
from connector.app.workers import first_of, workers
from connector.collect.backfill import BACKFILL
from connector.collect.collector import Collector
from connector.delivery import Deliverer
from connector.facts import DaemonStarted, DaemonStopped, DaemonStopping
from connector.journal import Journal, Options
from connector.model import Feed, JsonObject
from connector.telemetry.endpoint import Endpoint

Announce = Callable[[str], None]
_GLANCE = 0.25


@dataclass(frozen=True, slots=True)
class Running:
    """What runs while the doors are open."""

    journal: Journal
    deliverers: Mapping[str, Deliverer]
    collectors: tuple[tuple[FeedPlan, Collector], ...]
    desk: BackfillDesk


async def run(house: House, stop: Stop, announce: Announce) -> None:
    """Collect and deliver until *stop* is asked for, then drain and end.

    *announce* is called with the endpoint's URL ("" without one) once everything runs.
    """
    async with opened(house, announce, stop) as running:
        async with workers() as start:
            for feed, collector in running.collectors:
                work = partial(collector.run, feed.schedule)
                start(supervise(f"feed {feed.plan.feed}", work, house.observe))
            await stop.asked.wait()
            house.observe(DaemonStopping(stop.reason, house.settings.drain.total_seconds()))
            house.post()
        await drain(running, house.settings.drain, stop)


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
    state, observe, clock = house.settings.state, house.observe, house.clock
    options = Options(retain=state.retain)
    with _endpoint(house) as url:
        async with (
            Journal.open(state.directory, observe=observe, clock=clock, options=options) as journal,
            open_sources(house.settings, journal, observe=observe, clock=clock) as sources,
        ):
            collectors = build_collectors(house.feeds, sources, journal, observe=observe, clock=clock)
            feeds = ((feed.plan.feed, collector) for feed, collector in collectors)
            desk = BackfillDesk(feeds, partial(_trouble, house))
            commands = {**handlers(journal, house.settings, observe), **desk.handlers()}
            async with (
                serve_control(state.directory, {"status": partial(_status, house), **commands}),
                workers() as background,
            ):
                await attach(house.routes, journal)
                deliverers = build_deliverers(house.routes, journal, observe=observe, clock=clock)
                background(beat(house))
                background(look(house, journal))
                background(_end_with_reader(house, deliverers, stop))
                async with workers() as delivery:
                    for name, deliverer in deliverers.items():
                        delivery(supervise(f"output {name}", deliverer.run, observe))
                    _started(house, url)
                    announce(url)
                    yield Running(journal, deliverers, collectors, desk)
                outputs = (await journal.outline()).outputs
                observe(DaemonStopped(tuple((o.output, o.backlog) for o in outputs if o.attached)))


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


def _started(house: House, url: str) -> None:
    accounts, feeds, routes = len(house.settings.accounts), len(house.feeds), len(house.routes)
    house.observe(DaemonStarted(__version__, accounts, feeds, routes, url))


async def drain(running: Running, patience: timedelta, stop: Stop) -> None:
    """Let every output deliver what is in the journal, as long as *patience* and a second signal allow."""
    seconds = patience.total_seconds()
    drains = asyncio.gather(*(deliverer.drain(seconds) for deliverer in running.deliverers.values()))
    await first_of(drains, asyncio.ensure_future(stop.at_once.wait()))


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
