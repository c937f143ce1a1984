"""End to end: simulator, connector and a fast collector, each in its own process; CPU of the connector."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.benchmarks.figures import Budget, Report, at_least
from tests.benchmarks.journals import fill
from tests.benchmarks.processes import (
    all_took,
    api,
    collectors,
    connector,
    outputs,
    peak,
    plain_feed,
    wait_for,
)
from tests.support.process import ROOT

TOKEN = "benchmark"
_PATIENCE = 300.0
_BUDGET, _BUDGET_WITH_SPEED = 0.20, 0.25


@dataclass(frozen=True)
class Run:
    """What it took to bring every record to every output."""

    microseconds: float
    seconds: float
    peak: float


def ends(report: Report, records: int, rounds: int, kinds: Mapping[str, str]) -> None:
    """Each output alone, then two and four together; *kinds* by name, as ``collector`` takes them."""
    with api(records) as url:
        for name, kind in kinds.items():
            run = _best(url, records, {"siem": kind}, rounds if kind == "hec" else 1)
            budget = at_least(_BUDGET_WITH_SPEED if _speed() else _BUDGET) if kind == "hec" else None
            report.cost("end to end", name, run.microseconds, budget)
            if kind == "hec":
                report.add("end to end", f"{name}, by the clock", records / run.seconds, "records/s")
                report.add("end to end", f"{name}, most memory", run.peak, "MiB")
                first = run.microseconds
        if _speed():
            run = _best(url, records, {"siem": "hec"}, 1, slow=True)
            report.cost("end to end", "Splunk without the extra speed", run.microseconds, at_least(_BUDGET))
        for count in (2, 4) if rounds > 1 else (2,):
            many = {f"siem_{number}": "hec" for number in range(count)}
            run = _best(url, records, many, 1)
            report.cost("end to end", f"{count} Splunk outputs", run.microseconds)
            each = (run.microseconds - first) / (count - 1)
            report.add("end to end", f"each further of {count} outputs", each, "µs/record")


def beside_rows(report: Report, records: int, rows: int) -> None:
    """The same with many seen rows in the journal."""
    kinds = {"siem": "hec"}
    with api(records) as url, tempfile.TemporaryDirectory() as place:
        fresh = _once(url, records, kinds, Path(place) / "fresh")
        known = Path(place) / "known"
        with api(0) as empty:
            _once(empty, 0, kinds, known)
        fill(known / "state", rows)
        beside = _once(url, records, kinds, known)
    report.cost("end to end", f"beside {rows:,} seen rows", beside.microseconds)
    report.add(
        "end to end", f"speed beside {rows:,} seen rows", fresh.microseconds / beside.microseconds,
        "of fresh", budget=Budget(0.8, of="value"),
    )  # fmt: skip


def _best(url: str, records: int, kinds: Mapping[str, str], rounds: int, *, slow: bool = False) -> Run:
    """The cheapest of *rounds* runs; *slow*: without the extra ``speed``."""
    runs = []
    for _ in range(rounds):
        with tempfile.TemporaryDirectory() as place:
            hidden = Path(place) / "hidden"
            hidden.mkdir()
            if slow:
                for name in ("isal", "uvloop"):
                    (hidden / f"{name}.py").write_text("raise ImportError('left out on purpose')\n")
            path = f"{hidden}{os.pathsep}{ROOT}"
            runs.append(_once(url, records, kinds, Path(place) / "state", PYTHONPATH=path))
    return min(runs, key=lambda run: run.microseconds)


def _once(url: str, records: int, kinds: Mapping[str, str], directory: Path, **environ: str) -> Run:
    with collectors(kinds) as collected:
        config = {**plain_feed(url), "outputs": outputs(collected, kinds)}
        with connector(directory, config, BENCH_TOKEN=TOKEN, **environ) as running:
            reached = all_took(collected, list(kinds), records)
            if not wait_for(reached, _PATIENCE):
                raise RuntimeError(
                    f"{collected.counts()} of {records} arrived: {running.status()['outputs']}"
                )
            seconds = time.monotonic() - running.ready
            if not records:
                wait_for(lambda: bool(running.status()["feeds"][0]["checkpoint"]), _PATIENCE)
            spent = running.spent() / max(1, records) * 1e6
            return Run(spent, seconds, peak(running.pid))


def _speed() -> bool:
    """Whether the extra ``speed`` is installed."""
    try:
        import isal  # noqa: F401, PLC0415, only whether it is there
        import uvloop  # noqa: F401, PLC0415
    except ImportError:
        return False
    return True
