"""End to end: a static API, the connector and a fast collector, a process each; CPU of the connector's.

The number of records is no multiple of the page size, no address repeats, and searches have their default
``revisit``. Ratios are to a floor of its own: the same mail in a process with the daemon's allocator
settings.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.benchmarks.figures import Budget, Report, at_least, at_most
from tests.benchmarks.journals import fill
from tests.benchmarks.processes import (
    all_took,
    api,
    collectors,
    connector,
    floor,
    outputs,
    peak,
    plain_feed,
    static_api,
    wait_for,
)
from tests.support.process import ROOT

TOKEN = "benchmark"
_PATIENCE = 300.0
_FLOORS = at_least(0.111)
"""End to end, one HTTP output: a record costs at most nine floors."""

_AGAIN = 20.0
"""Microseconds at most for a record that is read again and found unchanged."""


@dataclass(frozen=True)
class Run:
    """What it took to bring every record to every output, and to read all of them again."""

    microseconds: float
    again: float
    seconds: float
    peak: float


def ends(report: Report, records: int, rounds: int, kinds: Mapping[str, str]) -> None:
    """Each output alone, then two and four together; *kinds* by name, as ``collector`` takes them."""
    for era in ("current", "sunset"):
        report.floor = floor(era=era)
        report.add("end to end", f"floor, fields of the era {era}", report.floor, "µs/record")
        with static_api(records, era=era) as url:
            for name, kind in kinds.items():
                first = kind == "http"
                if era != "current" and not first:
                    continue
                run = _best(url, records, {"siem": kind}, rounds if first else 1, again=first)
                report.cost("end to end", f"{name}, {era}", run.microseconds, _FLOORS if first else None)
                report.add("end to end", f"{name}, {era}, most memory", run.peak, "MiB", budget=at_most(120))
                if first:
                    report.add(
                        "end to end", f"{name}, {era}, by the clock", records / run.seconds, "records/s"
                    )
                    report.add(
                        "end to end", f"read again and unchanged, {era}", run.again, "µs/record",
                        ratio=report.floor / run.again, budget=at_most(_AGAIN),
                    )  # fmt: skip
    with static_api(records) as url:
        report.floor = floor()
        one = _best(url, records, {"siem": "hec"}, 1).microseconds
        for count in (2, 4) if rounds > 1 else (2,):
            many = {f"siem_{number}": "hec" for number in range(count)}
            run = _best(url, records, many, 1)
            report.cost("end to end", f"{count} Splunk outputs", run.microseconds)
            each = (run.microseconds - one) / (count - 1)
            report.add("end to end", f"each further of {count} outputs", each, "µs/record")


def beside_rows(report: Report, records: int, rows: int) -> None:
    """The same with many seen rows in the journal."""
    kinds = {"siem": "hec"}
    with static_api(records) as url, tempfile.TemporaryDirectory() as place:
        fresh = once(url, records, kinds, Path(place) / "fresh")
        known = Path(place) / "known"
        with api(0) as empty:
            once(empty, 0, kinds, known)
        fill(known / "state", rows)
        beside = once(url, records, kinds, known)
    report.cost("end to end", f"beside {rows:,} seen rows", beside.microseconds)
    report.add(
        "end to end", f"speed beside {rows:,} seen rows", fresh.microseconds / beside.microseconds,
        "of fresh", budget=Budget(0.8, of="value"),
    )  # fmt: skip


def once(
    url: str,
    records: int,
    kinds: Mapping[str, str],
    directory: Path,
    tree: Path = ROOT,
    *,
    again: bool = False,
) -> Run:
    """Deliver *records* to every collector of *kinds*, and with *again* read them once more by a backfill."""
    with collectors(kinds) as collected:
        config = {**plain_feed(url), "outputs": outputs(collected, kinds)}
        # What a default installation does, re-reads included.
        del config["searches"]["all"]["revisit"]
        with connector(directory, config, tree, BENCH_TOKEN=TOKEN) as running:
            reached = all_took(collected, list(kinds), records)
            if not wait_for(reached, _PATIENCE):
                raise RuntimeError(
                    f"{collected.counts()} of {records} arrived: {running.status()['outputs']}"
                )
            seconds = time.monotonic() - running.ready
            delivered = running.spent()
            if again or not records:
                wait_for(lambda: bool(running.status()["feeds"][0]["checkpoint"]), _PATIENCE)
            reread = 0.0
            if again:
                before = running.spent()
                running.command("backfill", "all", "--from", "2h", "-y", BENCH_TOKEN=TOKEN)
                reread = running.spent() - before
            each = 1e6 / max(1, records)
            return Run(delivered * each, reread * each, seconds, peak(running.pid))


def least(runs: Sequence[Run]) -> Run:
    """The least of every figure."""
    return Run(*(min(getattr(run, name) for run in runs) for name in Run.__dataclass_fields__))


def _best(url: str, records: int, kinds: Mapping[str, str], rounds: int, *, again: bool = False) -> Run:
    runs = []
    for _ in range(rounds):
        with tempfile.TemporaryDirectory() as place:
            runs.append(once(url, records, kinds, Path(place), again=again))
    return least(runs)
