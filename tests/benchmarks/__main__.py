"""``make bench``: everything that performance means here, measured in one run.

CPU times of processes, not the clock on the wall, wherever that is possible; ratios to the floor of the same
run. ``--quick`` is for a first look and for machines that others share.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from rich.console import Console

from tests.benchmarks import plot
from tests.benchmarks.backlog import backlog
from tests.benchmarks.delivering import delivering
from tests.benchmarks.ends import beside_rows, ends
from tests.benchmarks.figures import Report, as_json, table
from tests.benchmarks.journals import journals, letters
from tests.benchmarks.running import feeds, idle, starting
from tests.benchmarks.steps import growth, steps

KINDS = {
    "HTTP, ECS NDJSON": "http",
    "Splunk HEC, ECS": "hec",
    "Elasticsearch bulk, ECS, gzip": "bulk",
    "syslog TCP, CEF": "tcp",
}
_WHOLE, _LEAST = 680.0, 120.0
"""Seconds that a whole run may take, and that its backlog gets in any case, delivered to its end or not."""


@dataclass(frozen=True)
class Size:
    """How much of everything a run measures; times are in seconds."""

    rounds: int
    records: int
    repeats: int
    kinds: Mapping[str, str]
    rows: list[int]
    backlog: int
    letters: int
    feeds: list[int]
    watch: float
    pages: int


FULL = Size(
    rounds=20, records=19_990, repeats=2, kinds=KINDS, rows=[3_000_000], backlog=1_000_000, letters=20_000,
    feeds=[100, 500], watch=30.0, pages=12,
)  # fmt: skip
QUICK = Size(
    rounds=4, records=2_990, repeats=1, kinds={"HTTP, ECS NDJSON": "http"}, rows=[50_000], backlog=5_000,
    letters=2_000, feeds=[20], watch=3.0, pages=4,
)  # fmt: skip


def main() -> None:
    """Measure, show, write."""
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("only", nargs="*", help="parts to run; default: all")
    parser.add_argument("--quick", action="store_true", help="small sizes, under a minute")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there, too")
    parser.add_argument("--plot", type=Path, metavar="FILE", help="write the memory over the backlog as SVG")
    parser.add_argument("--revisions", type=int, metavar="N", help="length of the backlog")
    parser.add_argument("--rows", type=int, metavar="N", help="seen rows to put into the journal first")
    options = parser.parse_args()
    size, console = QUICK if options.quick else FULL, Console(highlight=False)
    if options.rows:
        size = replace(size, rows=[options.rows])
    report, begun = Report(), time.monotonic()
    parts = _parts(report, size, options.revisions or size.backlog, options.plot, begun + _WHOLE)
    unknown = set(options.only) - set(parts)
    if unknown:
        parser.error(f"no part {', '.join(sorted(unknown))}; there are {', '.join(parts)}")
    for name, part in parts.items():
        # The floor is needed by all ratios.
        if not options.only or name in options.only or name == "steps":
            with report.step(name):
                part()
    console.print(table(report.figures))
    console.print(f"{time.monotonic() - begun:.0f} s")
    if options.json:
        options.json.write_bytes(as_json(report.figures, seconds=round(time.monotonic() - begun)))


def _parts(
    report: Report, size: Size, revisions: int, drawing: Path | None, end: float
) -> dict[str, Callable[[], None]]:
    def catch_up() -> None:
        course = backlog(report, revisions, max(_LEAST, end - time.monotonic()))
        if drawing:
            title = "Memory over a backlog, one output slow, one down"
            thousands = [count / 1000 for count in course.delivered]
            drawing.write_text(
                plot.line(
                    title, "MiB", thousands, course.memory, limit=120, across="thousand revisions delivered"
                )
            )

    return {
        "steps": lambda: steps(report, size.rounds),
        "growth": lambda: growth(report, max(2, size.rounds // 3)),
        "journal": lambda: journals(report, size.pages, size.rows),
        "letters": lambda: letters(report, size.letters),
        "delivery": lambda: delivering(report, size.rounds),
        "ends": lambda: ends(report, size.records, size.repeats, size.kinds),
        "rows": lambda: beside_rows(report, size.records, size.rows[-1]),
        "running": lambda: starting(report, min(3, size.repeats + 1)),
        "idle": lambda: idle(report, size.watch),
        "feeds": lambda: feeds(report, size.feeds, size.watch, 60 if size.records > QUICK.records else 5),
        "backlog": catch_up,
    }


if __name__ == "__main__":
    main()
