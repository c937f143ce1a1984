"""The daemon: starts its components in order, runs them, and shuts down gracefully in reverse order.

Scopes nest: endpoint { journal { control socket { delivery { collection }}}}. Configuration errors were
already raised by ``build_app``. A reload keeps the outer three open and replaces the inner two.

``run_daemon`` runs until a signal. For a run that ends by itself see ``connector.app.run_once``.
"""

from __future__ import annotations

import asyncio
import gc
import sys
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import field, replace
from datetime import datetime, timedelta
from functools import partial

from connector import __version__
from connector.app.build import ActionsSocket, App, Core, build_app, switch_telemetry
from connector.app.collectors import (
    FeedPlan,
    build_collectors,
    note_unconfigured_feeds,
    refuse_changed_sources,
    start_delays,
)
from connector.app.control.backfill import BackfillService
from connector.app.control.operator import ConfiguredNames, handlers
from connector.app.control.resume import ResumeService
from connector.app.control.server import Handler, serve_control
from connector.app.control.tap import Taps
from connector.app.journals import hold_directory, open_journal
from connector.app.monitor import log_summaries, measure_journal, post_status, watch_certificates
from connector.app.reload import ReadConfiguration, Reload, changes
from connector.app.replicas import Keeper
from connector.app.routes import Route, attach, build_deliverer
from connector.app.signals import Stop, handle_signals
from connector.app.sources import Budgets, Sources, open_sources
from connector.app.tasks import task_scope, wait_first
from connector.app.work import (
    Group,
    collect_while_held,
    deliver_while_held,
    guarded,
    is_served_here,
    plan_groups,
    plan_units,
)
from connector.collect.backfill.runner import BACKFILL
from connector.collect.collector import Collector
from connector.delivery import Deliverer
from connector.errors import ConnectorError, JournalFull, JournalUnavailable
from connector.facts import (
    ConfigurationReloaded,
    DaemonStarted,
    DaemonStopped,
    DaemonStopping,
)
from connector.interfaces import Clock, Journal, Observe, Source
from connector.leases import Leases, account_lease, output_unit
from connector.model import Feed, JsonObject
from connector.net.clock import utc_now
from connector.settings import Loaded
from connector.telemetry.endpoint import Endpoint
from connector.telemetry.log_writer import LogWriter
from connector.telemetry.logs import interpreter_messages_logged
from connector.telemetry.observer import Telemetry
from connector.values import dataclass

Announce = Callable[[str], None]

POLL_SECONDS = 0.25
"""How often the state of an output is looked at where delivery offers no event to wait for."""

_RELOAD_GRACE = timedelta(seconds=10)
"""Longest a reload waits for requests in flight. Requests cut short are sent again."""

_ATTACH_RETRY = 2.0
"""Seconds between attempts to register the outputs of a reload in a journal that is full."""

_LAST_LOOK = 5.0
"""Longest wait in seconds for the journal's figures at the end: its database may be away."""


@dataclass(frozen=True, slots=True)
class Services:
    """Open for the life of the process: endpoint URL, journal, control commands, request budgets, taps."""

    url: str
    journal: Journal
    commands: dict[str, Handler]
    keeper: Keeper
    budgets: Budgets = field(default_factory=dict)
    everywhere: dict[str, Handler] = field(default_factory=dict)
    taps: Taps = field(default_factory=Taps)

    def offer(self, command: str, handler: Handler) -> None:
        """Offer *command*, which every replica does: this one at once, the others when they are asked."""
        self.everywhere[command] = handler
        self.commands[command] = partial(_ask_all, self.journal.leases, command, handler)


@dataclass(frozen=True, slots=True)
class Running:
    """What runs for one configuration: deliverers by output, collectors, the backfill service.

    *deliverers* are those that work just now: with replicas, of the outputs whose lease is held here.
    """

    journal: Journal
    keeper: Keeper
    deliverers: Mapping[str, Deliverer]
    collectors: tuple[tuple[FeedPlan, Collector], ...]
    groups: tuple[Group, ...]
    sources: Sources
    backfills: BackfillService

    def of_group(self, group: Group) -> list[tuple[FeedPlan, Collector]]:
        """The collectors of *group*."""
        return [(feed, collector) for feed, collector in self.collectors if feed.account in group.accounts]

    def group_of(self, account_id: str) -> Group:
        """The group of the account with Cloudflare's id *account_id*."""
        lease = account_lease(account_id)
        return next(group for group in self.groups if lease in group.unit.leases)


async def run_daemon(
    loaded: Loaded,
    announce: Announce,
    reread: ReadConfiguration | None = None,
    hung_up: Callable[[], bool] = lambda: False,
) -> None:
    """Run until SIGTERM or SIGINT; raises ``ConfigurationError`` before anything opens.

    With *reread*, SIGHUP reloads the configuration; without it, SIGHUP keeps its default action. *hung_up*:
    whether a SIGHUP came before, when *loaded* may have been read already.
    """
    with log_to_stderr() as log:
        app, stop = build_app(loaded, utc_now, log), Stop()
        reload = Reload(reread) if reread else None
        with handle_signals(stop, reload.request if reload else None):
            if reload is not None and hung_up():
                reload.request()
            await run(app, stop, announce, reload)


@contextmanager
def log_to_stderr() -> Iterator[LogWriter | None]:
    """A non-blocking writer for stderr, with everything the interpreter prints redirected to the log."""
    try:
        descriptor = sys.stderr.fileno()
    except (AttributeError, OSError, ValueError):  # replaced by something that is no file
        yield None
        return
    with LogWriter(descriptor) as writer, interpreter_messages_logged():
        yield writer


async def run(app: App, stop: Stop, announce: Announce, reload: Reload | None = None) -> None:
    """Collect and deliver until *stop*, then drain and end; *reload* may replace *app* in between.

    *announce* is called with the endpoint's URL ("" without one) once everything runs.
    """
    core = app.core
    async with open_core(core) as services:
        await refuse_changed_sources(app.feeds, services.journal)
        await attach(app.routes, services.journal)
        if reload is not None:
            services.offer("reload", reload.handle)
        differences: tuple[str, ...] | None = None
        while True:
            async with open_delivery(app, services, stop) as running:
                if reload is None or differences is None:
                    _report_start(app, services.url, announce)
                else:
                    _report_reload(app, differences)
                    reload.finish(changes=differences)
                async with _actions(app, services):
                    successor = await _collect(app, running, stop, reload)
                if successor is None and len(running.keeper.view.replicas) > 1:
                    # The others deliver the rest: what counts is to hand over quickly.
                    await _finish(running, min(app.settings.drain, _RELOAD_GRACE), stop)
                elif successor is None:
                    await drain(running, app.settings.drain, stop)
                else:
                    await _finish(running, min(app.settings.drain, _RELOAD_GRACE), stop)
            if successor is None or not await _switch_to(successor, services.journal, stop):
                return
            differences = changes(app.settings, successor.settings)
            app = successor
            del running, successor  # or they would keep the former configuration, and its secrets, alive
            gc.collect()  # it is full of reference cycles, and automatic collections are rare


@asynccontextmanager
async def open_app(
    app: App, announce: Announce, stop: Stop, *, observe: Observe | None = None
) -> AsyncIterator[Running]:
    """Endpoint, journal, control socket and delivery, while the block runs; *observe* wraps that of *app*."""
    async with open_core(app.core) as services:
        await refuse_changed_sources(app.feeds, services.journal)
        await attach(app.routes, services.journal)
        async with open_delivery(app, services, stop, observe=observe) as running:
            _report_start(app, services.url, announce)
            yield running


@asynccontextmanager
async def open_core(core: Core) -> AsyncIterator[Services]:
    """Endpoint, journal and control socket, while the block runs."""
    directory = core.state.directory
    commands: dict[str, Handler] = {"status": partial(_status, core.telemetry), "action": _no_actions}
    taps = Taps()
    with _endpoint(core) as url, _closing(core.actions):
        async with (
            hold_directory(core.state),
            open_journal(core.state, observe=core.observe, clock=core.clock, patience=None) as journal,
            serve_control(directory, commands, {"tap": taps.watch}),
            task_scope() as start,
        ):
            start(post_status(core))
            start(watch_certificates(core))
            keeper = Keeper(journal.leases, core.observe)
            services = Services(url, journal, commands, keeper, taps=taps)
            start(keeper.run())
            start(_do_requests(services))
            start(measure_journal(core.telemetry, journal, None if core.state.postgres else directory))
            yield services
            backlogs: tuple[tuple[str, int], ...] = ()
            with suppress(TimeoutError, JournalUnavailable):
                async with asyncio.timeout(_LAST_LOOK):
                    outputs = (await journal.outline()).outputs
                    backlogs = tuple((o.output, o.backlog) for o in outputs if o.attached)
            core.observe(DaemonStopped(backlogs))


@asynccontextmanager
async def open_delivery(
    app: App, services: Services, stop: Stop, *, observe: Observe | None = None
) -> AsyncIterator[Running]:
    """Delivery, and the collectors ready to run, while the block runs."""
    core, journal, keeper = app.core, services.journal, services.keeper
    observe = observe or core.observe
    groups = plan_groups(app.settings)
    keeper.serve(plan_units(app.settings, app.routes))
    logs = {name: journal.fenced(keeper.proofs(group.unit)) for group in groups for name in group.accounts}
    async with open_sources(
        app.settings, logs, observe=observe, clock=core.clock, budgets=services.budgets
    ) as sources:
        await note_unconfigured_feeds(app.feeds, journal, core.clock)
        collectors = build_collectors(
            app.feeds, sources, logs, observe=observe, clock=core.clock, is_alone=keeper.is_alone
        )
        backfills = BackfillService(
            ((feed.plan.feed, collector) for feed, collector in collectors),
            partial(_backfill_problem, core.telemetry),
            journal,
            lambda feed: keeper.holds(account_lease(feed.account)),
        )
        services.commands.update(
            {**handlers(journal, ConfiguredNames.of(app.settings), observe), **backfills.handlers()}
        )
        server_clock = _server_clock(app, sources, core.clock)
        deliverers: dict[str, Deliverer] = {}

        def deliverer_of(route: Route) -> Deliverer:
            unit = output_unit(route.name)
            if not keeper.is_alone:
                route = replace(route, output=guarded(route.output, partial(keeper.is_valid, unit)))
            return build_deliverer(
                route,
                journal.fenced(keeper.proofs(unit)),
                observe=observe,
                clock=core.clock,
                snapshot=core.telemetry.snapshot,
                server_clock=server_clock,
                on_sent=services.taps.sent,
            )

        services.taps.configure([route.name for route in app.routes], deliverers.__contains__)
        async with task_scope() as start:
            if app.settings.log.summary is not None:
                start(log_summaries(core.telemetry, app.settings.log.summary))
            for route in filter(is_served_here, app.routes):
                build = partial(deliverer_of, route)
                if keeper.is_alone:
                    deliverers[route.name] = build()
                start(deliver_while_held(keeper, route.name, build, deliverers, observe))
            if keeper.is_alone:
                start(_stop_with_reader(app.routes, deliverers, stop))
            resume = ResumeService(
                sources, collectors, deliverers, [route.name for route in app.routes], observe
            )
            services.offer("resume", resume.resume)
            services.offer("resume_account", partial(_resume_account, resume))
            forget, go_on = services.commands["forget"], services.commands["resume_account"]
            services.commands["forget"] = partial(_forget, forget, go_on)
            yield Running(journal, keeper, deliverers, collectors, groups, sources, backfills)


async def _forget(forget: Handler, resume_account: Handler, request: JsonObject) -> object:
    """Forget a feed, then start it over at once: its account's pause is part of what is forgotten."""
    answer = await forget(request)
    await resume_account({"account": request.get("account")})
    return answer


async def _resume_account(resume: ResumeService, request: JsonObject) -> object:
    await resume.resume_account(str(request.get("account")))
    return {}


async def _ask_all(leases: Leases | None, command: str, handler: Handler, request: JsonObject) -> object:
    """Do *command* here, and ask the other replicas to do it."""
    if leases is not None:
        await leases.request(command, request)
    return await handler(request)


async def _do_requests(services: Services) -> None:
    """Do what other replicas ask for; their operators see the answer of the replica that they asked."""
    leases = services.journal.leases
    if leases is None:
        return
    while True:
        for request in await leases.requests():
            handler = services.everywhere.get(request.command)
            if handler is not None:
                with suppress(ConnectorError):
                    await handler(dict(request.arguments))


@contextmanager
def _closing(actions: ActionsSocket | None) -> Iterator[None]:
    """Close the socket of the actions' API at the end; a reload keeps it open."""
    try:
        yield
    finally:
        if actions is not None:
            actions.sock.close()


@contextmanager
def _endpoint(core: Core) -> Iterator[str]:
    if core.sock is None:
        yield ""
        return
    token = core.server.token
    endpoint = Endpoint(
        core.sock,
        core.snapshots,
        core.metrics.exposition,
        token=token.reveal() if token else "",
        tls=core.tls,
        dropped=core.metrics.connection_dropped,
    )
    core.post_status()
    endpoint.start()
    try:
        yield endpoint.url
    finally:
        endpoint.stop()


async def _collect(app: App, running: Running, stop: Stop, reload: Reload | None) -> App | None:
    """Collect until *stop* is requested (``None``) or *reload* has built a successor, which is returned."""
    observe = app.core.observe
    async with task_scope() as start:
        delays = iter(start_delays(len(running.collectors)))
        for group in running.groups:
            feeds = [
                (next(delays), feed, partial(collector.run, feed.schedule))
                for feed, collector in running.of_group(group)
            ]
            sources = [running.sources[name] for name in group.accounts]
            start(collect_while_held(running.keeper, group.unit, sources, feeds, observe))
        if reload is not None:
            successor = await reload.next_app(app, stop, running.journal)
        else:
            await stop.requested.wait()
            successor = None
        if successor is None:
            observe(DaemonStopping(stop.reason, app.settings.drain.total_seconds()))
            app.core.post_status()
            await running.keeper.retire()
    return successor


async def _switch_to(app: App, journal: Journal, stop: Stop) -> bool:
    """Register the outputs of *app* before it collects; false if *stop* was requested first."""
    while not stop.requested.is_set():
        try:
            await attach(app.routes, journal)
        except JournalFull:
            await wait_first(asyncio.ensure_future(stop.requested.wait()), seconds=_ATTACH_RETRY)
        else:
            switch_telemetry(app)
            app.core.telemetry.outline(await journal.outline())
            return True
    return False


def _report_start(app: App, url: str, announce: Announce) -> None:
    accounts, feeds, routes = len(app.settings.accounts), len(app.feeds), len(app.routes)
    app.core.observe(DaemonStarted(__version__, accounts, feeds, routes, url))
    announce(url)


def _report_reload(app: App, differences: tuple[str, ...]) -> None:
    accounts, feeds, routes = len(app.settings.accounts), len(app.feeds), len(app.routes)
    app.core.observe(ConfigurationReloaded(accounts, feeds, routes, differences))
    app.core.post_status()


async def drain(running: Running, time_limit: timedelta, stop: Stop) -> None:
    """Let every output deliver what is in the journal, until *time_limit* ends or a second signal comes."""
    seconds = time_limit.total_seconds()
    drains = asyncio.gather(*(deliverer.drain(seconds) for deliverer in running.deliverers.values()))
    await wait_first(drains, asyncio.ensure_future(stop.immediate.wait()))


async def _finish(running: Running, time_limit: timedelta, stop: Stop) -> None:
    """Let every output finish the requests in flight, until *time_limit* ends or a second signal comes."""
    seconds = time_limit.total_seconds()
    ends = asyncio.gather(*(deliverer.finish(seconds) for deliverer in running.deliverers.values()))
    await wait_first(ends, asyncio.ensure_future(stop.immediate.wait()))


async def _stop_with_reader(
    routes: tuple[Route, ...], deliverers: Mapping[str, Deliverer], stop: Stop
) -> None:
    """Stop when the only output is stdout and its reader left (``... | head``): it cannot come back."""
    if [getattr(route.settings, "type", "") for route in routes] != ["stdout"]:
        return
    (deliverer,) = deliverers.values()
    while deliverer.state.hold is None:  # noqa: ASYNC110, delivery offers its state, not an event
        await asyncio.sleep(POLL_SECONDS)
    stop.request("the reader of stdout left")
    stop.immediate.set()


def _server_clock(app: App, sources: Mapping[str, Source], local: Clock) -> Callable[[str], datetime]:
    """The API's clock by account id; the local clock for an account that is no longer configured."""
    clocks = {
        account.account_id: sources[name].now
        for name, account in app.settings.accounts.items()
        if name in sources
    }
    return lambda account: clocks.get(account, local)()


@asynccontextmanager
async def _actions(app: App, services: Services) -> AsyncIterator[None]:
    """Response actions while the block runs, if they are configured."""
    if app.settings.actions is None:
        if app.core.actions is not None:
            # A reload removed the section: callers are refused, instead of waiting for an answer.
            app.core.actions.sock.close()
        yield
        return
    from connector.app.actions import run_actions  # noqa: PLC0415, only where it is needed

    async with run_actions(
        app, app.settings.actions, services.journal, services.keeper, services.budgets, services.commands
    ):
        yield


async def _no_actions(_: JsonObject) -> object:
    raise ConnectorError("there are no response actions: add the section actions to the configuration")


async def _status(telemetry: Telemetry, _: JsonObject) -> JsonObject:
    return telemetry.snapshot()


def _backfill_problem(telemetry: Telemetry, feed: Feed) -> str:
    """Why the backfill of *feed* makes no progress; "" if it does."""
    for entry in telemetry.snapshot()["feeds"]:
        if (entry["account"], entry["search"]) == (feed.account, feed.search):
            return str(entry["failing_sweeps"].get(BACKFILL) or entry["paused"])
    return ""
