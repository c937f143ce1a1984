"""From settings to collectors: accounts become sources, searches on accounts become feeds."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import timedelta

from connector.app.routes import known_names, mapping_library, node_at
from connector.app.sources import Sources
from connector.collect.collector import Collector, FeedJournal
from connector.collect.feed_config import AuditConfig, FeedConfig
from connector.collect.resume import note_unconfigured
from connector.collect.schedule import Schedule, period_of, schedule_of
from connector.collect.windows import Timing
from connector.errors import ConfigurationError, JournalFull, Problem
from connector.facts import FeedStarted
from connector.interfaces import Clock, Enricher, Observe
from connector.journal import Journal
from connector.mapping import KnownNames, Library, compile_matcher
from connector.model import Feed, Query, Record, Revision
from connector.settings import Loaded, Search, Settings
from connector.source.client import CloudflareSource
from connector.source.enrichment import Endpoint
from connector.yaml_nodes import Node, walk

_LATER = ("$change", "$enrichment", "$identity", "$revision")
"""Names that a record has no values for before it is compared and enriched."""


@dataclass(frozen=True, slots=True)
class EnrichmentPlan:
    """What one search asks of further endpoints; *when* says for which revisions (``None``: for all)."""

    endpoints: tuple[Endpoint, ...]
    when: Callable[[Revision], bool] | None = None

    def build(self, source: CloudflareSource, feed: Feed, clock: Clock) -> Enricher:
        """Make the enricher of one feed."""
        when = self.when
        if when is None:
            return source.enricher(self.endpoints)

        def wanted(record: Record) -> bool:
            return when(Revision(feed, record, "", 1, clock()))

        return source.enricher(self.endpoints, wanted=wanted)


def plan_enrichment(loaded: Loaded) -> Mapping[str, EnrichmentPlan]:
    """What each search that enriches asks, by the search's name.

    Raises ``ConfigurationError`` with everything that is wrong with ``when``.
    """
    names = {account.account_id: name for name, account in loaded.settings.accounts.items()}
    library = mapping_library(loaded)
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
                yield Problem(f"{name} has no value yet when a record is enriched", place,
                              "match the record's own fields, or give the output a when")  # fmt: skip


_PATIENT = 3
_LEAST = timedelta(minutes=5)
"""A feed is fresh while its live sweep reached the present within three periods, at least five minutes."""

_APART, _WITHIN = 0.05, 30.0
"""Seconds between the beginnings of two feeds, and within which all of them begin."""


@dataclass(frozen=True, slots=True)
class FeedPlan:
    """A feed as planned: its account's name, what to collect, when, how old it may become, what to add."""

    account: str
    plan: FeedConfig
    schedule: Schedule
    fresh_within: timedelta
    enrichment: EnrichmentPlan | None = None


def plan_feeds(loaded: Loaded, clock: Clock) -> tuple[FeedPlan, ...]:
    """Every feed of *loaded*. Raises ``ConfigurationError`` for a schedule or a match that is none."""
    settings = loaded.settings
    enrichment = plan_enrichment(loaded)
    feeds: list[FeedPlan] = []
    for name, search in settings.searches.items():
        names = list(settings.accounts) if search.accounts == "all" else search.accounts
        planned = (_plan(settings, name, search, account, clock) for account in names)
        feeds.extend(replace(feed, enrichment=enrichment.get(name)) for feed in planned)
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
    )
    return FeedPlan(account, plan, schedule, max(_LEAST, _PATIENT * period + search.settle))


def start_delays(count: int) -> Sequence[float]:
    """Seconds after which each of *count* feeds begins.

    One after the other: hundreds that begin at once would hold a page each in memory, and poll in step.
    """
    apart = min(_APART, _WITHIN / max(1, count))
    return [number * apart for number in range(count)]


async def note_unconfigured_feeds(feeds: tuple[FeedPlan, ...], journal: Journal, clock: Clock) -> None:
    """Note in *journal* which of its feeds nobody configures any more, for when they are back."""
    known = [one.feed for one in (await journal.outline()).feeds]
    # On a disk without any room it is noted at the next start. A feed that is back before that catches up as
    # after an outage, which loses nothing.
    with suppress(JournalFull):
        await note_unconfigured(journal, known, [feed.plan.feed for feed in feeds], clock())


def build_collectors(
    feeds: tuple[FeedPlan, ...],
    sources: Sources,
    log: FeedJournal,
    *,
    observe: Observe,
    clock: Clock,
) -> tuple[tuple[FeedPlan, Collector], ...]:
    """A collector per feed."""
    built = []
    for feed in feeds:
        observe(FeedStarted(feed.plan.feed, feed.fresh_within.total_seconds()))
        source = sources[feed.account]
        collector = Collector(
            feed.plan,
            source,
            source,
            log,
            observe=observe,
            clock=clock,
            refresh=source.refresh,
            enricher=feed.enrichment.build(source, feed.plan.feed, clock) if feed.enrichment else None,
        )
        built.append((feed, collector))
    return tuple(built)
