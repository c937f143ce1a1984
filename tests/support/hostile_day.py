"""Events of a day of mail, a third of it hostile, as a mapping makes them."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime

from connector.formats import cef
from connector.mapping import Library, build_map, build_mapper
from connector.model import Event, Feed, Record, Revision
from connector.simulator import Recipe, Simulator

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)


@functools.cache
def hostile_day(mapping: str, count: int = 200, hostile: float = 0.3) -> tuple[Event, ...]:
    """Return *count* events, the share *hostile* of them of hostile mail."""
    simulator = Simulator(seed=11, backlog=count, recipe=Recipe(hostile=hostile))
    mapper = build_mapper(Library().load(mapping))
    feed = Feed("a" * 32, "everything")
    made = []
    for issued in simulator.ledger.issued():
        body = simulator.ledger.body(issued)
        event = mapper(Revision(feed, Record(issued, body), "d", 1, NOW))
        assert event is not None
        made.append(event)
    return tuple(made)


def fitted(events: Sequence[Event], limit: int) -> list[Event]:
    """*events* of CEF, those that are too long for an output shortened as delivery does it."""
    mapping = build_map(Library().load("cef"))
    fitting = []
    for event in events:
        if len(event.payload) > limit:
            payload, notes = cef.encode(mapping(event.revision).document, max_bytes=limit)
            assert notes
            event = replace(event, payload=payload)  # noqa: PLW2901, the shorter one stands for it
        fitting.append(event)
    return fitting
