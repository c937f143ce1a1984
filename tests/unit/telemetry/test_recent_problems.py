"""The last warnings and errors, once each, with how often and when."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from connector import facts
from connector.model import Feed
from connector.telemetry.recent_problems import RecentProblems

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)


def test_what_is_the_same_but_for_its_numbers_counts_as_one() -> None:
    problems = RecentProblems()
    for attempt in range(3):
        later = NOW + timedelta(seconds=attempt)
        problems.take(facts.BatchRetried("siem", "HTTP 503", attempt, 1.0, None), later)

    (one,) = problems.snapshot()
    assert (one["event"], one["output"], one["text"], one["count"]) == (
        "batch_retried",
        "siem",
        "HTTP 503",
        3,
    )
    assert (one["first"], one["last"]) == (NOW.isoformat(), (NOW + timedelta(seconds=2)).isoformat())


def test_normal_operation_is_no_trouble() -> None:
    problems = RecentProblems()
    problems.take(facts.BatchSent("siem", 1, 0, 0, 0, 10, 0.1, NOW), NOW)
    problems.take(facts.OutputReleased("siem", 3.0), NOW)

    assert problems.snapshot() == []


def test_the_latest_come_first_and_only_twenty_stay() -> None:
    problems = RecentProblems()
    for number in range(30):
        problems.take(facts.OutputHeld(f"output_{number}", f"reason {number}"), NOW)
    problems.take(facts.OutputHeld("output_15", "reason 15"), NOW)

    shown = [one["output"] for one in problems.snapshot()]
    assert shown[:2] == ["output_15", "output_29"]
    assert len(shown) == 20


def test_several_problems_of_one_fact_are_all_said() -> None:
    problems = RecentProblems()
    problems.take(facts.ConfigurationRefused(("a.yaml:1:1: wrong", "a.yaml:2:1: wrong too")), NOW)

    assert problems.snapshot()[0]["text"] == "problems a.yaml:1:1: wrong; a.yaml:2:1: wrong too"


def test_the_same_problem_of_many_feeds_is_one_and_hides_no_other() -> None:
    problems = RecentProblems()
    problems.take(facts.OutputHeld("siem", "HTTP 401"), NOW)
    for number in range(500):
        feed = Feed(f"{number:032x}", "detections")
        problems.take(facts.CollectionFailed(feed, "live", "unavailable", "HTTP 503", 1, 1.0), NOW)

    latest, other = problems.snapshot()
    assert (latest["event"], latest["count"], latest["others"]) == ("collection_failed", 500, 499)
    assert (other["output"], other["others"]) == ("siem", 0)
