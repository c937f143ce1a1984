"""The daemon: runs every room together and ends them in the right order.

Scopes nest: endpoint { journal { control { delivery { collection }}}}. Whatever can be wrong with the
configuration was found before, when the house was built. A reload leaves the outer three open and does the
inner two anew.
"""

from __future__ import annotations

import asyncio
import gc
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial

from connector import __version__
from connector.app.build import App, build_app, switch_telemetry
from connector.app.collectors import FeedPlan, build_collectors, note_unconfigured_feeds, start_delays
from connector.app.control.backfill import BackfillService
from connector.app.control.operator import handlers
from connector.app.control.server import Handler, serve_control
from connector.app.monitor import measure_journal, post_status
from connector.app.reload import Read, Reload, changes
from connector.app.routes import attach, build_deliverers
from connector.app.signals import Stop, handle_signals
from connector.app.sources import Budgets, open_sources
from connector.app.tasks import supervise, task_scope, wait_first
from connector.collect.backfill.runner import BACKFILL
from connector.collect.collector import Collector
from connector.delivery import Deliverer
from connector.errors import JournalFull
from connector.facts import ConfigurationReloaded, DaemonStarted, DaemonStopped, DaemonStopping, RunIncomplete
from connector.interfaces import Observe
from connector.journal import Journal, Options
from connector.model import Feed, JsonObject
from connector.net.clock import utc_now
from connector.settings import Loaded
from connector.telemetry.endpoint import Endpoint
from connector.telemetry.log_writer import LogWriter
from connector.telemetry.logs import interpreter_messages_logged

Announce = Callable[[str], None]
_POLL_SECONDS = 0.25
_RELOAD_GRACE = timedelta(seconds=10)
"""How long a reload waits at most for what is being sent; what is cut short is sent again."""

_ATTACH_RETRY = 2.0
"""Seconds until a journal without room is asked again to take the outputs of a reload."""


@dataclass(frozen=True, slots=True)
class Core:
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
    backfills: BackfillService


async def run(app: App, stop: Stop, announce: Announce, reload: Reload | None = None) -> None:
    """Collect and deliver until *stop* is asked for, then drain and end; *reload* may bring a successor.

    *announce* is called with the endpoint's URL ("" without one) once everything runs.
    """
    async with open_core(app) as core:
        await attach(app.routes, core.journal)
        if reload is not None:
            core.commands["reload"] = reload.handle
        successor: App | None = app
        while successor is not None:
            former, app = app, successor
            async with open_delivery(app, core, stop) as running:
                if app is former:
                    _started(app, core.url, announce)
                elif reload is not None:
                    reload.ended(changes=_reloaded(app, former))
                successor = await _collect(app, running, stop, reload)
                if successor is None:
                    await drain(running, app.settings.drain, stop)
                else:
                    await finish(running, min(app.settings.drain, _RELOAD_GRACE), stop)
            if successor is not None and not await _settle(successor, core.journal, stop):
                successor = None


async def run_once(app: App, stop: Stop, announce: Announce, patience: timedelta) -> bool:
    """Walk every feed to now, deliver, end; says whether all of it succeeded within *patience*."""
    clock = asyncio.get_running_loop().time
    async with open_app(app, announce, stop) as running:
        deadline = clock() + patience.total_seconds()
        walks = asyncio.gather(*(collector.once() for _, collector in running.collectors))
        await wait_first(walks, asyncio.ensure_future(stop.asked.wait()), seconds=patience.total_seconds())
        complete = walks.done() and not walks.cancelled()
        await drain(running, timedelta(seconds=max(1.0, deadline - clock())), stop)
        outputs = (await running.journal.outline()).outputs
        return complete and not any(o.backlog for o in outputs if o.output in running.deliverers)


@asynccontextmanager
async def open_app(app: App, announce: Announce, stop: Stop) -> AsyncIterator[Running]:
    """Endpoint, journal, control and delivery, for as long as the block runs."""
    async with open_core(app) as core:
        await attach(app.routes, core.journal)
        async with open_delivery(app, core, stop) as running:
            _started(app, core.url, announce)
            yield running


@asynccontextmanager
async def open_core(app: App) -> AsyncIterator[Core]:
    """Endpoint, journal and control, for as long as the block runs."""
    state, observe, clock = app.settings.state, app.observe, app.clock
    options = Options(retain=state.retain)
    commands: dict[str, Handler] = {"status": partial(_status, app)}
    with _endpoint(app) as url:
        async with (
            Journal.open(state.directory, observe=observe, clock=clock, options=options) as journal,
            serve_control(state.directory, commands),
            task_scope() as background,
        ):
            background(post_status(app))
            background(measure_journal(app, journal))
            yield Core(url, journal, commands)
            outputs = (await journal.outline()).outputs
            observe(DaemonStopped(tuple((o.output, o.backlog) for o in outputs if o.attached)))


@asynccontextmanager
async def open_delivery(app: App, core: Core, stop: Stop) -> AsyncIterator[Running]:
    """Delivery, and all that collection needs, for as long as the block runs."""
    journal, observe, clock = core.journal, app.observe, app.clock
    async with open_sources(
        app.settings, journal, observe=observe, clock=clock, kept=core.budgets
    ) as sources:
        await note_unconfigured_feeds(app.feeds, journal, clock)
        collectors = build_collectors(app.feeds, sources, journal, observe=observe, clock=clock)
        backfills = BackfillService(
            ((feed.plan.feed, collector) for feed, collector in collectors), partial(_trouble, app)
        )
        core.commands.update({**handlers(journal, app.settings, observe), **backfills.handlers()})
        deliverers = build_deliverers(
            app.routes, journal, observe=observe, clock=clock, snapshot=app.telemetry.snapshot
        )
        async with task_scope() as delivery:
            delivery(_end_with_reader(app, deliverers, stop))
            for name, deliverer in deliverers.items():
                delivery(supervise(f"output {name}", deliverer.run, observe))
            yield Running(journal, deliverers, collectors, backfills)


async def _collect(app: App, running: Running, stop: Stop, reload: Reload | None) -> App | None:
    """Collect until *stop* is asked for, or until *reload* has a successor, which is returned."""
    async with task_scope() as start:
        for seconds, (feed, collector) in zip(
            start_delays(len(running.collectors)), running.collectors, strict=True
        ):
            work = partial(collector.run, feed.schedule)
            start(_later(seconds, f"feed {feed.plan.feed}", work, app.observe))
        if reload is not None:
            successor = await reload.successor(app, stop)
        else:
            await stop.asked.wait()
            successor = None
        if successor is None:
            app.observe(DaemonStopping(stop.reason, app.settings.drain.total_seconds()))
            app.post()
    return successor


async def _later(seconds: float, name: str, work: Callable[[], Awaitable[None]], observe: Observe) -> None:
    """Run *work*, *seconds* from now."""
    await asyncio.sleep(seconds)
    await supervise(name, work, observe)


async def _settle(app: App, journal: Journal, stop: Stop) -> bool:
    """Give the outputs of *house* their places before it collects; false when *stop* was asked for before."""
    while not stop.asked.is_set():
        try:
            await attach(app.routes, journal)
        except JournalFull:
            await wait_first(asyncio.ensure_future(stop.asked.wait()), seconds=_ATTACH_RETRY)
        else:
            switch_telemetry(app)
            gc.collect()  # the former house is a knot of cycles, and the collector is told to come rarely
            app.telemetry.outline(await journal.outline())
            return True
    return False


@contextmanager
def _endpoint(app: App) -> Iterator[str]:
    if app.sock is None:
        yield ""
        return
    token = app.settings.server.token
    endpoint = Endpoint(
        app.sock,
        app.board,
        app.metrics.exposition,
        token=token.reveal() if token else "",
        tls=app.tls,
        dropped=app.metrics.connection_dropped,
    )
    app.post()
    endpoint.start()
    try:
        yield endpoint.url
    finally:
        endpoint.stop()


def _started(app: App, url: str, announce: Announce) -> None:
    accounts, feeds, routes = len(app.settings.accounts), len(app.feeds), len(app.routes)
    app.observe(DaemonStarted(__version__, accounts, feeds, routes, url))
    announce(url)


def _reloaded(app: App, former: App) -> tuple[str, ...]:
    """Say that *house* runs in the place of *former*; what differs."""
    accounts, feeds, routes = len(app.settings.accounts), len(app.feeds), len(app.routes)
    differing = changes(former.settings, app.settings)
    app.observe(ConfigurationReloaded(accounts, feeds, routes, differing))
    app.post()
    return differing


async def drain(running: Running, patience: timedelta, stop: Stop) -> None:
    """Let every output deliver what is in the journal, as long as *patience* and a second signal allow."""
    seconds = patience.total_seconds()
    drains = asyncio.gather(*(deliverer.drain(seconds) for deliverer in running.deliverers.values()))
    await wait_first(drains, asyncio.ensure_future(stop.at_once.wait()))


async def finish(running: Running, patience: timedelta, stop: Stop) -> None:
    """Let every output deliver what it has in hand, as long as *patience* and a second signal allow."""
    seconds = patience.total_seconds()
    ends = asyncio.gather(*(deliverer.finish(seconds) for deliverer in running.deliverers.values()))
    await wait_first(ends, asyncio.ensure_future(stop.at_once.wait()))


async def _end_with_reader(app: App, deliverers: Mapping[str, Deliverer], stop: Stop) -> None:
    """End when the only output is a stdout whose reader left (``... | head``): it can never come back."""
    if [getattr(route.settings, "type", "") for route in app.routes] != ["stdout"]:
        return
    (deliverer,) = deliverers.values()
    while deliverer.state.hold is None:  # noqa: ASYNC110, delivery tells its state, it calls nobody
        await asyncio.sleep(_POLL_SECONDS)
    stop.ask("the reader of stdout left")
    stop.at_once.set()


async def _status(app: App, _: JsonObject) -> JsonObject:
    return app.telemetry.snapshot()


def _trouble(app: App, feed: Feed) -> str:
    """Why the feed's backfill makes no progress, "" when it does."""
    for one in app.telemetry.snapshot()["feeds"]:
        if (one["account"], one["search"]) == (feed.account, feed.search):
            return str(one["failing_sweeps"].get(BACKFILL) or one["paused"])
    return ""


async def daemon(loaded: Loaded, announce: Announce, reread: Read | None = None) -> None:
    """Run until SIGTERM or SIGINT; raises ``ConfigurationError`` before anything opens.

    With *reread*, SIGHUP reads the configuration again; without it, that signal does what it always does.
    """
    with _log() as log:
        app, stop = build_app(loaded, utc_now, log), Stop()
        reload = Reload(reread) if reread else None
        with handle_signals(stop, reload.ask if reload else None):
            await run(app, stop, announce, reload)


async def run_daemon_once(loaded: Loaded, announce: Announce, patience: timedelta) -> bool:
    """Walk every feed to now, deliver, end; says whether everything reached every output in time."""
    with _log() as log:
        app, stop = build_app(loaded, utc_now, log), Stop()
        with handle_signals(stop):
            complete = await run_once(app, stop, announce, patience)
            if not complete:
                app.observe(RunIncomplete("not every event reached every output; the journal keeps the rest"))
            return complete


@contextmanager
def _log() -> Iterator[LogWriter | None]:
    """A writer for stderr that blocks nobody, and everything the interpreter prints in the log."""
    try:
        descriptor = sys.stderr.fileno()
    except (AttributeError, OSError, ValueError):  # replaced by something that is no file
        yield None
        return
    with LogWriter(descriptor) as writer, interpreter_messages_logged():
        yield writer
