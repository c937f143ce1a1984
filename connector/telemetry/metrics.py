"""Updates the Prometheus metrics from facts."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping

from prometheus_client import CollectorRegistry, ProcessCollector, disable_created_metrics, generate_latest

from connector import facts
from connector.errors import Denied
from connector.model import Backlog, Feed, Outline, Priority
from connector.telemetry.metric_families import Families

LIVE = "live"
_ACCEPTED = ("ok", "deferred")
"""Outcomes of a request that show that the API accepts the credentials."""

_FILTERS = ("when", "max_age", "emit", "group_by", "throttle", "actions")
_ENDED = frozenset({"succeeded", "partial", "failed", "cancelled", "expired"})
"""States in which an action has ended (``actions.action.ENDED``)."""

_REASONS = ("refused", "rejected", "mapping", "too_large", "bug", "poison", "partial_success")
"""Of dead letters (``model.DeadLetter``)."""


class Metrics:
    """The process's metrics. ``take`` is for the main loop; ``exposition`` may be called from any thread."""

    def __init__(self, version: str, sqlite: str) -> None:
        # The `_created` series would double the number of series; rate() does not use them.
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self._registry = CollectorRegistry()
        ProcessCollector(registry=self._registry)
        self._metrics = Families(self._registry)
        self._metrics.set("build_info", 1, version, sqlite)
        self._metrics.set("started_timestamp_seconds", time.time())
        for outcome in ("success", "failure"):
            self._metrics.count("config_reloads", outcome, by=0)
        for reason in ("limit", "timeout"):
            self._metrics.count("endpoint_connections_dropped", reason, by=0)
        self._configuration_loaded()

    def take(self, fact: facts.Fact) -> None:
        """Count *fact*; a fact that no metric counts is ignored."""
        self._take_source(fact)
        self._take_collection(fact)
        self._take_journal(fact)
        self._take_delivery(fact)
        self._take_process(fact)
        self._take_actions(fact)

    def accounts(self, names: Mapping[str, str]) -> None:
        """Show the configured name of each account id."""
        for account, name in names.items():
            self._metrics.forget_family("account_info", account=account)
            self._metrics.set("account_info", 1, account, name)

    def connection_dropped(self, reason: str) -> None:
        """Count a connection to the endpoint that was closed early; from any thread."""
        self._metrics.count("endpoint_connections_dropped", reason)

    def suppressed(self, lines: int) -> None:
        """Count log lines left out by the limits; from any thread."""
        self._metrics.count("log_lines_suppressed", by=lines)

    def dropped(self, lines: int) -> None:
        """Count log lines dropped because the reader of stderr stalled; from any thread."""
        self._metrics.count("log_lines_dropped", by=lines)

    def outline(self, outline: Outline, limits: Mapping[str, Backlog]) -> None:
        """Set the gauges of the journal and the backlogs."""
        self._metrics.set("journal_bytes", outline.bytes)
        self._metrics.set("journal_head", outline.head)
        for feed in outline.feeds:
            self._metrics.set("journal_seen_rows", feed.seen, *_labels(feed.feed))
            for sweep, checkpoint in feed.checkpoints.items():
                self._metrics.set(
                    "checkpoint_timestamp_seconds", checkpoint.timestamp(), *_labels(feed.feed), sweep
                )
        for output in outline.outputs:
            if not output.attached:
                continue
            name = output.output
            self._metrics.set("output_backlog_revisions", output.backlog, name)
            self._metrics.set("output_backlog_bytes", output.backlog_bytes, name)
            self._metrics.set("output_dead_letters", output.dead_letters, name)
            oldest = output.oldest.timestamp() if output.oldest else 0.0
            self._metrics.set("output_backlog_oldest_timestamp_seconds", oldest, name)
            limit = limits.get(name)
            if limit and limit.max_bytes:
                self._metrics.set("output_backlog_ratio", output.counted_bytes / limit.max_bytes, name)

    def forget(self, *, feeds: Iterable[Feed], outputs: Iterable[str], accounts: Iterable[str]) -> None:
        """Drop the series of removed feeds, outputs and accounts."""
        for feed in feeds:
            self._metrics.forget(account=feed.account, search=feed.search)
        for output in outputs:
            self._metrics.forget(output=output)
        for account in accounts:
            self._metrics.forget(account=account)

    def renew_sweep(self, feed: Feed, sweep: str) -> None:
        """A sweep was rebuilt or removed: forget its failures until it reports them again."""
        self._sweep_works(feed, sweep)

    def renew(self, output: str) -> None:
        """An output was rebuilt: forget that it was held until it reports it again."""
        self._metrics.set("output_next_attempt_timestamp_seconds", 0, output)
        self._metrics.set("output_held", 0, output)

    def exposition(self) -> bytes:
        """The metrics in the Prometheus text format."""
        return generate_latest(self._registry)

    def _take_source(self, fact: facts.Fact) -> None:  # noqa: C901, PLR0912, one case per fact
        metrics = self._metrics
        match fact:
            case facts.RequestAnswered():
                metrics.count("requests", fact.account, fact.endpoint, fact.outcome)
                metrics.time("request_seconds", fact.seconds, fact.account)
                if fact.outcome == Denied.kind or fact.outcome in _ACCEPTED:
                    denied = fact.outcome == Denied.kind
                    metrics.set("api_denied", denied, fact.account, fact.endpoint)
            case facts.RequestRetried():
                metrics.count("request_retries", fact.account, fact.endpoint)
            case facts.BudgetWaited():
                metrics.count("budget_wait_seconds", fact.account, fact.priority, by=fact.seconds)
            case facts.RateLimitLifted():
                metrics.set("rate_limited_until_timestamp_seconds", 0, fact.account)
            case facts.RetryAfterCapped():
                metrics.count("retry_after_capped", fact.account)
            case facts.BudgetRemaining():
                metrics.set("budget_remaining_requests", fact.own, fact.account)
                if fact.remote is not None:
                    metrics.set("quota_remaining_requests", fact.remote, fact.account)
            case facts.RateLimited():
                metrics.count("rate_limits", fact.account)
                metrics.set("rate_limited_until_timestamp_seconds", fact.until.timestamp(), fact.account)
            case facts.RateLimitRestored():
                metrics.set("rate_limited_until_timestamp_seconds", fact.until.timestamp(), fact.account)
            case facts.SearchDeferred():
                metrics.count("deferred_searches", fact.account, fact.outcome)
            case facts.PageDecoded():
                metrics.count("pages", fact.account)
                metrics.count("pages_decoded_leniently", fact.account, by=int(fact.lenient))
                metrics.count("records_without_id", fact.account, by=fact.without_id)
            case facts.SearchAborted():
                metrics.count("searches_aborted", fact.account, fact.reason)
            case facts.ClockSkewed():
                metrics.set("clock_skew_seconds", fact.seconds, fact.account)
            case facts.RecordsEnriched():
                metrics.count("records_enriched", fact.account, "enriched", by=fact.enriched)
                metrics.count("records_enriched", fact.account, "incomplete", by=fact.incomplete)
                metrics.count("records_enriched", fact.account, "failed", by=fact.failed)
            case facts.EnrichmentDisabled():
                metrics.count("enrichment_disabled", fact.account, fact.endpoint)

    def _take_collection(self, fact: facts.Fact) -> None:  # noqa: C901, PLR0912, one case per fact
        metrics = self._metrics
        match fact:
            case facts.FeedStarted():
                self._feed_started(fact)
            case facts.PageCollected():
                sweep = (*_labels(fact.feed), fact.sweep)
                metrics.count("records", *sweep, "new", by=fact.new)
                metrics.count("records", *sweep, "changed", by=fact.changed)
                metrics.count("records", *sweep, "completed", by=fact.completed)
                metrics.count("records", *sweep, "repeated", by=fact.repeated)
                metrics.count("records_outside_window", *_labels(fact.feed), by=fact.outside)
            case facts.SliceCollected():
                sweep = (*_labels(fact.feed), fact.sweep)
                metrics.count("slices", *sweep)
                metrics.time("slice_seconds", fact.seconds, *_labels(fact.feed))
                metrics.set("checkpoint_timestamp_seconds", fact.until.timestamp(), *sweep)
                self._sweep_works(fact.feed, fact.sweep)
            case facts.WindowSplit():
                metrics.count("window_splits", *_labels(fact.feed), fact.sweep)
            case facts.RecordIdReused():
                metrics.count("record_ids_reused", *_labels(fact.feed))
            case facts.RecordQuarantined():
                metrics.count("records_quarantined", *_labels(fact.feed), fact.reason)
            case facts.RecordLate():
                metrics.time("lateness_min_seconds", fact.least, *_labels(fact.feed))
                metrics.time("lateness_max_seconds", fact.most, *_labels(fact.feed))
            case facts.RecordDisappeared():
                metrics.count("records_disappeared", *_labels(fact.feed), fact.outcome)
            case facts.CollectionFailed():
                metrics.count("collection_failures", *_labels(fact.feed), fact.sweep, fact.kind)
                metrics.set("feed_failing_attempts", fact.attempt, *_labels(fact.feed), fact.sweep)
                due = time.time() + fact.after
                metrics.set("feed_next_attempt_timestamp_seconds", due, *_labels(fact.feed), fact.sweep)
            case facts.CollectionRecovered():
                self._sweep_works(fact.feed, fact.sweep)
            case facts.CollectionPaused():
                metrics.count("collection_pauses", *_labels(fact.feed))
            case facts.FeedCaughtUp():
                metrics.set("fresh_timestamp_seconds", time.time(), *_labels(fact.feed))
            case facts.GapRecorded():
                metrics.count("gaps", *_labels(fact.feed), fact.gap.reason)
                metrics.count("gap_seconds", *_labels(fact.feed), by=fact.gap.window.length.total_seconds())
            case facts.GapRepaired():
                seconds = fact.gap.window.length.total_seconds()
                metrics.count("gap_repaired_seconds", *_labels(fact.feed), by=seconds)
            case facts.CheckpointPulledBack():
                metrics.count("checkpoints_pulled_back", *_labels(fact.feed), fact.sweep)

    def _take_replicas(self, fact: facts.ReplicasSeen) -> None:
        self._metrics.set("replicas", len(fact.view.replicas))
        for lease in fact.view.leases:
            self._metrics.set("lease_held", lease.name in fact.held, lease.name)
            self._metrics.set("lease_free", lease.holder is None, lease.name)
            self._metrics.set("lease_age_seconds", lease.age, lease.name)

    def _take_journal(self, fact: facts.Fact) -> None:  # noqa: C901, PLR0912, one case per fact
        metrics = self._metrics
        match fact:
            case facts.JournalCommitted():
                metrics.count("journal_revisions", *_labels(fact.feed), by=fact.revisions)
                metrics.count("journal_written_bytes", *_labels(fact.feed), by=fact.bytes)
                metrics.time("commit_seconds", fact.seconds)
            case facts.JournalAcknowledged():
                metrics.time("acknowledge_seconds", fact.seconds)
            case facts.JournalTrimmed():
                metrics.count("journal_trimmed_bytes", by=fact.bytes)
            case facts.JournalWriteFailed():
                metrics.count("journal_write_failures", fact.operation)
            case facts.ReplicasSeen():
                self._take_replicas(fact)
            case facts.LeaseExpired():
                metrics.count("leases_lost", fact.lease)
            case facts.JournalUnreachable():
                metrics.set("journal_unreachable", 1)
            case facts.JournalAvailable():
                metrics.set("journal_unreachable", 0)
            case facts.JournalServerChanged():
                metrics.count("journal_server_changes")
            case facts.StateDiskMeasured():
                metrics.set("state_disk_free_bytes", fact.free)
                metrics.set("state_disk_size_bytes", fact.size)
            case facts.BacklogSkipped():
                metrics.count("revisions_skipped", fact.output, by=fact.revisions)
            case facts.OutputRewound():
                metrics.count("revisions_rewound", fact.output, by=fact.revisions)
            case facts.FeedForgotten():
                metrics.count("feeds_forgotten", *_labels(fact.feed))
            case facts.DeadLettersReplayed():
                metrics.count("dead_letters_replayed", fact.output, by=fact.count)
            case facts.QuarantinedReplayed():
                metrics.count("quarantined_replayed", *_labels(fact.feed), by=fact.count)
            case facts.QuarantinedPurged():
                metrics.count("quarantined_purged", *_labels(fact.feed), by=fact.count)
            case facts.DeadLettersPurged():
                metrics.count("dead_letters_purged", fact.output, by=fact.count)

    def _take_delivery(self, fact: facts.Fact) -> None:  # noqa: C901, PLR0912, PLR0915, one case per fact
        metrics = self._metrics
        match fact:
            case facts.OutputStarted():
                self._output_started(fact)
            case facts.BatchSent():
                metrics.count("events_sent", fact.output, by=fact.accepted)
                metrics.count("events_rejected", fact.output, by=fact.rejected)
                metrics.count("events_duplicate", fact.output, by=fact.duplicates)
                metrics.count("sent_bytes", fact.output, by=fact.bytes)
                metrics.time("send_seconds", fact.seconds, fact.output)
                if fact.accepted:
                    metrics.set("output_success_timestamp_seconds", time.time(), fact.output)
                if fact.newest is not None:
                    newest = fact.newest.timestamp()
                    metrics.set("output_newest_event_timestamp_seconds", newest, fact.output)
                metrics.set("output_next_attempt_timestamp_seconds", 0, fact.output)
            case facts.BatchRetried():
                metrics.count("batches_retried", fact.output)
                metrics.set("output_next_attempt_timestamp_seconds", time.time() + fact.after, fact.output)
            case facts.OutputRetryAfterCapped():
                metrics.count("output_retry_after_capped", fact.output)
            case facts.BatchSplit():
                metrics.count("batches_split", fact.output)
            case facts.BatchPartlyRejected():
                metrics.count("events_rejected_unnamed", fact.output, by=fact.rejected)
            case facts.EventsFiltered():
                metrics.count("events_filtered", fact.output, fact.reason, by=fact.count)
            case facts.MappingWarnings():
                metrics.count("events_with_mapping_warnings", fact.output, by=fact.count)
            case facts.EventDeadLettered():
                metrics.count("dead_letters", fact.output, fact.reason)
            case facts.OutputHeld():
                metrics.set("output_held", 1, fact.output)
            case facts.OutputReleased():
                metrics.set("output_held", 0, fact.output)
                metrics.set("output_next_attempt_timestamp_seconds", 0, fact.output)
            case facts.HeartbeatSent():
                metrics.count("heartbeats", fact.output, "sent")
            case facts.HeartbeatRefused():
                metrics.count("heartbeats", fact.output, "refused")
            case facts.DigestSent():
                metrics.count("digests", fact.output, "sent")
            case facts.DigestRefused():
                metrics.count("digests", fact.output, "refused")
            case facts.EventsResent():
                metrics.count("events_resent", fact.output, by=fact.count)
            case facts.ResendAbandoned():
                metrics.count("resends_abandoned", fact.output)
            case facts.OutputConnected():
                metrics.count("connections", fact.output)
            case facts.AcknowledgementDowngraded():
                metrics.count("acknowledgements_downgraded", fact.output)
            case facts.EventsDiverted():
                metrics.count("events_diverted", fact.output, by=fact.count)

    def _take_actions(self, fact: facts.Fact) -> None:
        metrics = self._metrics
        match fact:
            case facts.ActionStateChanged():
                # Every person at the command line is one label value.
                caller = fact.caller.partition(":")[0]
                metrics.count("actions", fact.account, fact.action, fact.state, caller)
                if fact.state in _ENDED:
                    metrics.time("action_seconds", fact.seconds, fact.action)
            case facts.ActionAnswered():
                metrics.count("action_requests", fact.account, fact.action, fact.outcome)
            case facts.ActionLookedUp():
                metrics.count("action_lookups", fact.account, fact.action)
            case facts.ActionPostponed():
                metrics.count("actions_postponed", fact.account, fact.action)
            case facts.CallRefused():
                metrics.count("calls_refused", fact.caller, str(fact.status))
            case facts.OpenActionsCounted():
                metrics.set("actions_awaiting_approval", fact.awaiting_approval)
                metrics.set("actions_unknown", fact.unknown)
                metrics.set("actions_open", fact.others)

    def _take_process(self, fact: facts.Fact) -> None:
        match fact:
            case facts.WorkerFailed():
                self._metrics.count("worker_failures", fact.worker)
            case facts.LoopLagMeasured():
                self._metrics.set("loop_lag_seconds", fact.lag)
            case facts.ConfigurationReloaded():
                self._metrics.count("config_reloads", "success")
                self._configuration_loaded()
            case facts.ConfigurationRefused():
                self._metrics.count("config_reloads", "failure")
                self._metrics.set("config_last_reload_successful", 0)

    def _sweep_works(self, feed: Feed, sweep: str) -> None:
        self._metrics.set("feed_failing_attempts", 0, *_labels(feed), sweep)
        self._metrics.set("feed_next_attempt_timestamp_seconds", 0, *_labels(feed), sweep)

    def _configuration_loaded(self) -> None:
        self._metrics.set("config_last_reload_successful", 1)
        self._metrics.set("config_last_reload_success_timestamp_seconds", time.time())

    # increase() cannot see a counter's first value, so series that alerts watch start at 0.

    def _feed_started(self, fact: facts.FeedStarted) -> None:
        account, labels = fact.feed.account, _labels(fact.feed)
        self._metrics.set("fresh_within_seconds", fact.fresh_within, *labels)
        self._metrics.set("feed_failing_attempts", 0, *labels, LIVE)
        self._metrics.count("records", *labels, LIVE, "new", by=0)
        self._metrics.count("slices", *labels, LIVE, by=0)
        for name in ("records_outside_window", "gap_seconds", "collection_pauses"):
            self._metrics.count(name, *labels, by=0)
        self._metrics.count("rate_limits", account, by=0)
        self._metrics.count("retry_after_capped", account, by=0)
        for priority in Priority:
            self._metrics.count("budget_wait_seconds", account, priority.name.lower(), by=0)

    def _output_started(self, fact: facts.OutputStarted) -> None:
        # An output that was held before the restart is reported as held again by its first probe.
        self._metrics.set("output_held", 0, fact.output)
        self._metrics.set("output_next_attempt_timestamp_seconds", 0, fact.output)
        for name in ("events_sent", "events_rejected", "batches_retried", "revisions_skipped"):
            self._metrics.count(name, fact.output, by=0)
        for reason in _FILTERS:
            self._metrics.count("events_filtered", fact.output, reason, by=0)
        for reason in _REASONS:
            self._metrics.count("dead_letters", fact.output, reason, by=0)


def _labels(feed: Feed) -> tuple[str, str]:
    return feed.account, feed.search
