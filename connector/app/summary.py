"""Sums up the time between two status snapshots: what was collected, sent and filtered, and what waits."""

from __future__ import annotations

from collections.abc import Sequence

from connector.facts import ActivitySummary
from connector.model import JsonObject
from connector.quantities import count_of

_MOST_OUTPUTS = 20
"""Outputs in one line, those in trouble first; the status page has the rest."""


def summarize(before: JsonObject, now: JsonObject, seconds: float) -> ActivitySummary:
    """The difference of two snapshots of ``Status`` that are *seconds* apart."""
    feeds, outputs = now["feeds"], now["outputs"]
    fresh = sum(feed["state"] == "fresh" for feed in feeds)
    former = {output["output"]: output for output in before["outputs"]}
    in_trouble_first = sorted(outputs, key=lambda output: output["state"] == "working")
    shown = [_output(former.get(output["output"], {}), output) for output in in_trouble_first[:_MOST_OUTPUTS]]
    if len(outputs) > _MOST_OUTPUTS:
        shown.append(f"and {count_of(len(outputs) - _MOST_OUTPUTS, 'more output')}")
    return ActivitySummary(
        seconds,
        now["ready"],
        f"{fresh} of {len(feeds)}",
        _grown(before["feeds"], feeds, "records"),
        _grown(before["feeds"], feeds, "changes"),
        tuple(shown),
    )


def _grown(before: Sequence[JsonObject], now: Sequence[JsonObject], counter: str) -> int:
    former = {(feed["account"], feed["search"]): int(feed[counter]) for feed in before}
    return sum(int(feed[counter]) - former.get((feed["account"], feed["search"]), 0) for feed in now)


def _output(before: JsonObject, now: JsonObject) -> str:
    parts = [f"sent {now['sent'] - before.get('sent', 0)}"]
    if filtered := now["filtered"] - before.get("filtered", 0):
        parts.append(f"filtered {filtered}")
    if now["backlog"] is not None:
        parts.append(f"backlog {now['backlog']}")
    if now["dead_letters"]:
        parts.append(count_of(now["dead_letters"], "dead letter"))
    if now["state"] != "working":
        parts.append(now["state"])
    return f"{now['output']}: {', '.join(parts)}"
