"""docs/reference/metrics.md: every metric, of ``connector.telemetry.metric_families``."""

from __future__ import annotations

from connector.telemetry.metric_families import COUNTERS, GAUGES, HISTOGRAMS, NAMESPACE, Family
from tools.reference.markdown import table

_HEAD = f"""\
# Metrics

Served at `/metrics` in Prometheus' text format. Every name begins with `{NAMESPACE}_`, which the tables leave out.
Label values come from the configuration and from small closed sets, never from mail. `account` is the account's id,
`search` and `output` are configured names, `sweep` is `live`, `revisit_5m` and the like, `audit` or `backfill`. Series
of what a reload removed are dropped. Alert rules over these: [operations](../operations.md).
"""


def page() -> str:
    """The page."""
    counters = [_row(one, f"{one.name}_total") for one in COUNTERS]
    gauges = [_row(one, one.name) for one in GAUGES]
    histograms = [
        (*_row(one, one.name), ", ".join(f"{limit:g}" for limit in buckets)) for one, buckets in HISTOGRAMS
    ]
    head = ("metric", "labels", "meaning")
    return (
        f"{_HEAD}\n## Counters\n\n{table(head, counters)}\n## Gauges\n\n{table(head, gauges)}\n## Histograms\n\n"
        f"Each has `_bucket`, `_sum` and `_count`.\n\n{table((*head, 'buckets'), histograms)}"
    )


def _row(family: Family, name: str) -> tuple[str, str, str]:
    return f"`{name}`", ", ".join(f"`{label}`" for label in family.labels) or "–", family.help
