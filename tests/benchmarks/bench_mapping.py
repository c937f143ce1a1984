"""How fast records become events, beside what decoding and encoding JSON alone costs.

``make bench`` runs it. The floor is orjson: decode a page, encode each of its records. Every pack is
measured from the bytes of the page to the bytes of the events, as delivery does it.
"""

from __future__ import annotations

import argparse
import json
import platform
from collections.abc import Callable
from itertools import cycle
from pathlib import Path
from typing import Any

import orjson

from connector.interfaces import Mapper
from connector.mapping import Library, build_mapper
from connector.model import Event, Revision
from tests.benchmarks.page import ACCOUNTS, COLLECTED, page, pages, revision
from tests.benchmarks.timing import Job, Result, measure, table

RECORDS = 1000
_PAGES = 8
"""Pages in turn: more addresses than the mapping remembers, so that none is known from the turn before."""
BUDGETS = {"ecs": 0.50, "cef": 0.45}
"""Least share of the floor's speed."""


def jobs(packs: list[str], records: int = RECORDS) -> list[Job]:
    """The floor, the steps that no mapping can do without, and *packs*."""
    several = pages(_PAGES, records)
    body = several[0]

    def whole(mapper: Mapper | Callable[[Revision], object]) -> Callable[[], None]:
        turns = cycle(several)

        def run() -> None:
            for record in orjson.loads(next(turns)):
                mapper(revision(record))

        return run

    def floor() -> None:
        for record in orjson.loads(body):
            orjson.dumps(record)

    def bare(one: Revision) -> Event:
        return Event(one, orjson.dumps(one.record.body), COLLECTED, 1, "", ())

    library = Library()
    mappers = {name: build_mapper(library.load(name), accounts=ACCOUNTS) for name in packs}
    return [
        Job("floor: decode, encode", floor, records),
        Job("decode", lambda: orjson.loads(body), records),
        Job("decode, revisions, encode, events", whole(bare), records),
        *(Job(name, whole(mapper), records, BUDGETS.get(name)) for name, mapper in mappers.items()),
    ]


def main() -> None:
    """Measure, print a table, and write JSON where asked."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("packs", nargs="*", help="mappings to measure; default: all that ship")
    parser.add_argument("--rounds", type=int, default=25, help="how often; more is steadier")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there, too")
    options = parser.parse_args()
    results = measure(jobs(options.packs or list(Library().names())), options.rounds)
    print(table(results))  # noqa: T201, this is what it is for
    if options.json:
        options.json.write_text(json.dumps(report(results), indent=2) + "\n", "utf-8")


def report(results: list[Result], records: int = RECORDS) -> dict[str, Any]:
    """*results* for machines, with what they depend on."""
    return {
        "python": platform.python_version(),
        "orjson": orjson.__version__,
        "machine": platform.machine(),
        "records": records,
        "bytes_per_record": len(page(records)) // records,
        "results": [
            {"name": result.name, "us_per_record": round(result.microseconds, 3),
             "ratio": round(result.ratio, 4), "budget": result.budget}
            for result in results
        ],
    }  # fmt: skip


if __name__ == "__main__":
    main()
