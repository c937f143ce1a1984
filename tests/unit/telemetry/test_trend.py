"""The plots count what came in each half minute, and miss nothing between two looks."""

from __future__ import annotations

from connector.model import JsonObject
from connector.telemetry.trend import STEP, Trend


def status(records: int, sent: int, backlog: int | None) -> JsonObject:
    return {
        "feeds": [{"account": "a", "search": "s", "records": records, "changes": 0}],
        "outputs": [{"output": "siem", "sent": sent, "backlog": backlog}],
    }


def test_a_step_counts_what_came_in_it() -> None:
    trend = Trend()
    trend.take(status(0, 0, None), 0)
    trend.take(status(5, 2, 3), STEP - 1)
    reported = trend.take(status(9, 9, 0), STEP)

    assert reported["feeds"] == [{"account": "a", "search": "s", "records": [5, 4]}]
    assert reported["outputs"] == [{"output": "siem", "events": [2, 7], "backlog": [3, 0]}]


def test_steps_nobody_looked_at_are_there_and_empty() -> None:
    trend = Trend()
    trend.take(status(1, 0, 0), 0)
    reported = trend.take(status(7, 0, 0), 3.5 * STEP)

    assert reported["feeds"][0]["records"] == [0, 0, 0, 6]


def test_an_hour_is_kept_and_nothing_of_it_is_lost() -> None:
    trend = Trend()
    for step in range(500):
        reported = trend.take(status(2 * step, step, step), step * STEP)

    assert reported["feeds"][0]["records"] == [2] * 120
    assert reported["outputs"][0]["backlog"] == list(range(380, 500))


def test_what_is_no_longer_there_is_forgotten_and_begins_anew() -> None:
    trend = Trend()
    trend.take(status(5, 0, 0), 0)
    trend.take({"feeds": [], "outputs": []}, STEP)

    assert trend.take(status(9, 0, 0), 2 * STEP)["feeds"][0]["records"] == [0]
