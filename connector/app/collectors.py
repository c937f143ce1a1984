"""Feeds and collectors from settings: one feed per search and account, with its schedule and enrichment."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from typing import Protocol

from connector.app.routes import known_names, mapping_library, node_at
from connector.app.sources import Sources
from connector.collect.collector import Collector, FeedJournal
from connector.collect.feed_config import AuditConfig, FeedConfig
from connector.collect.resume import note_unconfigured
from connector.collect.schedule import Schedule, period_of, schedule_of
from connector.collect.windows import Timing
from connector.errors import ConfigurationError, JournalFull, Position, Problem
from connector.facts import FeedStarted
from connector.interfaces import Clock, Enricher, Journal, Observe
from connector.mapping import KnownNames, Library, compile_matcher
from connector.model import Feed, FeedOutline, Outline, Query, Record, Revision, SearchSource
from connector.settings import Loaded, Search, Settings
from connector.source.client import CloudflareSource
from connector.source.enrichment import Endpoint
from connector.values import dataclass
from connector.yaml_nodes import Node, walk

_LATER = ("$change", "$enrichment", "$identity", "$revision")
"""Variables that have no value before a record is compared and enriched."""


_FRESH_PERIODS = 3
_FRESH_AT_LEAST = timedelta(minutes=5)
"""A feed is fresh while its live sweep reached the present within three periods, or five minutes: one or
two polls may fail before anybody is alerted."""

_START_INTERVAL, _START_SPREAD = 0.05, 30.0
"""Seconds between the starts of two feeds, and within which all have started."""


@dataclass(frozen=True, slots=True)
class EnrichmentPlan:
    """Enrichment of one search: the endpoints to query, and *when* (``None``: for every revision)."""

    endpoints: tuple[Endpoint, ...]
    when: Callable[[Revision], bool] | None = None

    def build(self, source: CloudflareSource, feed: Feed, clock: Clock) -> Enricher:
        """The enricher of one feed."""
        when = self.when
        if when is None:
            return source.enricher(self.endpoints)

        def wanted(record: Record) -> bool:
            return when(Revision(feed, record, "", 1, clock()))

        return source.enricher(self.endpoints, wanted=wanted)


def plan_enrichment(loaded: Loaded, library: Library | None = None) -> Mapping[str, EnrichmentPlan]:
    """The enrichment of each search that has one, by search name.

    Raises ``ConfigurationError`` with every problem of ``enrich.when``.
    """
    names = {account.account_id: name for name, account in loaded.settings.accounts.items()}
    library = library or mapping_library(loaded)
    planned: dict[str, EnrichmentPlan] = {}
    problems: list[Problem] = []
    for name, search in loaded.settings.searches.items():
        if search.enrich is None:
            continue
        node = node_at(loaded.node, ("searches", name, "enrich", "when"))
        try:
            planned[name] = EnrichmentPlan(
                search.enrich.endpoints, _when(node, library, names, known_names(loaded))
            )
        except ConfigurationError as error:
            problems.extend(error.problems)
    if problems:
        raise ConfigurationError(*problems)
    return planned


def _when(
    node: Node | None, library: Library, names: Mapping[str, str], known: KnownNames
) -> Callable[[Revision], bool] | None:
    if node is None or node.value is None:
        return None
    matcher = compile_matcher(node, library.prelude(), accounts=names, known=known)
    early = list(_too_early(node))
    if early:
        raise ConfigurationError(*early)
    return matcher


def _too_early(node: Node) -> Iterator[Problem]:
    for _, inner in walk(node):
        for name, place in inner.keys.items():
            if name.partition(".")[0] in _LATER:
                yield Problem(f"{name} is not set before enrichment", place,
                              "match fields of the record, or use the output's when")  # fmt: skip


class FeedOutlines(Protocol):
    """A journal that tells which feeds it has."""

    async def outline(self) -> Outline:
        """See ``OperatorLog``."""
        ...


@dataclass(frozen=True, slots=True)
class FeedPlan:
    """A feed: account name, what to collect, when, how old it may become, how to enrich it.

    *source_at* is where the configuration says what it reads.
    """

    account: str
    plan: FeedConfig
    schedule: Schedule
    fresh_within: timedelta
    enrichment: EnrichmentPlan | None = None
    source_at: Position | None = None


def plan_feeds(loaded: Loaded, clock: Clock, library: Library | None = None) -> tuple[FeedPlan, ...]:
    """Every feed of *loaded*; *library* is ``mapping_library(loaded)``.

    Raises ``ConfigurationError`` for an invalid schedule or ``enrich.when``.
    """
    settings = loaded.settings
    enrichment = plan_enrichment(loaded, library)
    feeds: list[FeedPlan] = []
    for name, search in settings.searches.items():
        names = list(settings.accounts) if search.accounts == "all" else search.accounts
        planned = (_plan(settings, name, search, account, clock) for account in names)
        at = node_at(loaded.node, ("searches", name, "source")) or node_at(loaded.node, ("searches", name))
        place = None if at is None else at.position
        feeds.extend(replace(feed, enrichment=enrichment.get(name), source_at=place) for feed in planned)
    return tuple(feeds)


def _plan(settings: Settings, name: str, search: Search, account: str, clock: Clock) -> FeedPlan:
    try:
        schedule = schedule_of(search.every, search.cron, clock)
        period = period_of(search.every, search.cron, clock)
    except ValueError as error:
        raise ConfigurationError(Problem(f"searches.{name}.cron: {error}")) from None
    plan = FeedConfig(
        feed=Feed(settings.accounts[account].account_id, name),
        query=Query(dict(search.filters), search.per_page),
        timing=Timing(search.settle, search.overlap, search.start),
        ages=search.revisit,
        watched=search.watch,
        audit=AuditConfig(search.audit.every, search.audit.reach) if search.audit else None,
        source=search.source,
    )
    return FeedPlan(account, plan, schedule, max(_FRESH_AT_LEAST, _FRESH_PERIODS * period + search.settle))


def start_delays(count: int) -> Sequence[float]:
    """Start delay of each of *count* feeds, in seconds.

    Staggered: hundreds of feeds started together would hold a page each in memory, and poll in step for ever.
    """
    interval = min(_START_INTERVAL, _START_SPREAD / max(1, count))
    return [number * interval for number in range(count)]


def changed_sources(feeds: Iterable[FeedPlan], known: Iterable[FeedOutline]) -> tuple[Problem, ...]:
    """A problem for each of *feeds* that reads another source than its journal *known* has read so far.

    It would continue at a checkpoint that says nothing about its list, and skip all that lies before.
    """
    read = {outline.feed: outline.source for outline in known}
    problems = []
    for feed in feeds:
        name, new = feed.plan.feed.search, feed.plan.source
        old = read.get(feed.plan.feed)
        if old not in {None, new}:
            message = f"searches.{name}.source: {name} on {feed.account} has read {old} so far, not {new}"
            hint = (
                f"keep {old} and give the search of {new} a name of its own; or stop the connector and run "
                f"`email-connector state forget {name}`, so that {name} starts over"
            )
            problems.append(Problem(message, feed.source_at, hint))
    return tuple(problems)


async def refuse_changed_sources(feeds: Iterable[FeedPlan], journal: FeedOutlines) -> None:
    """Raise ``ConfigurationError`` for feeds that read another source than *journal* knows of them."""
    if problems := changed_sources(feeds, (await journal.outline()).feeds):
        raise ConfigurationError(*problems)


async def note_unconfigured_feeds(feeds: tuple[FeedPlan, ...], journal: Journal, clock: Clock) -> None:
    """Record in *journal* which of its feeds are no longer configured, for when they are configured again."""
    known = [one.feed for one in (await journal.outline()).feeds]
    # On a full disk this is recorded at the next start. A feed configured again before that catches up as
    # after an outage, which loses nothing.
    with suppress(JournalFull):
        await note_unconfigured(journal, known, [feed.plan.feed for feed in feeds], clock())


def build_collectors(
    feeds: tuple[FeedPlan, ...],
    sources: Sources,
    logs: Mapping[str, FeedJournal],
    *,
    observe: Observe,
    clock: Clock,
    is_alone: bool,
) -> tuple[tuple[FeedPlan, Collector], ...]:
    """A collector per feed; *logs* is the journal by account name."""
    built = []
    for feed in feeds:
        if is_alone:  # else a feed starts when its lease is taken
            observe(FeedStarted(feed.plan.feed, feed.fresh_within.total_seconds()))
        source = sources[feed.account]
        collector = Collector(
            feed.plan,
            source.reading(feed.plan.source),
            source if feed.plan.source is SearchSource.INVESTIGATE else None,
            logs[feed.account],
            observe=observe,
            clock=clock,
            refresh=source.refresh,
            forget_time=source.forget_time,
            enricher=feed.enrichment.build(source, feed.plan.feed, clock) if feed.enrichment else None,
        )
        built.append((feed, collector))
    return tuple(built)
