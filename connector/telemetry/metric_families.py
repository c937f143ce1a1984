"""Every metric of the connector, with its public name, help text and labels.

All names begin with ``email_connector_``. Label values come from the configuration and from small fixed sets,
never from messages.
"""

from __future__ import annotations

from collections.abc import Mapping

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from connector.values import dataclass

NAMESPACE = "email_connector"
FEED = ("account", "search")
SWEEP = (*FEED, "sweep")

# Bucket bounds in seconds, from a second to a week.
_LATENESS = (1, 10, 60, 300, 900, 1800, 3600, 4 * 3600, 24 * 3600, 7 * 24 * 3600)
# Bucket bounds in seconds, from a fast answer to an approval of the next day.
_ACTIONS = (0.1, 0.5, 1, 2, 5, 10, 30, 60, 300, 1800, 3600, 24 * 3600)
# Bucket bounds in seconds, from a loopback round trip to a minute.
_LATENCY = (0.005, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)


@dataclass(frozen=True, slots=True)
class Family:
    """One metric. *name* lacks the namespace and, for counters, the suffix `_total`."""

    name: str
    help: str
    labels: tuple[str, ...] = ()


COUNTERS: tuple[Family, ...] = (
    Family("requests", "API requests, by outcome.", ("account", "endpoint", "outcome")),
    Family("request_retries", "API requests retried without failing the search.", ("account", "endpoint")),
    Family("budget_wait_seconds", "Time requests spent waiting for the budget.", ("account", "priority")),
    Family("rate_limits", "429 responses from the API.", ("account",)),
    Family("retry_after_capped", "Waits the API asked for that were longer than accepted.", ("account",)),
    Family("deferred_searches", "Searches the API deferred (202), by outcome.", ("account", "outcome")),
    Family("pages", "Search pages read.", ("account",)),
    Family("pages_decoded_leniently", "Pages of invalid JSON read by the lenient decoder.", ("account",)),
    Family("records_without_id", "Records without an id, identified by their content.", ("account",)),
    Family("searches_aborted", "Searches that stopped before their last page.", ("account", "reason")),
    Family("records_enriched", "Records for which details were requested.", ("account", "outcome")),
    Family("enrichment_disabled", "Pages for which a failing endpoint was skipped.", ("account", "endpoint")),
    Family("records", "Records read, by outcome.", (*SWEEP, "outcome")),
    Family("records_outside_window", "Records with a scan time outside the requested window.", FEED),
    Family("record_ids_reused", "Messages returned under the id of another message.", FEED),
    Family("records_quarantined", "Items that cannot become a record, by reason.", (*FEED, "reason")),
    Family("records_disappeared", "Records missing from their search, by outcome.", (*FEED, "outcome")),
    Family("slices", "Slices completed.", SWEEP),
    Family("window_splits", "Windows the API could not search, split in two.", SWEEP),
    Family("collection_failures", "Failed searches, by kind of error.", (*SWEEP, "kind")),
    Family("collection_pauses", "Times collection paused because the journal had no room.", FEED),
    Family("gaps", "Gaps recorded, by cause.", (*FEED, "cause")),
    Family("gap_seconds", "Length of recorded gaps.", FEED),
    Family("gap_repaired_seconds", "Length of gaps collected later.", FEED),
    Family("checkpoints_pulled_back", "Checkpoints in the future, reset to the present.", SWEEP),
    Family("journal_revisions", "Revisions stored.", FEED),
    Family("journal_written_bytes", "Compressed size of the revisions stored.", FEED),
    Family("journal_trimmed_bytes", "Size of delivered entries deleted from the journal.", ()),
    Family("journal_write_failures", "Failed writes to the journal.", ("operation",)),
    Family("leases_lost", "Leases that this replica could not renew in time.", ("lease",)),
    Family("journal_server_changes", "Failovers and restores of the journal's database that were noticed."),
    Family("revisions_skipped", "Revisions lost to the backlog limit (`when_full: skip`).", ("output",)),
    Family("revisions_rewound", "Revisions an operator queued again with `state rewind`.", ("output",)),
    Family("feeds_forgotten", "Feeds an operator reset with `state forget`.", FEED),
    Family("quarantined_replayed", "Quarantined items an operator made records of.", FEED),
    Family("quarantined_purged", "Quarantined items an operator deleted.", FEED),
    Family("dead_letters_replayed", "Dead letters an operator replayed.", ("output",)),
    Family("dead_letters_purged", "Dead letters an operator deleted.", ("output",)),
    Family("events_sent", "Events the collector accepted.", ("output",)),
    Family("events_rejected", "Events the collector rejected individually.", ("output",)),
    Family(
        "events_rejected_unnamed",
        "Events the collector rejected without saying which of their batch.",
        ("output",),
    ),
    Family("events_duplicate", "Events the collector already had.", ("output",)),
    Family("events_filtered", "Events not sent because of the output's settings.", ("output", "reason")),
    Family("events_with_mapping_warnings", "Events shortened or with values left out.", ("output",)),
    Family("sent_bytes", "Payload bytes accepted.", ("output",)),
    Family("batches_retried", "Batches that failed and were retried.", ("output",)),
    Family(
        "output_retry_after_capped",
        "Waits a collector asked for that were longer than accepted.",
        ("output",),
    ),
    Family("batches_split", "Batches refused and sent again in parts.", ("output",)),
    Family("dead_letters", "Events that became dead letters.", ("output", "reason")),
    Family("events_resent", "Unconfirmed events sent again after a broken connection.", ("output",)),
    Family(
        "resends_abandoned",
        "Unconfirmed events given up because each resend broke the connection.",
        ("output",),
    ),
    Family(
        "events_diverted",
        "Events that the collector put into a failure store.",
        ("output",),
    ),
    Family(
        "digests",
        "Digests of throttled events, by whether they were accepted.",
        ("output", "outcome"),
    ),
    Family("heartbeats", "Heartbeats, by whether the collector accepted them.", ("output", "outcome")),
    Family("connections", "Connections opened.", ("output",)),
    Family("acknowledgements_downgraded", "Fallbacks to a weaker acknowledgement.", ("output",)),
    Family("worker_failures", "Unexpected errors that restarted a worker.", ("worker",)),
    Family("actions", "Response actions, by state entered.", ("account", "action", "state", "caller")),
    Family("action_requests", "API requests of actions, by outcome.", ("account", "action", "outcome")),
    Family("action_lookups", "Times that unknown outcomes of actions were looked up.", ("account", "action")),
    Family("actions_postponed", "Times that an action could not go on.", ("account", "action")),
    Family("calls_refused", "Calls to the API of actions that were refused.", ("caller", "status")),
    Family("config_reloads", "Configuration reloads.", ("outcome",)),
    Family("endpoint_connections_dropped", "Connections to this endpoint closed early.", ("reason",)),
    Family("log_lines_suppressed", "Log lines left out by rate limiting.", ()),
    Family("log_lines_dropped", "Log lines dropped because the log's reader did not read.", ()),
)

GAUGES: tuple[Family, ...] = (
    Family("replicas", "Live replicas that share the journal; 0 where it is not shared."),
    Family("lease_held", "1 if this replica holds the lease, 0 if not.", ("lease",)),
    Family("lease_free", "1 if no live replica holds the lease.", ("lease",)),
    Family("lease_age_seconds", "Time since its holder took the lease.", ("lease",)),
    Family("journal_unreachable", "1 while the journal's database server cannot be reached."),
    Family("build_info", "Always 1; the labels are the versions.", ("version", "sqlite")),
    Family("started_timestamp_seconds", "When the daemon started.", ()),
    Family("config_last_reload_successful", "1 if the last reload succeeded, 0 if not.", ()),
    Family("config_last_reload_success_timestamp_seconds", "When the current configuration was loaded.", ()),
    Family("loop_lag_seconds", "Last measured delay of the main loop.", ()),
    Family("account_info", "Always 1; the labels are the id and the configured name.", ("account", "name")),
    Family("budget_remaining_requests", "Requests left in the connector's own budget.", ("account",)),
    Family("quota_remaining_requests", "Remaining quota reported by the API.", ("account",)),
    Family("rate_limited_until_timestamp_seconds", "When the last rate limit ends.", ("account",)),
    Family("clock_skew_seconds", "The API's clock minus the local clock.", ("account",)),
    Family("api_denied", "1 while the API refuses the credentials.", ("account", "endpoint")),
    Family("checkpoint_timestamp_seconds", "Checkpoint of each sweep.", SWEEP),
    Family("fresh_timestamp_seconds", "When the live sweep last reached the present.", FEED),
    Family("fresh_within_seconds", "How long the feed counts as fresh after that.", FEED),
    Family("feed_failing_attempts", "Failed attempts in a row, 0 when the sweep works.", SWEEP),
    Family("feed_next_attempt_timestamp_seconds", "When a failing sweep is retried, 0 when it works.", SWEEP),
    Family("output_next_attempt_timestamp_seconds", "When a failing output is retried, else 0.", ("output",)),
    Family("output_held", "1 while the output is held.", ("output",)),
    Family("output_newest_event_timestamp_seconds", "Time of the newest event delivered.", ("output",)),
    Family("output_success_timestamp_seconds", "When the collector last accepted events.", ("output",)),
    Family("output_backlog_revisions", "Revisions waiting for delivery.", ("output",)),
    Family("output_backlog_bytes", "Size of the revisions waiting for delivery.", ("output",)),
    Family("output_backlog_ratio", "Share of the backlog limit in use, 0 to 1.", ("output",)),
    Family(
        "output_backlog_oldest_timestamp_seconds",
        "When the oldest revision waiting for delivery was collected, 0 if none waits.",
        ("output",),
    ),
    Family("output_dead_letters", "Dead letters stored.", ("output",)),
    Family("journal_bytes", "Size of the journal.", ()),
    Family("journal_head", "Sequence number of the newest revision.", ()),
    Family("journal_seen_rows", "Records the journal remembers as seen.", FEED),
    Family("actions_awaiting_approval", "Response actions that somebody has to approve.", ()),
    Family("actions_unknown", "Response actions whose outcome is not known yet.", ()),
    Family("actions_open", "Other response actions that have not ended.", ()),
    Family("state_disk_free_bytes", "Free space on the state directory's file system.", ()),
    Family("state_disk_size_bytes", "Size of the state directory's file system.", ()),
)

HISTOGRAMS: tuple[tuple[Family, tuple[float, ...]], ...] = (
    (Family("request_seconds", "Duration of API requests.", ("account",)), _LATENCY),
    (Family("slice_seconds", "Time to collect a slice.", FEED), _LATENCY),
    (Family("lateness_min_seconds", "Minimum delay until a late record was searchable.", FEED), _LATENESS),
    (Family("lateness_max_seconds", "Maximum delay until a late record was searchable.", FEED), _LATENESS),
    (Family("commit_seconds", "Duration of journal transactions of collection.", ()), _LATENCY),
    (Family("acknowledge_seconds", "Duration of journal transactions of delivery.", ()), _LATENCY),
    (Family("action_seconds", "Time from the request of an action to its end.", ("action",)), _ACTIONS),
    (Family("send_seconds", "Time until the collector answered a batch.", ("output",)), _LATENCY),
)


class Families:
    """All metrics, registered once in *registry*."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._counters = {
            counter.name: Counter(
                counter.name, counter.help, counter.labels, namespace=NAMESPACE, registry=registry
            )
            for counter in COUNTERS
        }
        self._gauges = {
            gauge.name: Gauge(gauge.name, gauge.help, gauge.labels, namespace=NAMESPACE, registry=registry)
            for gauge in GAUGES
        }
        self._histograms = {
            histogram.name: Histogram(
                histogram.name,
                histogram.help,
                histogram.labels,
                namespace=NAMESPACE,
                registry=registry,
                buckets=buckets,
            )
            for histogram, buckets in HISTOGRAMS
        }
        metrics: Mapping[str, Counter | Gauge | Histogram] = {
            **self._counters,
            **self._gauges,
            **self._histograms,
        }
        families = (*COUNTERS, *GAUGES, *(family for family, _ in HISTOGRAMS))
        self._labelled = [(metrics[family.name], frozenset(family.labels)) for family in families]

    def count(self, name: str, *labels: str, by: float = 1) -> None:
        """Add *by* to a counter; 0 creates the series."""
        counter = self._counters[name]
        (counter.labels(*labels) if labels else counter).inc(by)

    def set(self, name: str, value: float, *labels: str) -> None:
        """Set a gauge."""
        gauge = self._gauges[name]
        (gauge.labels(*labels) if labels else gauge).set(value)

    def forget_family(self, name: str, **labels: str) -> None:
        """Drop the series of the gauge *name* with these label values."""
        self._gauges[name].remove_by_labels(labels)

    def forget(self, **labels: str) -> None:
        """Drop every series with these label values, so that gauges of removed items do not stay forever."""
        for metric, names in self._labelled:
            if labels.keys() <= names:
                metric.remove_by_labels(labels)

    def time(self, name: str, seconds: float, *labels: str) -> None:
        """Add an observation to a histogram."""
        histogram = self._histograms[name]
        (histogram.labels(*labels) if labels else histogram).observe(seconds)
