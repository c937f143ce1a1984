"""Backfill as a command: handed to the running daemon, or run here where no daemon is running.

Either way the journal stores it: interrupted, it resumes with the same command or when the daemon starts.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import partial

from connector.app.build import build_app
from connector.app.control.backfill import BackfillRequest, BackfillService
from connector.app.control.server import NoDaemon, ask
from connector.app.daemon import open_app
from connector.app.journals import journal_exists, open_journal
from connector.app.run_once import drain_or_give_up
from connector.app.signals import Stop, handle_signals
from connector.app.tasks import wait_first
from connector.app.work import held_aside
from connector.collect.backfill.job import Job
from connector.collect.backfill.queue import BackfillQueue
from connector.collect.collector import Collector
from connector.errors import ConnectorError
from connector.model import Feed, JsonObject
from connector.net.clock import utc_now
from connector.ops.client import by_daemon_or_here, ignore_fact
from connector.settings import Loaded

Report = Callable[[JsonObject], None]

_PROGRESS_SECONDS = 0.3
"""Interval of progress reports: often enough to look live, and costs one small request."""

_QUIET_LEVELS = frozenset({"debug", "warning", "error"})
"""Log levels that a command keeps; ``info`` would bury its own output."""

_DELIVERY = timedelta(minutes=10)
"""Longest a command without a daemon waits for the outputs at its end; what is left stays in the journal."""


@dataclass(frozen=True, slots=True)
class BackfillOutcome:
    """Result of a backfill.

    Args:
        progress: final progress, as ``BackfillService.progress`` returns it.
        by_daemon: whether the running daemon does it.
        waiting: undelivered revisions by output, where the command ran it itself.
    """

    progress: JsonObject
    by_daemon: bool
    waiting: tuple[tuple[str, int], ...] = ()


async def backfill(
    loaded: Loaded, request: BackfillRequest, report: Report, *, detach: bool = False
) -> BackfillOutcome:
    """Run *request*; *report* is called with its progress.

    With *detach* it returns as soon as the daemon accepted it. Raises ``ConnectorError``.
    """
    by_daemon = partial(_by_daemon, loaded, request, report, detach=detach)
    if detach:
        return await by_daemon()
    return await by_daemon_or_here(by_daemon, partial(_here, loaded, request, report))


async def cancel(loaded: Loaded, request: BackfillRequest) -> bool:
    """Cancel the unfinished backfill with the same *request*; false if there is none."""
    state = loaded.settings.state

    async def by_daemon() -> bool:
        return bool(_object(await ask(state.directory, "backfill_drop", **request.to_json()))["dropped"])

    async def here() -> bool:
        if not journal_exists(state):
            return False
        async with open_journal(state, observe=ignore_fact, clock=utc_now) as journal:
            queue = BackfillQueue(Feed(request.account, request.search), journal)
            job = request.match(await queue.load())
            if job is not None:
                await queue.remove(job)
            return job is not None

    return await by_daemon_or_here(by_daemon, here)


async def _by_daemon(
    loaded: Loaded, request: BackfillRequest, report: Report, *, detach: bool
) -> BackfillOutcome:
    directory = loaded.settings.state.directory
    progress = _object(await ask(directory, "backfill", **request.to_json()))
    report(progress)
    key = {name: progress[name] for name in ("account", "search", "number")}
    while not (progress["done"] or detach):
        await asyncio.sleep(_PROGRESS_SECONDS)
        try:
            progress = _object(await ask(directory, "backfill_show", **key))
        except NoDaemon:
            raise ConnectorError(
                "the connector stopped; the backfill resumes when it starts again, "
                "and the same command follows it"
            ) from None
        report(progress)
    return BackfillOutcome(progress, by_daemon=True)


async def _here(loaded: Loaded, request: BackfillRequest, report: Report) -> BackfillOutcome:
    app, stop = build_app(_quiet(loaded), utc_now), Stop()
    feed = Feed(request.account, request.search)
    with handle_signals(stop):
        async with open_app(app, lambda _: None, stop) as running:
            collector, job, resumed = await running.backfills.submit(request)
            report({**await running.backfills.progress(feed, job.number), "resumed": resumed})
            async with held_aside(running.keeper, running.group_of(feed.account).unit) as held:
                await _work(running.backfills, collector, feed, job, stop, report, held)
            patience = app.settings.drain if stop.requested.is_set() else _DELIVERY
            await drain_or_give_up(running, patience, stop, after_stop=app.settings.drain)
            progress = await running.backfills.progress(feed, job.number)
            outputs = (await running.journal.outline()).outputs
    waiting = tuple(
        (output.output, output.backlog) for output in outputs if output.attached and output.backlog
    )
    return BackfillOutcome(progress, by_daemon=False, waiting=waiting)


async def _work(
    backfills: BackfillService,
    collector: Collector,
    feed: Feed,
    job: Job,
    stop: Stop,
    report: Report,
    held: asyncio.Event,
) -> None:
    """Run *job* until it ends or *stop* is requested; until the feed is *held* here, a replica may do it."""
    reporting = asyncio.create_task(_report_progress(backfills, feed, job, report))

    async def run() -> None:
        await held.wait()
        await collector.backfill(job)

    try:
        work = asyncio.ensure_future(run())
        ended = asyncio.ensure_future(_ended(backfills, feed, job))
        await wait_first(work, ended, asyncio.ensure_future(stop.requested.wait()))
    finally:
        reporting.cancel()
        await asyncio.gather(reporting, return_exceptions=True)


async def _ended(backfills: BackfillService, feed: Feed, job: Job) -> None:
    """Wait until *job* ended, wherever it runs."""
    while not (await backfills.progress(feed, job.number))["done"]:  # noqa: ASYNC110, perhaps on another host
        await asyncio.sleep(_PROGRESS_SECONDS)


async def _report_progress(backfills: BackfillService, feed: Feed, job: Job, report: Report) -> None:
    while True:
        await asyncio.sleep(_PROGRESS_SECONDS)
        report(await backfills.progress(feed, job.number))


def _quiet(loaded: Loaded) -> Loaded:
    """Without the endpoint, whose port a daemon may need meanwhile, and logging warnings only."""
    settings = loaded.settings
    level = settings.log.level if settings.log.level in _QUIET_LEVELS else "warning"
    changed = {
        "server": settings.server.model_copy(update={"listen": None}),
        "log": settings.log.model_copy(update={"level": level}),
    }
    return replace(loaded, settings=settings.model_copy(update=changed), notes=())


def _object(answer: object) -> JsonObject:
    if not isinstance(answer, dict):
        raise ConnectorError("unexpected reply from the daemon (version mismatch?)")
    return answer
