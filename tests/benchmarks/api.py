"""The simulator as a process of its own, with as much mail as a benchmark wants.

``python -m tests.benchmarks.api MESSAGES SPAN_SECONDS RATE LIMITED`` prints its URL; with LIMITED 0 nothing
limits how much may be asked.
"""

from __future__ import annotations

import sys
from datetime import timedelta

from connector.app.runtime import run
from connector.simulator import Behaviour, Simulator, serve
from connector.simulator.quota import Quota


def main() -> None:
    """Serve until killed."""
    messages, seconds, rate, limited = (float(text) for text in sys.argv[1:])
    simulator = Simulator(
        backlog=int(messages),
        span=timedelta(seconds=seconds),
        rate=rate,
        behaviour=Behaviour(quota=Quota() if limited else None),
        keep=int(messages),
    )
    run(serve(simulator, ready=_announce))


def _announce(url: str) -> None:
    sys.stdout.write(url + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
