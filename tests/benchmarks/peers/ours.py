"""``python -m tests.benchmarks.peers.ours RECORDS EVENTS``: maps a file line by line, as other engines do."""

from __future__ import annotations

import sys
from pathlib import Path

import orjson

from connector.app.runtime import tune_allocator, tune_collector
from connector.mapping import Library, build_mapper
from tests.benchmarks.page import ACCOUNTS, revision


def main(source: Path, target: Path) -> None:
    """Map every line of *source*."""
    mapper = build_mapper(Library().load("ecs"), accounts=ACCOUNTS)
    with source.open("rb") as records, target.open("wb") as events:
        for record in records:
            event = mapper(revision(orjson.loads(record)))
            if event is not None:
                events.write(event.payload + b"\n")


if __name__ == "__main__":
    tune_collector()
    tune_allocator()
    main(Path(sys.argv[1]), Path(sys.argv[2]))
