"""The floor, as a process of its own that is tuned like the daemon: decode a page, encode each record.

``python -m tests.benchmarks.floor ROUNDS ERA`` prints the best time in microseconds per record.
"""

from __future__ import annotations

import sys
import time
from datetime import timedelta
from typing import cast

import orjson

from connector.app.runtime import tune_allocator, tune_collector
from connector.simulator.values import Era
from tests.benchmarks.corpus import records

RECORDS = 1000


def floor(rounds: int, era: Era = "current") -> float:
    """Microseconds of CPU per record, the best of *rounds*."""
    body = b"[" + b",".join(record for _, record in records(RECORDS, timedelta(hours=1), era=era)) + b"]"
    best = float("inf")
    for _ in range(rounds):
        began = time.process_time_ns()
        for record in orjson.loads(body):
            orjson.dumps(record)
        best = min(best, (time.process_time_ns() - began) / 1000 / RECORDS)
    return best


if __name__ == "__main__":
    tune_collector()
    tune_allocator()
    sys.stdout.write(f"{floor(int(sys.argv[1]), cast('Era', sys.argv[2]))}\n")
