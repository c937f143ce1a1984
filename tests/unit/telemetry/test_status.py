"""Readiness says what is wrong, in words, and nothing when all is well."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from connector import facts
from connector.leases import Lease, Replica, Replicas, account_lease, output_lease
from connector.model import Backlog, Feed, Outline, OutputOutline
from connector.telemetry.status import Status

FEED = Feed("a" * 32, "detections")
START = datetime(2026, 11, 22, 12, tzinfo=UTC)


class Clock:
    """A clock that stands until it is moved."""

    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> datetime:
        return self.now


def status(clock: Clock) -> Status:
    return Status("1.0", clock, {FEED: timedelta(minutes=5)}, {"siem": Backlog(max_bytes=100)}, {})


def reasons(made: Status) -> str:
    return "; ".join(reason["reason"] for reason in made.unready())


def test_a_daemon_is_ready_once_every_feed_reached_the_present() -> None:
    made = status(Clock())
    assert "not reached the present" in reasons(made)

    made.take(facts.FeedCaughtUp(FEED, START))
    assert made.unready() == []


def test_a_feed_that_stands_still_is_named_even_without_an_error() -> None:
    clock = Clock()
    made = status(clock)
    made.take(facts.FeedCaughtUp(FEED, START))
    clock.now = START + timedelta(minutes=6)

    assert "not fresh: the present was last reached 6m ago" in reasons(made)


def test_failures_are_reported_with_their_reason_and_forgotten_after_success() -> None:
    made = status(Clock())
    made.take(facts.FeedCaughtUp(FEED, START))
    made.take(facts.CollectionFailed(FEED, "live", "denied", "the token was refused", 3, 10.0))
    assert "failing (3 attempts): the token was refused" in reasons(made)

    made.take(facts.CollectionRecovered(FEED, "live", 3))
    assert made.unready() == []


def test_a_failing_revisit_does_not_make_the_daemon_unready_but_is_shown() -> None:
    made = status(Clock())
    made.take(facts.FeedCaughtUp(FEED, START))
    made.take(facts.CollectionFailed(FEED, "revisit_1h", "unavailable", "HTTP 502", 1, 1.0))

    assert made.unready() == []
    assert made.snapshot()["feeds"][0]["failing_sweeps"] == {"revisit_1h": "HTTP 502"}


def test_a_revisit_that_keeps_failing_makes_it_unready_because_updates_are_missing() -> None:
    made = status(Clock())
    made.take(facts.FeedCaughtUp(FEED, START))
    made.take(facts.CollectionFailed(FEED, "revisit_1h", "bad_query", "HTTP 400", 10, 300.0))
    [reason] = made.unready()
    assert reason["reason"].startswith("revisit_1h failing (10 attempts), so late messages and changes are ")
    assert reason["reason"].endswith(": HTTP 400")

    made.take(facts.SliceCollected(FEED, "revisit_1h", START, START, 0, 0.1))
    assert made.unready() == []


def test_a_hold_and_a_full_backlog_are_not_ready() -> None:
    made = status(Clock())
    made.take(facts.FeedCaughtUp(FEED, START))
    made.take(facts.OutputHeld("siem", "HTTP 401"))
    assert "held: HTTP 401" in reasons(made)

    made.take(facts.OutputReleased("siem", 1.0))
    made.outline(Outline(9, 500, (OutputOutline("siem", 1, 8, 100, START, 0, attached=True),), ()))
    assert "limit" in reasons(made)


def test_draining_is_not_ready() -> None:
    made = status(Clock())
    made.take(facts.FeedCaughtUp(FEED, START))
    made.take(facts.DaemonStopping("SIGTERM", 25.0))

    assert reasons(made) == "draining"


def test_another_configuration_keeps_what_is_known_of_what_stays() -> None:
    made = status(Clock())
    other = Feed(FEED.account, "other")
    made.take(facts.FeedCaughtUp(FEED, START))
    made.take(facts.OutputHeld("siem", "HTTP 401"))

    made.watch({FEED: timedelta(minutes=5), other: timedelta(minutes=5)}, {"lake": Backlog()}, {})

    assert [feed["state"] for feed in made.snapshot()["feeds"]] == ["fresh", "behind"]
    assert [output["output"] for output in made.snapshot()["outputs"]] == ["lake"]


def test_a_revisit_that_failed_and_is_no_longer_configured_keeps_nobody_unready() -> None:
    made = status(Clock())
    made.take(facts.FeedCaughtUp(FEED, START))
    made.take(facts.CollectionFailed(FEED, "revisit_7d", "unavailable", "HTTP 500", 10, 10.0))
    assert "revisit_7d failing" in reasons(made)

    made.watch({FEED: timedelta(minutes=5)}, {"siem": Backlog()}, {})
    assert made.unready() == []
    assert made.snapshot()["feeds"][0]["state"] == "fresh"


def test_a_refused_configuration_is_reported_until_one_is_accepted() -> None:
    made = status(Clock())
    made.take(facts.ConfigurationRefused(("connector.yaml:3:1: unknown key",)))
    assert made.snapshot()["configuration"]["problems"] == ["connector.yaml:3:1: unknown key"]

    made.take(facts.ConfigurationReloaded(1, 1, 1, ()))
    assert made.snapshot()["configuration"]["successful"] is True


def named(clock: Clock) -> Status:
    outputs = {"siem": Backlog(max_bytes=100)}
    return Status("1.0", clock, {FEED: timedelta(minutes=5)}, outputs, {FEED.account: "prod"})


def test_reasons_and_problems_name_the_account() -> None:
    made = named(Clock())
    made.take(facts.CollectionFailed(FEED, "live", "denied", "the token was refused", 3, 10.0))

    assert made.unready()[0]["account_name"] == "prod"
    assert made.snapshot()["recent_problems"][0]["account_name"] == "prod"


def test_a_failing_feed_says_when_it_is_tried_again() -> None:
    made = named(Clock())
    made.take(facts.CollectionFailed(FEED, "live", "unavailable", "HTTP 503", 3, 90.0))
    due = (START + timedelta(seconds=90)).isoformat()
    assert made.unready()[0]["next_attempt"] == made.snapshot()["feeds"][0]["next_attempt"] == due

    made.take(facts.CollectionRecovered(FEED, "live", 3))
    assert made.snapshot()["feeds"][0]["next_attempt"] is None


def test_a_rate_limit_is_the_reason_and_the_next_attempt_also_after_a_restart() -> None:
    for fact in (facts.RateLimited, facts.RateLimitRestored):
        clock = Clock()
        made = named(clock)
        until = START + timedelta(hours=1)
        made.take(fact(FEED.account, 3600.0, until))

        [reason] = made.unready()
        assert "the API's rate limit has stopped all requests" in reason["reason"]
        assert reason["next_attempt"] == until.isoformat()
        clock.now = until + timedelta(seconds=1)
        assert "rate limit" not in made.unready()[0]["reason"]
        assert made.unready()[0]["next_attempt"] is None


def test_a_held_output_says_when_it_is_tried_again() -> None:
    made = named(Clock())
    made.take(facts.FeedCaughtUp(FEED, START))
    made.take(facts.OutputHeld("siem", "HTTP 401"))
    made.take(facts.BatchRetried("siem", "HTTP 401", 1, 30.0, None))
    due = (START + timedelta(seconds=30)).isoformat()
    assert made.unready() == [
        {"what": "output", "output": "siem", "reason": "held: HTTP 401", "next_attempt": due}
    ]

    made.take(facts.BatchRetried("siem", "HTTP 401", 1, 1e18, None))
    assert made.unready()[0]["next_attempt"] == "9999-12-31T23:59:59.999999+00:00"
    made.take(facts.OutputReleased("siem", 1.0))
    assert made.snapshot()["outputs"][0]["next_attempt"] is None


def test_what_an_output_filters_is_counted_beside_what_it_sends() -> None:
    made = named(Clock())
    made.take(facts.EventsFiltered("siem", 7, "when"))
    made.take(facts.EventsFiltered("siem", 2, "max_age"))

    output = made.snapshot()["outputs"][0]
    assert (output["sent"], output["filtered"]) == (0, 9)
    assert output["filtered_by"] == {"when": 7, "max_age": 2}


def test_an_output_that_filtered_everything_for_a_day_is_noticed_until_it_sends() -> None:
    clock = Clock()
    made = named(clock)
    made.take(facts.EventsFiltered("siem", 7, "when"))
    clock.now = START + timedelta(hours=23)
    assert made.snapshot()["notices"] == []

    clock.now = START + timedelta(hours=25)
    [notice] = made.snapshot()["notices"]
    assert notice["output"] == "siem"
    assert "every event was filtered for 25h" in notice["reason"] or "1d1h" in notice["reason"]

    made.take(facts.BatchSent("siem", 1, 0, 0, 0, 10, 0.1, START))
    assert made.snapshot()["notices"] == []


@pytest.mark.parametrize("reason", ["addressed", "actions"])
def test_what_no_filter_left_out_is_no_sign_of_a_wrong_one(reason: str) -> None:
    clock = Clock()
    made = named(clock)
    made.take(facts.EventsFiltered("siem", 7, reason))
    clock.now = START + timedelta(days=2)

    assert made.snapshot()["notices"] == []


def seen_by(replica: str, holder: str | None) -> facts.ReplicasSeen:
    """What *replica* sees while *holder* has every lease."""
    names = (account_lease(FEED.account), output_lease("siem"))
    leases = tuple(Lease(name, holder, 1, 15.0, 3.0) for name in names)
    live = tuple(Replica(name, f"host-{name}", 1, "1", frozenset(names), 60.0) for name in ("one", "two"))
    return facts.ReplicasSeen(replica, Replicas(live, leases), names if holder == replica else ())


def test_a_standby_is_ready_and_says_who_does_the_work() -> None:
    made = status(Clock())
    made.take(facts.OutputHeld("siem", "401"))
    made.take(seen_by("one", "two"))
    assert made.unready() == []
    shown = made.snapshot()
    assert (shown["feeds"][0]["state"], shown["feeds"][0]["replica"]) == ("standby", "host-two")
    assert (shown["outputs"][0]["state"], shown["outputs"][0]["replica"]) == ("standby", "host-two")
    assert [(one["host"], len(one["leases"])) for one in shown["replicas"]] == [
        ("host-one", 0),
        ("host-two", 2),
    ]

    made.take(facts.LeaseTaken(account_lease(FEED.account), 2))
    made.take(facts.LeaseTaken(output_lease("siem"), 2))
    made.take(seen_by("one", "one"))
    assert "not reached the present" in reasons(made)
    assert made.snapshot()["outputs"][0]["state"] == "working"


def test_a_database_that_is_away_makes_the_daemon_unready() -> None:
    made = status(Clock())
    made.take(facts.FeedCaughtUp(FEED, START))
    made.take(facts.JournalUnreachable("connection refused"))
    assert made.unready() == [{"what": "journal", "reason": "connection refused"}]
    made.take(facts.JournalAvailable(3.0))
    assert made.unready() == []
