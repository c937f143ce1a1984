"""The comparison with other engines tells equal events from others."""

import orjson

from tests.benchmarks.peers.__main__ import different


def lines(*events: object) -> list[bytes]:
    return [orjson.dumps(event) for event in events]


def test_equal_events_are_equal_in_any_order_of_events_and_fields() -> None:
    first = {"event": {"id": "a", "kind": "alert"}, "tags": ["x"]}
    second = {"event": {"id": "b"}}
    turned = {"tags": ["x"], "event": {"kind": "alert", "id": "a"}}

    assert different(lines(first, second), lines(second, turned)) == (0, {})


def test_what_differs_or_is_missing_is_counted_by_field() -> None:
    ours = lines({"event": {"id": "a", "kind": "alert"}}, {"event": {"id": "b"}, "message": "m"})
    theirs = lines({"event": {"id": "a", "kind": "event"}, "extra": 1})

    assert different(ours, theirs) == (2, {"event.kind": 1, "extra": 1, "event.id": 1, "message": 1})
