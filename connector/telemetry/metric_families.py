"""Every metric of the connector: the only home of metric names.

All names begin with ``email_connector_``. Label values come from configuration and from small closed
sets, never from mail.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

NAMESPACE = "email_connector"
FEED = ("account", "search")
SWEEP = (*FEED, "sweep")

_LATENESS = (1, 10, 60, 300, 900, 1800, 3600, 4 * 3600, 24 * 3600, 7 * 24 * 3600)
_LATENCY = (0.005, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)


@dataclass(frozen=True, slots=True)
class Family:
    """One metric: its name without namespace and unit suffix rules already applied, help and labels."""

    name: str
    help: str
    labels: tuple[str, ...] = ()


COUNTERS: tuple[Family, ...] = (
    Family("requests", "Requests to the API by outcome.", ("account", "endpoint", "outcome")),
    Family("request_retries", "Requests that the source repeated by itself.", ("account", "endpoint")),
    Family("budget_wait_seconds", "Time that requests waited for the budget.", ("account", "priority")),
    Family("rate_limits", "Answers 429 of the API.", ("account",)),
    Family("deferred_searches", "Searches answered with 202, by how they ended.", ("account", "outcome")),
    Family("pages", "Pages read.", ("account",)),
    Family("pages_decoded_leniently", "Pages that only the tolerant decoder could read.", ("account",)),
    Family("records_without_id", "Records that got the hash of their content as id.", ("account",)),
    Family("searches_aborted", "Walks that could not reach their end, by reason.", ("account", "reason")),
    Family(
        "records_enriched",
        "Records asked for at further endpoints: enriched, incomplete, or failed.",
        ("account", "outcome"),
    ),
    Family("enrichment_disabled", "Times an endpoint of enrichment was given up.", ("account", "endpoint")),
    Family("records", "Records read: new, changed, completed, or repeated.", (*SWEEP, "outcome")),
    Family("records_outside_window", "Records whose scan time lies outside the window asked.", FEED),
    Family(
        "records_disappeared",
        "Seen records that left their search, by what became of them.",
        (*FEED, "outcome"),
    ),
    Family("slices", "Slices walked to their end.", SWEEP),
    Family("window_splits", "Slices cut in two because they could not be walked.", SWEEP),
    Family("collection_failures", "Walks that failed, by the kind of error.", (*SWEEP, "kind")),
    Family("collection_pauses", "Times collection waited for room in the journal.", FEED),
    Family("gaps", "Gaps recorded, by cause.", (*FEED, "cause")),
    Family("gap_seconds", "Time skipped by gaps.", FEED),
    Family("gap_repaired_seconds", "Time of gaps that was read after all.", FEED),
    Family("checkpoints_pulled_back", "Checkpoints found in the future.", SWEEP),
    Family("journal_revisions", "Revisions stored.", FEED),
    Family("journal_written_bytes", "Bytes of revisions stored, compressed.", FEED),
    Family("journal_trimmed_bytes", "Bytes deleted after every output was done with them.", ()),
    Family("journal_write_failures", "Times the database could not be written.", ("operation",)),
    Family("revisions_skipped", "Revisions an output lost to its backlog limit.", ("output",)),
    Family("revisions_rewound", "Revisions that an operator had sent again.", ("output",)),
    Family("feeds_forgotten", "Times that an operator had a feed start anew.", FEED),
    Family("dead_letters_replayed", "Dead letters an operator replayed.", ("output",)),
    Family("dead_letters_purged", "Dead letters an operator deleted.", ("output",)),
    Family("events_sent", "Events that the collector accepted.", ("output",)),
    Family("events_rejected", "Events that the collector rejected one by one.", ("output",)),
    Family("events_duplicate", "Events that the collector already had.", ("output",)),
    Family("events_filtered", "Revisions an output does not want, by reason.", ("output", "reason")),
    Family(
        "events_with_mapping_warnings", "Events that were shortened or had misfitting values.", ("output",)
    ),
    Family("sent_bytes", "Payload bytes accepted.", ("output",)),
    Family("batches_retried", "Sends that failed and were repeated.", ("output",)),
    Family("batches_split", "Refused batches that were sent again in parts.", ("output",)),
    Family("dead_letters", "Revisions that became dead letters, by reason.", ("output", "reason")),
    Family("events_resent", "Events sent again because their arrival was in doubt.", ("output",)),
    Family("heartbeats", "Heartbeats, by whether the collector took them.", ("output", "outcome")),
    Family("connections", "Connections opened.", ("output",)),
    Family("acknowledgements_downgraded", "Times an output had to trust a weaker answer.", ("output",)),
    Family("worker_failures", "Unexpected errors of a worker.", ("worker",)),
    Family("config_reloads", "Times that a new configuration was to be read.", ("outcome",)),
    Family("log_lines_suppressed", "Log lines left out because the same was said shortly before.", ()),
)

GAUGES: tuple[Family, ...] = (
    Family("build_info", "Always 1; the version is a label.", ("version", "sqlite")),
    Family("started_timestamp_seconds", "When the daemon started.", ()),
    Family("config_last_reload_successful", "0 when the configuration last read is wrong, else 1.", ()),
    Family("config_last_reload_success_timestamp_seconds", "When the present configuration was read.", ()),
    Family("loop_lag_seconds", "How late the main loop was at its last heartbeat.", ()),
    Family("budget_remaining_requests", "Requests left in the connector's own budget.", ("account",)),
    Family("quota_remaining_requests", "Requests left as the API tells.", ("account",)),
    Family("rate_limited_until_timestamp_seconds", "End of the last stop by 429.", ("account",)),
    Family("clock_skew_seconds", "The API's clock minus the local one.", ("account",)),
    Family("api_denied", "1 while the API refuses the account at an endpoint.", ("account", "endpoint")),
    Family("checkpoint_timestamp_seconds", "Checkpoint of each sweep.", SWEEP),
    Family("fresh_timestamp_seconds", "When the live sweep last reached the present.", FEED),
    Family("fresh_within_seconds", "How long after that the feed still counts as fresh.", FEED),
    Family("feed_failing_attempts", "Failed attempts in a row; 0 when the sweep works.", SWEEP),
    Family("output_held", "1 while the output waits for a person.", ("output",)),
    Family("output_newest_event_timestamp_seconds", "Time of the newest event delivered.", ("output",)),
    Family("output_success_timestamp_seconds", "When the collector last accepted events.", ("output",)),
    Family("output_backlog_revisions", "Revisions not yet delivered.", ("output",)),
    Family("output_backlog_bytes", "Bytes not yet delivered.", ("output",)),
    Family("output_backlog_ratio", "Share of the backlog limit in use, 0 to 1.", ("output",)),
    Family("output_backlog_oldest_timestamp_seconds", "When its oldest was collected.", ("output",)),
    Family("output_dead_letters", "Dead letters kept.", ("output",)),
    Family("journal_bytes", "Size of the journal.", ()),
    Family("journal_head", "Sequence number of the newest revision.", ()),
    Family("journal_seen_rows", "Rows of records seen.", FEED),
    Family("state_disk_free_bytes", "Bytes left on the file system of the state directory.", ()),
    Family("state_disk_size_bytes", "Size of the file system of the state directory.", ()),
)  # fmt: skip

HISTOGRAMS: tuple[tuple[Family, tuple[float, ...]], ...] = (
    (Family("request_seconds", "Duration of requests to the API.", ("account",)), _LATENCY),
    (Family("slice_seconds", "Duration of a slice's walk.", FEED), _LATENCY),
    (Family("lateness_min_seconds", "At least how late records became searchable.", FEED), _LATENESS),
    (Family("lateness_max_seconds", "At most how late records became searchable.", FEED), _LATENESS),
    (Family("commit_seconds", "Duration of a journal transaction of collection.", ()), _LATENCY),
    (Family("acknowledge_seconds", "Duration of a journal transaction of delivery.", ()), _LATENCY),
    (Family("send_seconds", "Duration of a send.", ("output",)), _LATENCY),
)


class Families:
    """All metrics, registered once in *registry*."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._counters = {
            f.name: Counter(f.name, f.help, f.labels, namespace=NAMESPACE, registry=registry)
            for f in COUNTERS
        }
        self._gauges = {
            f.name: Gauge(f.name, f.help, f.labels, namespace=NAMESPACE, registry=registry) for f in GAUGES
        }
        self._histograms = {
            f.name: Histogram(
                f.name, f.help, f.labels, namespace=NAMESPACE, registry=registry, buckets=buckets
            )
            for f, buckets in HISTOGRAMS
        }
        made: Mapping[str, Counter | Gauge | Histogram] = {
            **self._counters,
            **self._gauges,
            **self._histograms,
        }
        families = (*COUNTERS, *GAUGES, *(f for f, _ in HISTOGRAMS))
        self._labelled = [(made[f.name], frozenset(f.labels)) for f in families]

    def count(self, name: str, *labels: str, by: float = 1) -> None:
        """Add *by* to a counter; creates the series even for 0."""
        counter = self._counters[name]
        (counter.labels(*labels) if labels else counter).inc(by)

    def set(self, name: str, value: float, *labels: str) -> None:
        """Set a gauge."""
        gauge = self._gauges[name]
        (gauge.labels(*labels) if labels else gauge).set(value)

    def forget(self, **labels: str) -> None:
        """Drop every series that has these label values: a gauge of what is gone would never move again."""
        for metric, names in self._labelled:
            if labels.keys() <= names:
                metric.remove_by_labels(labels)

    def time(self, name: str, seconds: float, *labels: str) -> None:
        """Add an observation to a histogram."""
        histogram = self._histograms[name]
        (histogram.labels(*labels) if labels else histogram).observe(seconds)
