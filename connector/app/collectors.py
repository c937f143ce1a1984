"""From settings to collectors: accounts become sources, searches on accounts become feeds."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import timedelta

from connector.app.enrichment import Enriching, plan_enrichment
from connector.app.sources import Sources
from connector.collect.collector import Book, Collector
from connector.collect.feed_config import Audit, Plan
from connector.collect.resume import note_left_out
from connector.collect.schedule import Schedule, period_of, schedule_of
from connector.collect.windows import Timing
from connector.errors import ConfigurationError, JournalFull, Problem
from connector.facts import FeedBegun
from connector.interfaces import Clock, Observe
from connector.journal import Journal
from connector.model import Feed, Query
from connector.settings import Loaded, Search, Settings

_PATIENT = 3
_LEAST = timedelta(minutes=5)
"""A feed is fresh while its live sweep reached the present within three periods, at least five minutes."""

_APART, _WITHIN = 0.05, 30.0
"""Seconds between the beginnings of two feeds, and within which all of them begin."""


@dataclass(frozen=True, slots=True)
class FeedPlan:
    """A feed as planned: its account's name, what to collect, when, how old it may become, what to add."""

    account: str
    plan: Plan
    schedule: Schedule
    fresh_within: timedelta
    enriching: Enriching | None = None


def plan_feeds(loaded: Loaded, clock: Clock) -> tuple[FeedPlan, ...]:
    """Every feed of *loaded*. Raises ``ConfigurationError`` for a schedule or a match that is none."""
    settings = loaded.settings
    enriching = plan_enrichment(loaded)
    feeds: list[FeedPlan] = []
    for name, search in settings.searches.items():
        names = list(settings.accounts) if search.accounts == "all" else search.accounts
        planned = (_plan(settings, name, search, account, clock) for account in names)
        feeds.extend(replace(feed, enriching=enriching.get(name)) for feed in planned)
    return tuple(feeds)


def _plan(settings: Settings, name: str, search: Search, account: str, clock: Clock) -> FeedPlan:
    try:
        schedule = schedule_of(search.every, search.cron, clock)
        period = period_of(search.every, search.cron, clock)
    except ValueError as error:
        raise ConfigurationError(Problem(f"searches.{name}.cron: {error}")) from None
    plan = Plan(
        feed=Feed(settings.accounts[account].account_id, name),
        query=Query(dict(search.filters), search.per_page),
        timing=Timing(search.settle, search.overlap, search.start),
        ages=search.revisit,
        watched=search.watch,
        audit=Audit(search.audit.every, search.audit.reach) if search.audit else None,
    )
    return FeedPlan(account, plan, schedule, max(_LEAST, _PATIENT * period + search.settle))


def begins(count: int) -> Sequence[float]:
    """Seconds after which each of *count* feeds begins.

    One after the other: hundreds that begin at once would hold a page each in memory, and poll in step.
    """
    apart = min(_APART, _WITHIN / max(1, count))
    return [number * apart for number in range(count)]


async def note_absent(feeds: tuple[FeedPlan, ...], journal: Journal, clock: Clock) -> None:
    """Note in *journal* which of its feeds nobody configures any more, for when they are back."""
    known = [one.feed for one in (await journal.outline()).feeds]
    # On a disk without any room it is noted at the next start. A feed that is back before that catches up as
    # after an outage, which loses nothing.
    with suppress(JournalFull):
        await note_left_out(journal, known, [feed.plan.feed for feed in feeds], clock())


def build_collectors(
    feeds: tuple[FeedPlan, ...],
    sources: Sources,
    log: Book,
    *,
    observe: Observe,
    clock: Clock,
) -> tuple[tuple[FeedPlan, Collector], ...]:
    """A collector per feed."""
    built = []
    for feed in feeds:
        observe(FeedBegun(feed.plan.feed, feed.fresh_within.total_seconds()))
        source = sources[feed.account]
        collector = Collector(
            feed.plan,
            source,
            source,
            log,
            observe=observe,
            clock=clock,
            refresh=source.refresh,
            enricher=feed.enriching.build(source, feed.plan.feed, clock) if feed.enriching else None,
        )
        built.append((feed, collector))
    return tuple(built)
