"""Catching up: a long backlog with one output that is fast, one that is slow, and one that is down.

Memory is looked at all the time, and ``/healthz`` asked, as an orchestrator does.
"""

from __future__ import annotations

import statistics
import tempfile
import time
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path

from tests.benchmarks.figures import Report, at_most
from tests.benchmarks.processes import (
    Connector,
    all_took,
    api,
    collectors,
    connector,
    outputs,
    peak,
    plain_feed,
    rss,
)

KINDS = {"fast": "hec", "slow": "hec:1", "down": "down"}
_HOUR = 3600.0
_LOOK = 0.5


@dataclass
class Course:
    """How it went: delivered revisions, and MiB in memory, by second."""

    times: list[float] = field(default_factory=list)
    delivered: list[int] = field(default_factory=list)
    memory: list[float] = field(default_factory=list)
    health: list[float] = field(default_factory=list)

    @property
    def middle(self) -> float:
        """Most memory of the second quarter: what warming up leads to."""
        part = len(self.memory)
        return max(self.memory[part // 4 : part // 2 + 1])

    @property
    def late(self) -> float:
        """Most memory of the second half."""
        return max(self.memory[len(self.memory) // 2 :])


def backlog(report: Report, records: int, patience: float) -> Course:
    """Deliver *records* to the fast output while the others do what they do."""
    course = Course()
    with (
        api(records, span=6 * _HOUR) as url,
        tempfile.TemporaryDirectory() as place,
        collectors(KINDS) as collected,
    ):
        config = {**plain_feed(url, start="8h"), "outputs": outputs(collected, KINDS)}
        with connector(Path(place), config, BENCH_TOKEN="x") as running:
            reached = all_took(collected, ["fast"], records)
            begun = time.monotonic()
            while not reached() and time.monotonic() < begun + patience:
                course.times.append(time.monotonic() - begun)
                course.delivered.append(collected.counts().get("fast", 0))
                course.memory.append(rss(running.pid))
                course.health.append(_health(running))
                time.sleep(_LOOK)
            seconds = time.monotonic() - begun
            spent, most, took = running.spent(), peak(running.pid), collected.counts().get("fast", 0)
    report.add("backlog", f"delivered of {records:,}", took, "revisions")
    report.add("backlog", "with one output slow and one down", took / seconds, "revisions/s")
    report.add(
        "backlog", "CPU, the slow output's and retries included", spent / max(took, 1) * 1e6, "µs/record"
    )
    report.add("backlog", "most memory", most, "MiB", budget=at_most(120))
    report.add("backlog", "memory, later half beside second quarter", course.late / course.middle, "times",
               budget=at_most(1.1))  # fmt: skip
    report.add("backlog", "/healthz under full load, median", statistics.median(course.health), "ms")
    report.add("backlog", "/healthz under full load, longest", max(course.health), "ms", budget=at_most(1000))
    return course


def _health(running: Connector) -> float:
    """Milliseconds until ``/healthz`` answered."""
    begun = time.monotonic()
    with urllib.request.urlopen(running.url + "/healthz", timeout=60) as answer:
        answer.read()
    return (time.monotonic() - begun) * 1000
