"""How benchmarks measure: all jobs in turn, many times, in one process; the best time of each counts.

On a machine that does other work too, the best of many is what repeats. CPU time is measured, not the
clock on the wall.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from connector.app.runtime import tune_collector


@dataclass(frozen=True)
class Job:
    """One thing to measure; *run* handles *records* records. *budget* is its least ratio to the first job."""

    name: str
    run: Callable[[], object]
    records: int
    budget: float | None = None


@dataclass(frozen=True)
class Result:
    """The best time of a job per record, and how fast that is beside the first job."""

    name: str
    microseconds: float
    ratio: float
    budget: float | None


def measure(jobs: Sequence[Job], rounds: int) -> list[Result]:
    """Run *jobs* in turn *rounds* times; the first of them is the floor."""
    best = [float("inf")] * len(jobs)
    gc.collect()
    tune_collector()
    for _ in range(rounds):
        for index, job in enumerate(jobs):
            best[index] = min(best[index], _timed(job) / job.records)
    return [
        Result(job.name, time_taken / 1000, best[0] / time_taken, job.budget)
        for job, time_taken in zip(jobs, best, strict=True)
    ]


def _timed(job: Job) -> int:
    started = time.thread_time_ns()
    job.run()
    return time.thread_time_ns() - started


def table(results: Sequence[Result]) -> str:
    """*results* for people."""
    width = max(len(result.name) for result in results)
    lines = [f"{'':{width}}  µs/record   ratio  budget"]
    for result in results:
        line = f"{result.name:{width}}  {result.microseconds:9.2f}   {result.ratio:5.3f}"
        if result.budget is not None:
            verdict = "met" if result.ratio >= result.budget else "missed"
            line += f"   {result.budget:.2f} {verdict}"
        lines.append(line)
    return "\n".join(lines)
