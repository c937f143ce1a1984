"""docs/reference/metrics.md, generated from ``connector.telemetry.metric_families``."""

from __future__ import annotations

from connector.telemetry.metric_families import COUNTERS, GAUGES, HISTOGRAMS, NAMESPACE, Family
from tools.reference.markdown import table

_HEAD = f"""\
# Metrics

Served at `/metrics` in the Prometheus text format, compressed with gzip on request. Every name starts with
`{NAMESPACE}_`, which the tables leave out. The usual `process_*` metrics (memory, CPU, descriptors) are there, too.

Labels: `account` is the account's id (`account_info` maps it to the configured name), `search` and `output` are
configured names, `sweep` is `live`, `revisit_5m` and the like, `audit` or `backfill`. The other labels have few, fixed
values; no label holds text of a message. Series of removed feeds and outputs disappear with a reload. Alert rules:
[operations](../operations.md).
"""


def page() -> str:
    """The page."""
    counters = [_row(family, f"{family.name}_total") for family in COUNTERS]
    gauges = [_row(family, family.name) for family in GAUGES]
    histograms = [
        (*_row(family, family.name), ", ".join(f"{limit:g}" for limit in buckets))
        for family, buckets in HISTOGRAMS
    ]
    head = ("metric", "labels", "meaning")
    return (
        f"{_HEAD}\n## Counters\n\n{table(head, counters)}\n## Gauges\n\n{table(head, gauges)}\n## Histograms\n\n"
        f"Each has `_bucket`, `_sum` and `_count`.\n\n{table((*head, 'buckets'), histograms)}"
    )


def _row(family: Family, name: str) -> tuple[str, str, str]:
    return f"`{name}`", ", ".join(f"`{label}`" for label in family.labels) or "–", family.help
