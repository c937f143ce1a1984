"""Records collected and events delivered during the last hour, for the plots of the status page."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise

from connector.model import JsonObject

STEP = 30
"""Seconds per value."""

_KEPT = 120
"""Values kept: one hour."""


class Trend:
    """Keeps totals from snapshots of the status; for the main loop only."""

    def __init__(self) -> None:
        self._totals: dict[tuple[str, ...], list[int]] = {}
        self._bin: int | None = None

    def take(self, status: JsonObject, seconds: float) -> JsonObject:
        """Add *status* at *seconds* (monotonic); return the values of the last hour, oldest first.

        ``records`` and ``events`` count per step, ``backlog`` is what waited at the end of a step. The last
        value of each is of the current step.
        """
        present = int(seconds // STEP)
        steps = 1 if self._bin is None else min(present - self._bin, _KEPT)
        self._bin = present
        now = dict(_totals(status))
        self._totals = {key: _extended(self._totals.get(key), now[key], steps) for key in now}
        feeds = [
            {
                **_named(feed, "account", "search"),
                "records": self._counted("feed", feed["account"], feed["search"]),
            }
            for feed in status.get("feeds", ())
        ]
        outputs = [
            {
                **_named(output, "output"),
                "events": self._counted("sent", output["output"]),
                "backlog": self._totals["backlog", output["output"]][1:],
            }
            for output in status.get("outputs", ())
        ]
        return {"step_seconds": STEP, "feeds": feeds, "outputs": outputs}

    def _counted(self, *key: str) -> list[int]:
        totals = self._totals[key]
        return [after - before for before, after in pairwise(totals)]


def _totals(status: JsonObject) -> Iterator[tuple[tuple[str, ...], int]]:
    for feed in status.get("feeds", ()):
        yield ("feed", feed["account"], feed["search"]), feed["records"] + feed["changes"]
    for output in status.get("outputs", ()):
        yield ("sent", output["output"]), output["sent"]
        yield ("backlog", output["output"]), output["backlog"] or 0


def _extended(totals: Sequence[int] | None, now: int, steps: int) -> list[int]:
    """*totals* extended by *steps* steps, of which the last has the total *now*.

    The first value is the total before the oldest step. A step without a snapshot repeats the previous total.
    """
    if totals is None:
        return [now, now]
    if not steps:
        return [*totals[:-1], now]
    return [*totals, *[totals[-1]] * (steps - 1), now][-(_KEPT + 1) :]


def _named(item: JsonObject, *keys: str) -> JsonObject:
    return {key: item[key] for key in keys}
