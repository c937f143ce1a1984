"""The last warnings and errors, once each, with how often and when."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from connector import facts
from connector.telemetry.recent_problems import Troubles

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)


def test_what_is_the_same_but_for_its_numbers_counts_as_one() -> None:
    troubles = Troubles()
    for attempt in range(3):
        later = NOW + timedelta(seconds=attempt)
        troubles.take(facts.BatchRetried("siem", "HTTP 503", attempt, 1.0, None), later)

    (one,) = troubles.snapshot()
    assert (one["event"], one["output"], one["text"], one["count"]) == (
        "batch_retried",
        "siem",
        "HTTP 503",
        3,
    )
    assert (one["first"], one["last"]) == (NOW.isoformat(), (NOW + timedelta(seconds=2)).isoformat())


def test_normal_operation_is_no_trouble() -> None:
    troubles = Troubles()
    troubles.take(facts.BatchSent("siem", 1, 0, 0, 0, 10, 0.1, NOW), NOW)
    troubles.take(facts.OutputReleased("siem", 3.0), NOW)

    assert troubles.snapshot() == []


def test_the_latest_come_first_and_only_twenty_stay() -> None:
    troubles = Troubles()
    for number in range(30):
        troubles.take(facts.OutputHeld(f"output_{number}", "HTTP 401"), NOW)
    troubles.take(facts.OutputHeld("output_15", "HTTP 401"), NOW)

    shown = [one["output"] for one in troubles.snapshot()]
    assert shown[:2] == ["output_15", "output_29"]
    assert len(shown) == 20


def test_several_problems_of_one_fact_are_all_said() -> None:
    troubles = Troubles()
    troubles.take(facts.ConfigurationRefused(("a.yaml:1:1: wrong", "a.yaml:2:1: wrong too")), NOW)

    assert troubles.snapshot()[0]["text"] == "problems a.yaml:1:1: wrong; a.yaml:2:1: wrong too"
