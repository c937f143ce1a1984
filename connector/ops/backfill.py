"""``backfill`` as a command does it: handed to the running daemon, or done by itself where none runs.

Either way the journal remembers it: cut short, it goes on with the same command, or with the next daemon.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import timedelta

from connector.app.build import build_app
from connector.app.control.backfill import BackfillRequest, BackfillService
from connector.app.control.server import NoDaemon, ask
from connector.app.daemon import drain, open_app
from connector.app.signals import Stop, handle_signals
from connector.app.tasks import wait_first
from connector.collect.backfill.job import Job
from connector.collect.backfill.queue import BackfillQueue
from connector.collect.collector import Collector
from connector.errors import ConnectorError, JournalInUse
from connector.facts import Fact
from connector.journal import Journal, Options
from connector.journal.journal import FILE
from connector.model import Feed, JsonObject
from connector.net.clock import utc_now
from connector.settings import Loaded

Tell = Callable[[JsonObject], None]

_POLL_SECONDS = 0.3
"""Seconds between two looks at how far it is."""

_STARTING = 5.0
"""Seconds to wait for a daemon that has the journal and does not answer: it is starting, or ending."""

_LOUD = frozenset({"debug", "warning", "error"})

_DELIVERY = timedelta(minutes=10)
"""How long a command that works by itself waits for the outputs at its end."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """How far it came.

    Args:
        progress: the account of it.
        by_daemon: whether the running daemon does it.
        waiting: revisions by output that wait in the journal, where the command did it by itself.
    """

    progress: JsonObject
    by_daemon: bool
    waiting: tuple[tuple[str, int], ...] = ()


async def backfill(
    loaded: Loaded, backfill_request: BackfillRequest, tell: Tell, *, detach: bool = False
) -> Outcome:
    """Have *wish* done; *tell* is called with its progress every now and then.

    With *detach* it returns as soon as the daemon took it. Raises ``ConnectorError`` with what is wrong.
    """
    clock = asyncio.get_running_loop().time
    deadline = clock() + _STARTING
    while True:
        try:
            return await _by_daemon(loaded, backfill_request, tell, detach=detach)
        except NoDaemon:
            if detach:
                raise
        try:
            return await _here(loaded, backfill_request, tell)
        except JournalInUse:
            if clock() > deadline:
                raise
            await asyncio.sleep(_POLL_SECONDS)


async def cancel(loaded: Loaded, backfill_request: BackfillRequest) -> bool:
    """Drop the unfinished backfill that was asked for like *wish*; says whether there was one."""
    state = loaded.settings.state
    try:
        return bool(
            _object(await ask(state.directory, "backfill_drop", **backfill_request.to_json()))["dropped"]
        )
    except NoDaemon:
        pass
    if not (state.directory / FILE).exists():
        return False
    options = Options(retain=state.retain)
    async with Journal.open(state.directory, observe=_ignore, clock=utc_now, options=options) as journal:
        jobs = BackfillQueue(Feed(backfill_request.account, backfill_request.search), journal)
        job = backfill_request.match(await jobs.load())
        if job is not None:
            await jobs.remove(job)
        return job is not None


async def _by_daemon(
    loaded: Loaded, backfill_request: BackfillRequest, tell: Tell, *, detach: bool
) -> Outcome:
    directory = loaded.settings.state.directory
    progress = _object(await ask(directory, "backfill", **backfill_request.to_json()))
    tell(progress)
    named = {key: progress[key] for key in ("account", "search", "number")}
    while not (progress["done"] or detach):
        await asyncio.sleep(_POLL_SECONDS)
        try:
            progress = _object(await ask(directory, "backfill_show", **named))
        except NoDaemon:
            raise ConnectorError(
                "the connector ended; its backfill goes on when it runs again; the same command follows it"
            ) from None
        tell(progress)
    return Outcome(progress, by_daemon=True)


async def _here(loaded: Loaded, backfill_request: BackfillRequest, tell: Tell) -> Outcome:
    app, stop = build_app(_quiet(loaded), utc_now), Stop()
    feed = Feed(backfill_request.account, backfill_request.search)
    with handle_signals(stop):
        async with open_app(app, _silent, stop) as running:
            collector, job, known = await running.backfills.submit(backfill_request)
            tell({**await running.backfills.progress(feed, job.number), "resumed": known})
            await _work(running.backfills, collector, feed, job, stop, tell)
            await drain(running, app.settings.drain if stop.asked.is_set() else _DELIVERY, stop)
            progress = await running.backfills.progress(feed, job.number)
            outputs = (await running.journal.outline()).outputs
    waiting = tuple((one.output, one.backlog) for one in outputs if one.attached and one.backlog)
    return Outcome(progress, by_daemon=False, waiting=waiting)


async def _work(
    backfills: BackfillService, collector: Collector, feed: Feed, job: Job, stop: Stop, tell: Tell
) -> None:
    """Do *job* until it ends or *stop* is asked for."""
    telling = asyncio.create_task(_tell_on(backfills, feed, job, tell))
    try:
        work = asyncio.ensure_future(collector.backfill(job))
        await wait_first(work, asyncio.ensure_future(stop.asked.wait()))
    finally:
        telling.cancel()
        await asyncio.gather(telling, return_exceptions=True)


async def _tell_on(backfills: BackfillService, feed: Feed, job: Job, tell: Tell) -> None:
    while True:
        await asyncio.sleep(_POLL_SECONDS)
        tell(await backfills.progress(feed, job.number))


def _quiet(loaded: Loaded) -> Loaded:
    """Without the endpoint, which a daemon may need meanwhile, and with warnings only in the log."""
    settings = loaded.settings
    level = settings.log.level if settings.log.level in _LOUD else "warning"
    changed = {
        "server": settings.server.model_copy(update={"listen": None}),
        "log": settings.log.model_copy(update={"level": level}),
    }
    return replace(loaded, settings=settings.model_copy(update=changed), notes=())


def _object(answer: object) -> JsonObject:
    if not isinstance(answer, dict):
        raise ConnectorError("the daemon gave no sound answer; is it of the same version?")
    return answer


def _silent(_: str) -> None:
    """There is no endpoint to announce."""


def _ignore(_: Fact) -> None:
    """A command tells what it did itself."""
