"""``run --once``: collects every feed up to now, delivers, and ends; early where nothing more can succeed."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from datetime import timedelta

from connector.app.build import App, build_app
from connector.app.collectors import FeedPlan
from connector.app.daemon import POLL_SECONDS, Announce, Running, log_to_stderr, open_app
from connector.app.signals import Stop, handle_signals
from connector.app.work import held_aside
from connector.collect.collector import Collector
from connector.errors import BadQuery, Denied
from connector.facts import CollectionFailed, Fact, RunIncomplete
from connector.interfaces import Observe
from connector.leases import output_lease
from connector.model import Feed
from connector.net.clock import utc_now
from connector.quantities import count_of
from connector.settings import Loaded
from connector.values import dataclass

_PERMANENT = frozenset({Denied.kind, BadQuery.kind})
"""Kinds of collection failures that only an operator can fix: ``run --once`` does not wait for them."""

_TAKEOVER = 30.0
"""Seconds without a lease after which a replica that works has it: one that died loses it within 20."""

_ELSEWHERE = "another replica does it"


@dataclass(frozen=True, slots=True)
class RunReport:
    """What ``run --once`` did not complete, one line per feed and output; empty if all of it succeeded."""

    problems: tuple[str, ...]

    @property
    def complete(self) -> bool:
        """Whether every feed was collected up to now and every event was delivered."""
        return not self.problems


async def run_daemon_once(loaded: Loaded, announce: Announce, time_limit: timedelta) -> RunReport:
    """Collect every feed up to now, deliver, end; at most *time_limit*."""
    with log_to_stderr() as log:
        app, stop = build_app(loaded, utc_now, log), Stop()
        with handle_signals(stop):
            report = await run_once(app, stop, announce, time_limit)
            for problem in report.problems:
                app.core.observe(RunIncomplete(problem))
            return report


async def run_once(app: App, stop: Stop, announce: Announce, time_limit: timedelta) -> RunReport:
    """Collect every feed up to now, deliver, end; at most *time_limit*.

    It ends as soon as nothing can succeed any more: when every feed that is left is refused by the API, every
    output that is left is held, another replica does what is left, or *stop* is requested while they fail.
    """
    clock = asyncio.get_running_loop().time
    deadline = clock() + time_limit.total_seconds()
    failures = _FeedFailures(app.core.observe)
    async with open_app(app, announce, stop, observe=failures.observe) as running:
        taken = clock() + _TAKEOVER
        problems = await _collect_once(running, failures, stop, deadline, taken)
        left = timedelta(seconds=max(1.0, deadline - clock()))
        await drain_or_give_up(running, left, stop, after_stop=app.settings.drain, taken=taken)
        problems += await _undelivered(running)
        return RunReport(tuple(problems))


class _FeedFailures:
    """Remembers the last failure of each feed's sweeps, and passes every fact on."""

    def __init__(self, observe: Observe) -> None:
        self._observe = observe
        self.last: dict[Feed, CollectionFailed] = {}

    def observe(self, fact: Fact) -> None:
        """Note a failure of collection."""
        if isinstance(fact, CollectionFailed):
            self.last[fact.feed] = fact
        self._observe(fact)


async def _collect_once(
    running: Running, failures: _FeedFailures, stop: Stop, deadline: float, taken: float
) -> list[str]:
    """Collect every feed up to now; one line for each that did not get there.

    From *taken* on, a loop time, what is not this replica's is another one's.
    """
    async with AsyncExitStack() as stack:
        tasks: dict[asyncio.Task[None], tuple[FeedPlan, asyncio.Event]] = {}
        for group in running.groups:
            held = await stack.enter_async_context(held_aside(running.keeper, group.unit))
            tasks |= {
                asyncio.create_task(_once(collector, held)): (feed, held)
                for feed, collector in running.of_group(group)
            }
        return await _await_feeds(tasks, failures, stop, deadline, taken)


async def _once(collector: Collector, held: asyncio.Event) -> None:
    await held.wait()
    await collector.once()


async def _await_feeds(
    tasks: dict[asyncio.Task[None], tuple[FeedPlan, asyncio.Event]],
    failures: _FeedFailures,
    stop: Stop,
    deadline: float,
    taken: float,
) -> list[str]:
    clock = asyncio.get_running_loop().time

    def is_hopeless(task: asyncio.Task[None]) -> bool:
        feed, held = tasks[task]
        failure = failures.last.get(feed.plan.feed)
        is_refused = failure is not None and failure.kind in _PERMANENT
        return is_refused or (clock() >= taken and not held.is_set())

    pending = set(tasks)
    while pending and clock() < deadline and not stop.requested.is_set():
        _, pending = await asyncio.wait(pending, timeout=POLL_SECONDS)
        if pending and all(map(is_hopeless, pending)):
            break
    for task in pending:
        task.cancel()
    results = await asyncio.gather(*tasks, return_exceptions=True)
    problems = []
    for (task, (feed, held)), result in zip(tasks.items(), results, strict=True):
        if task in pending:
            failure = failures.last.get(feed.plan.feed)
            waited = "stopped" if stop.requested.is_set() else "timed out" if held.is_set() else _ELSEWHERE
            reason = failure.reason if failure else waited
            problems.append(f"feed {feed.account}/{feed.plan.feed.search} was not collected: {reason}")
        elif isinstance(result, BaseException):
            raise result
    return problems


async def _undelivered(running: Running) -> list[str]:
    """One line for each output that did not take everything."""
    problems = []
    for output in (await running.journal.outline()).outputs:
        deliverer = running.deliverers.get(output.output)
        if deliverer is not None and output.backlog:
            state = deliverer.state
            waited = "timed out" if _is_here(running, output.output) else _ELSEWHERE
            reason = state.hold or ("the collector does not accept events" if state.attempt else waited)
            revisions = count_of(output.backlog, "undelivered revision")
            problems.append(f"output {output.output}: {revisions} left for the next run: {reason}")
    return problems


def _is_here(running: Running, output: str) -> bool:
    return running.keeper.holds(output_lease(output))


async def drain_or_give_up(
    running: Running,
    time_limit: timedelta,
    stop: Stop,
    *,
    after_stop: timedelta,
    taken: float = float("inf"),
) -> None:
    """Like ``drain``, but end early when it is hopeless: for commands that somebody waits for.

    It ends when every output that is not done is held or, from the loop time *taken* on, another replica's;
    when *stop* is requested and they all fail; and *after_stop* after *stop* was requested.
    """
    clock = asyncio.get_running_loop().time
    seconds = time_limit.total_seconds()
    drains = {
        asyncio.create_task(deliverer.drain(seconds)): (name, deliverer)
        for name, deliverer in running.deliverers.items()
    }
    pending, stop_deadline = set(drains), float("inf")
    while pending and not stop.immediate.is_set() and clock() < stop_deadline:
        _, pending = await asyncio.wait(pending, timeout=POLL_SECONDS)
        stopping = stop.requested.is_set()
        if stopping:
            stop_deadline = min(stop_deadline, clock() + after_stop.total_seconds())
        left = [drains[task] for task in pending]
        if left and all(
            one.state.hold
            or (stopping and one.state.attempt)
            or (clock() >= taken and not _is_here(running, name))
            for name, one in left
        ):
            break
    for task in drains:
        task.cancel()
    await asyncio.gather(*drains, return_exceptions=True)
