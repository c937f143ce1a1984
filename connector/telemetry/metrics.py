"""Facts to metrics: one small method per fact that counts."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from prometheus_client import CollectorRegistry, disable_created_metrics, generate_latest

from connector import facts as f
from connector.model import Backlog, Feed, Outline, Priority
from connector.telemetry.metric_families import Families

LIVE = "live"
_DENIED = {"denied": 1, "ok": 0, "deferred": 0}
"""What an outcome says of the credentials; others say nothing of them."""

_REASONS = ("refused", "rejected", "mapping", "too_large", "bug")
"""Of dead letters (``model.DeadLetter``)."""


class Metrics:
    """The process's metrics; ``take`` on the main loop, ``exposition`` from any thread."""

    def __init__(self, version: str, sqlite: str) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]  # they would double the series and tell nothing that rate() needs
        self._registry = CollectorRegistry()
        self._m = Families(self._registry)
        self._m.set("build_info", 1, version, sqlite)
        self._m.set("started_timestamp_seconds", time.time())
        for outcome in ("success", "failure"):
            self._m.count("config_reloads", outcome, by=0)
        self._config_is_good()
        self._takers: Mapping[type, Callable[[Any], None]] = {
            **self._of_source(),
            **self._of_collection(),
            **self._of_journal(),
            **self._of_delivery(),
            f.WorkerFailed: lambda x: self._m.count("worker_failures", x.worker),
            f.LoopLagMeasured: lambda x: self._m.set("loop_lag_seconds", x.lag),
            f.ConfigurationReloaded: self._reloaded,
            f.ConfigurationRefused: self._refused,
        }

    def take(self, fact: f.Fact) -> None:
        """Count *fact*; facts that no metric shows are fine."""
        taker = self._takers.get(type(fact))
        if taker is not None:
            taker(fact)

    def suppressed(self, lines: int) -> None:
        """Count log lines that were left out."""
        self._m.count("log_lines_suppressed", by=lines)

    def outline(self, outline: Outline, limits: Mapping[str, Backlog]) -> None:
        """Show the journal's sizes."""
        self._m.set("journal_bytes", outline.bytes)
        self._m.set("journal_head", outline.head)
        for feed in outline.feeds:
            self._m.set("journal_seen_rows", feed.seen, *_labels(feed.feed))
            for sweep, checkpoint in feed.checkpoints.items():
                self._m.set(
                    "checkpoint_timestamp_seconds", checkpoint.timestamp(), *_labels(feed.feed), sweep
                )
        for output in outline.outputs:
            if not output.attached:
                continue
            name = output.output
            self._m.set("output_backlog_revisions", output.backlog, name)
            self._m.set("output_backlog_bytes", output.backlog_bytes, name)
            self._m.set("output_dead_letters", output.dead_letters, name)
            oldest = output.oldest.timestamp() if output.oldest else 0.0
            self._m.set("output_backlog_oldest_timestamp_seconds", oldest, name)
            limit = limits.get(name)
            if limit and limit.max_bytes:
                self._m.set("output_backlog_ratio", output.counted_bytes / limit.max_bytes, name)

    def forget(self, *, feeds: Iterable[Feed], outputs: Iterable[str], accounts: Iterable[str]) -> None:
        """Drop the series of what is no longer configured."""
        for feed in feeds:
            self._m.forget(account=feed.account, search=feed.search)
        for output in outputs:
            self._m.forget(output=output)
        for account in accounts:
            self._m.forget(account=account)

    def renew_sweep(self, feed: Feed, sweep: str) -> None:
        """A sweep is built anew, or is no more: it fails no longer, until it says so again."""
        self._m.set("feed_failing_attempts", 0, *_labels(feed), sweep)

    def renew(self, output: str) -> None:
        """An output is built anew: it holds no more, until it says so again."""
        self._m.set("output_held", 0, output)

    def exposition(self) -> bytes:
        """The metrics in Prometheus' text format."""
        return generate_latest(self._registry)

    def _of_source(self) -> dict[type, Callable[[Any], None]]:
        m = self._m
        return {
            f.RequestAnswered: self._request_answered,
            f.RequestRetried: lambda x: m.count("request_retries", x.account, x.endpoint),
            f.BudgetWaited: lambda x: m.count("budget_wait_seconds", x.account, x.priority, by=x.seconds),
            f.BudgetRemaining: self._budget_left,
            f.RateLimited: self._rate_limited,
            f.SearchDeferred: lambda x: m.count("deferred_searches", x.account, x.outcome),
            f.PageDecoded: self._page_decoded,
            f.SearchAborted: lambda x: m.count("searches_aborted", x.account, x.reason),
            f.ClockSkewed: lambda x: m.set("clock_skew_seconds", x.seconds, x.account),
            f.RecordsEnriched: self._records_enriched,
            f.EnrichmentDisabled: lambda x: m.count("enrichment_disabled", x.account, x.endpoint),
        }

    def _of_collection(self) -> dict[type, Callable[[Any], None]]:
        m = self._m
        return {
            f.FeedStarted: self._feed_begun,
            f.PageCollected: self._page_collected,
            f.SliceCollected: self._slice_collected,
            f.WindowSplit: lambda x: m.count("window_splits", *_labels(x.feed), x.sweep),
            f.RecordLate: self._record_late,
            f.RecordDisappeared: lambda x: m.count("records_disappeared", *_labels(x.feed), x.outcome),
            f.CollectionFailed: self._collection_failed,
            f.CollectionRecovered: lambda x: m.set("feed_failing_attempts", 0, *_labels(x.feed), x.sweep),
            f.CollectionPaused: lambda x: m.count("collection_pauses", *_labels(x.feed)),
            f.FeedCaughtUp: lambda x: m.set("fresh_timestamp_seconds", time.time(), *_labels(x.feed)),
            f.GapRecorded: self._gap_recorded,
            f.GapRepaired: self._gap_repaired,
            f.CheckpointPulledBack: lambda x: m.count("checkpoints_pulled_back", *_labels(x.feed), x.sweep),
        }

    def _of_journal(self) -> dict[type, Callable[[Any], None]]:
        m = self._m
        return {
            f.JournalCommitted: self._journal_committed,
            f.StateDiskMeasured: self._state_disk,
            f.JournalAcknowledged: lambda x: m.time("acknowledge_seconds", x.seconds),
            f.JournalTrimmed: lambda x: m.count("journal_trimmed_bytes", by=x.bytes),
            f.JournalWriteFailed: lambda x: m.count("journal_write_failures", x.operation),
            f.BacklogSkipped: lambda x: m.count("revisions_skipped", x.output, by=x.revisions),
            f.OutputRewound: lambda x: m.count("revisions_rewound", x.output, by=x.revisions),
            f.FeedForgotten: lambda x: m.count("feeds_forgotten", *_labels(x.feed)),
            f.DeadLettersReplayed: lambda x: m.count("dead_letters_replayed", x.output, by=x.count),
            f.DeadLettersPurged: lambda x: m.count("dead_letters_purged", x.output, by=x.count),
        }

    def _of_delivery(self) -> dict[type, Callable[[Any], None]]:
        m = self._m
        return {
            f.OutputStarted: self._output_begun,
            f.BatchSent: self._batch_sent,
            f.BatchRetried: lambda x: m.count("batches_retried", x.output),
            f.BatchSplit: lambda x: m.count("batches_split", x.output),
            f.EventsFiltered: lambda x: m.count("events_filtered", x.output, x.reason, by=x.count),
            f.MappingWarnings: lambda x: m.count("events_with_mapping_warnings", x.output, by=x.count),
            f.EventDeadLettered: lambda x: m.count("dead_letters", x.output, x.reason),
            f.OutputHeld: lambda x: m.set("output_held", 1, x.output),
            f.OutputReleased: lambda x: m.set("output_held", 0, x.output),
            f.HeartbeatSent: lambda x: m.count("heartbeats", x.output, "sent"),
            f.HeartbeatRefused: lambda x: m.count("heartbeats", x.output, "refused"),
            f.EventsResent: lambda x: m.count("events_resent", x.output, by=x.count),
            f.OutputConnected: lambda x: m.count("connections", x.output),
            f.AcknowledgementDowngraded: lambda x: m.count("acknowledgements_downgraded", x.output),
        }

    def _config_is_good(self) -> None:
        self._m.set("config_last_reload_successful", 1)
        self._m.set("config_last_reload_success_timestamp_seconds", time.time())

    def _reloaded(self, _: f.ConfigurationReloaded) -> None:
        self._m.count("config_reloads", "success")
        self._config_is_good()

    def _refused(self, _: f.ConfigurationRefused) -> None:
        self._m.count("config_reloads", "failure")
        self._m.set("config_last_reload_successful", 0)

    def _request_answered(self, fact: f.RequestAnswered) -> None:
        self._m.count("requests", fact.account, fact.endpoint, fact.outcome)
        self._m.time("request_seconds", fact.seconds, fact.account)
        if fact.outcome in _DENIED:
            self._m.set("api_denied", _DENIED[fact.outcome], fact.account, fact.endpoint)

    def _budget_left(self, fact: f.BudgetRemaining) -> None:
        self._m.set("budget_remaining_requests", fact.own, fact.account)
        if fact.remote is not None:
            self._m.set("quota_remaining_requests", fact.remote, fact.account)

    def _rate_limited(self, fact: f.RateLimited) -> None:
        self._m.count("rate_limits", fact.account)
        self._m.set("rate_limited_until_timestamp_seconds", fact.until.timestamp(), fact.account)

    def _page_decoded(self, fact: f.PageDecoded) -> None:
        self._m.count("pages", fact.account)
        self._m.count("pages_decoded_leniently", fact.account, by=int(fact.tolerant))
        self._m.count("records_without_id", fact.account, by=fact.without_id)

    def _records_enriched(self, fact: f.RecordsEnriched) -> None:
        for outcome in ("enriched", "incomplete", "failed"):
            self._m.count("records_enriched", fact.account, outcome, by=getattr(fact, outcome))

    def _feed_begun(self, fact: f.FeedStarted) -> None:
        """Begin the series that alerts watch at 0: a counter that appears with its first 1 hides it."""
        account, labels = fact.feed.account, _labels(fact.feed)
        self._m.set("fresh_within_seconds", fact.fresh_within, *labels)
        self._m.set("feed_failing_attempts", 0, *labels, LIVE)
        self._m.count("records", *labels, LIVE, "new", by=0)
        self._m.count("slices", *labels, LIVE, by=0)
        for name in ("records_outside_window", "gap_seconds", "collection_pauses"):
            self._m.count(name, *labels, by=0)
        self._m.count("rate_limits", account, by=0)
        for priority in Priority:
            self._m.count("budget_wait_seconds", account, priority.name.lower(), by=0)

    def _output_begun(self, fact: f.OutputStarted) -> None:
        """As for a feed. What it held for is known only once it was tried again."""
        self._m.set("output_held", 0, fact.output)
        for name in ("events_sent", "events_rejected", "batches_retried", "revisions_skipped"):
            self._m.count(name, fact.output, by=0)
        for reason in _REASONS:
            self._m.count("dead_letters", fact.output, reason, by=0)

    def _state_disk(self, fact: f.StateDiskMeasured) -> None:
        self._m.set("state_disk_free_bytes", fact.free)
        self._m.set("state_disk_size_bytes", fact.size)

    def _page_collected(self, fact: f.PageCollected) -> None:
        labels = (*_labels(fact.feed), fact.sweep)
        self._m.count("records", *labels, "new", by=fact.new)
        self._m.count("records", *labels, "changed", by=fact.changed)
        self._m.count("records", *labels, "completed", by=fact.completed)
        self._m.count("records", *labels, "repeated", by=fact.repeated)
        self._m.count("records_outside_window", *_labels(fact.feed), by=fact.outside)

    def _slice_collected(self, fact: f.SliceCollected) -> None:
        self._m.count("slices", *_labels(fact.feed), fact.sweep)
        self._m.time("slice_seconds", fact.seconds, *_labels(fact.feed))
        self._m.set("checkpoint_timestamp_seconds", fact.until.timestamp(), *_labels(fact.feed), fact.sweep)
        self._m.set("feed_failing_attempts", 0, *_labels(fact.feed), fact.sweep)

    def _collection_failed(self, fact: f.CollectionFailed) -> None:
        self._m.count("collection_failures", *_labels(fact.feed), fact.sweep, fact.kind)
        self._m.set("feed_failing_attempts", fact.attempt, *_labels(fact.feed), fact.sweep)

    def _record_late(self, fact: f.RecordLate) -> None:
        self._m.time("lateness_min_seconds", fact.least, *_labels(fact.feed))
        self._m.time("lateness_max_seconds", fact.most, *_labels(fact.feed))

    def _gap_repaired(self, fact: f.GapRepaired) -> None:
        self._m.count("gap_repaired_seconds", *_labels(fact.feed), by=fact.gap.window.length.total_seconds())

    def _gap_recorded(self, fact: f.GapRecorded) -> None:
        self._m.count("gaps", *_labels(fact.feed), fact.gap.cause)
        self._m.count("gap_seconds", *_labels(fact.feed), by=fact.gap.window.length.total_seconds())

    def _journal_committed(self, fact: f.JournalCommitted) -> None:
        self._m.count("journal_revisions", *_labels(fact.feed), by=fact.revisions)
        self._m.count("journal_written_bytes", *_labels(fact.feed), by=fact.bytes)
        self._m.time("commit_seconds", fact.seconds)

    def _batch_sent(self, fact: f.BatchSent) -> None:
        self._m.count("events_sent", fact.output, by=fact.accepted)
        self._m.count("events_rejected", fact.output, by=fact.rejected)
        self._m.count("events_duplicate", fact.output, by=fact.duplicates)
        self._m.count("sent_bytes", fact.output, by=fact.bytes)
        self._m.time("send_seconds", fact.seconds, fact.output)
        self._m.set("output_success_timestamp_seconds", time.time(), fact.output)
        if fact.newest is not None:
            self._m.set("output_newest_event_timestamp_seconds", fact.newest.timestamp(), fact.output)


def _labels(feed: Feed) -> tuple[str, str]:
    return feed.account, feed.search
