"""``python -m tests.benchmarks.compare TREE ...``: checkouts end to end, taking turns on the same records.

A catch-up from a static API to one output, then a backfill over the same time, which finds everything
unchanged: see ``ends``. The floor is measured before each round, the least of all rounds counts. Each TREE
runs in its own ``.venv`` if it has one.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from tests.benchmarks.ends import Run, least, once
from tests.benchmarks.processes import floor, static_api
from tests.support.process import ROOT


def main() -> None:
    """Measure in turns; print each round, then the least."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("trees", nargs="*", type=Path, default=[ROOT])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--records", type=int, default=59_990)
    parser.add_argument("--kind", default="http", help="of the collector; see tests.benchmarks.collector")
    parser.add_argument(
        "--era", default="current", choices=("current", "sunset"), help="of the records' fields"
    )
    options = parser.parse_args()
    floors: list[float] = []
    taken: dict[Path, list[Run]] = {tree.resolve(): [] for tree in options.trees}
    with static_api(options.records, era=options.era) as url:
        for _ in range(options.rounds):
            floors.append(floor(era=options.era))
            for tree, runs in taken.items():
                with tempfile.TemporaryDirectory() as place:
                    kinds = {"siem": options.kind}
                    runs.append(once(url, options.records, kinds, Path(place), tree, again=True))
                _say(tree.name, runs[-1], floors[-1])
    for tree, runs in taken.items():
        _say(f"{tree.name}, least", least(runs), min(floors))


def _say(name: str, run: Run, base: float) -> None:
    sys.stdout.write(
        f"{name:20} {run.microseconds:6.1f} us = {run.microseconds / base:5.2f} floors of {base:.2f} us; "
        f"again {run.again:5.1f} us; {run.peak:6.1f} MiB\n"
    )
    sys.stdout.flush()


if __name__ == "__main__":
    main()
