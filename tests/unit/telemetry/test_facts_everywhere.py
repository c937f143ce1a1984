"""Every fact can be logged, counted and shown; none of them can hurt."""

from __future__ import annotations

import dataclasses
import io
import json
import re
from datetime import UTC, datetime, timedelta

import pytest

from connector import facts
from connector.leases import Lease, Replica, Replicas
from connector.model import Backlog, Feed, Gap, GapCause, Window
from connector.telemetry.logs import Logs
from connector.telemetry.metrics import Metrics
from connector.telemetry.observer import Telemetry
from connector.telemetry.status import Status

FEED = Feed("a" * 32, "detections")
NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
VALUES: dict[str, object] = {
    "str": "text",
    "int": 3,
    "float": 1.5,
    "bool": True,
    "datetime": NOW,
    "Feed": FEED,
    "Replicas": Replicas(
        (Replica("r", "host", 1, "1.0", frozenset({"output/siem"}), 5.0),),
        (Lease("output/siem", "r", 3, 14.0, 5.0),),
    ),
    "Gap": Gap(Window(NOW - timedelta(hours=1), NOW), GapCause.RETENTION),
    "int | None": 200,
    "float | None": None,
    "datetime | None": NOW,
    "tuple[str, ...]": ("siem",),
    "tuple[tuple[str, int], ...]": (("siem", 4),),
}
KINDS = facts.kinds()


def sample(kind: type[facts.Fact]) -> facts.Fact:
    return kind(**{field.name: VALUES[str(field.type)] for field in dataclasses.fields(kind)})


def telemetry(stream: io.StringIO, level: str = "debug") -> tuple[Telemetry, Metrics]:
    metrics = Metrics("1.0", "3.40.1")
    logs = Logs(level, "json", stream=stream, monotonic=lambda: 0.0)  # type: ignore[arg-type]
    status = Status(
        "1.0", lambda: NOW, {FEED: timedelta(minutes=5)}, {"text": Backlog()}, {FEED.account: "prod"}
    )
    return Telemetry(logs, metrics, status, {"text": Backlog()}), metrics


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_each_fact_becomes_one_log_line_and_breaks_nothing(
    kind: type[facts.Fact], capsys: pytest.CaptureFixture[str]
) -> None:
    stream = io.StringIO()
    reported, metrics = telemetry(stream)

    reported.observe(sample(kind))

    line = json.loads(stream.getvalue())
    assert line["event"] == kind.event
    assert capsys.readouterr().err == ""
    assert metrics.exposition()


def test_normal_operation_is_quiet_and_trouble_is_not() -> None:
    stream = io.StringIO()
    reported, _ = telemetry(stream, "info")

    reported.observe(sample(facts.PageCollected))
    reported.observe(sample(facts.BatchSent))
    assert stream.getvalue() == ""

    reported.observe(sample(facts.OutputHeld))
    assert json.loads(stream.getvalue())["level"] == "error"


def test_the_same_line_is_said_once_in_ten_seconds_and_then_with_its_count() -> None:
    stream = io.StringIO()
    moment = [0.0]
    logs = Logs("info", "json", stream=stream, monotonic=lambda: moment[0])
    for attempt in range(5):
        logs.take(facts.BatchRetried("siem", "HTTP 503", attempt, 1.0, None))
    moment[0] = 11.0
    logs.take(facts.BatchRetried("siem", "HTTP 503", 6, 1.0, None))

    lines = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert len(lines) == 2
    assert lines[1]["repeated"] == 4


def test_hostile_text_cannot_forge_a_log_line() -> None:
    for form in ("json", "text"):
        stream = io.StringIO()
        logs = Logs("info", form, stream=stream, monotonic=lambda: 0.0)
        logs.take(facts.OutputHeld("siem", "no\n2026-11-22 [info] all is well\x1b[2J\u2028\u202e"))

        text = stream.getvalue()
        assert text.count("\n") == 1
        assert "\x1b[2J" not in text
        assert not {"\u2028", "\u202e"} & set(text)


def test_a_fact_of_a_feed_or_output_nobody_knows_is_taken_without_trouble() -> None:
    stream = io.StringIO()
    reported, _ = telemetry(stream)

    reported.observe(facts.OutputHeld("unknown", "x"))
    reported.observe(facts.FeedCaughtUp(Feed("b" * 32, "other"), NOW))

    assert reported.snapshot()["outputs"][0]["output"] == "text"


def test_observe_never_raises() -> None:
    stream = io.StringIO()
    reported, _ = telemetry(stream)

    reported.observe(facts.BatchSent("text", "many", 0, 0, 0, 0, 0.0, None))  # type: ignore[arg-type]

    line = json.loads(stream.getvalue())
    assert (line["event"], line["fact"], line["error"]) == ("telemetry_failed", "batch_sent", "TypeError")


def test_metrics_tell_what_happened() -> None:
    reported, metrics = telemetry(io.StringIO())

    reported.observe(facts.PageCollected(FEED, "live", records=10, new=7, changed=1, repeated=2, outside=0))
    reported.observe(facts.EventDeadLettered("text", 4, "rejected", "no"))
    reported.observe(facts.RecordsEnriched(FEED.account, enriched=5, incomplete=2, failed=0))
    reported.observe(facts.EnrichmentDisabled(FEED.account, "trace", "HTTP 500"))

    text = metrics.exposition().decode()
    feed = f'account="{FEED.account}",outcome="new",search="detections",sweep="live"'
    assert f"email_connector_records_total{{{feed}}} 7.0" in text
    assert 'email_connector_dead_letters_total{output="text",reason="rejected"} 1.0' in text
    account = f'account="{FEED.account}"'
    assert f'email_connector_records_enriched_total{{{account},outcome="incomplete"}} 2.0' in text
    assert f'email_connector_enrichment_disabled_total{{{account},endpoint="trace"}} 1.0' in text


def test_series_of_what_is_no_longer_configured_leave() -> None:
    stream = io.StringIO()
    reported, metrics = telemetry(stream)
    reported.observe(facts.FeedCaughtUp(FEED, NOW))
    reported.observe(facts.OutputHeld("text", "HTTP 401"))
    logs = Logs("info", "json", stream=stream, monotonic=lambda: 0.0)

    reported.watch(logs, {FEED: timedelta(minutes=5)}, {"other": Backlog()}, {FEED.account: "prod"})
    text = metrics.exposition().decode()
    assert 'search="detections"' in text
    assert 'output="text"' not in text

    reported.watch(logs, {}, {"other": Backlog()}, {})
    assert FEED.account not in metrics.exposition().decode()


def test_a_reload_ends_the_failures_of_sweeps_that_are_no_more() -> None:
    reported, metrics = telemetry(io.StringIO())
    reported.observe(facts.CollectionFailed(FEED, "revisit_7d", "unavailable", "no such mail", 10, 10.0))
    labels = f'account="{FEED.account}",search="{FEED.search}",sweep="revisit_7d"'
    gauge = f"email_connector_feed_failing_attempts{{{labels}}}"
    assert f"{gauge} 10.0" in metrics.exposition().decode()

    logs = Logs("info", "json", stream=io.StringIO(), monotonic=lambda: 0.0)
    reported.watch(logs, {FEED: timedelta(minutes=5)}, {"text": Backlog()}, {FEED.account: "prod"})
    assert f"{gauge} 0.0" in metrics.exposition().decode()


def test_a_refused_reload_shows_until_one_succeeds() -> None:
    reported, metrics = telemetry(io.StringIO())
    gauge = "email_connector_config_last_reload_successful"
    assert f"{gauge} 1.0" in metrics.exposition().decode()

    reported.observe(facts.ConfigurationRefused(("connector.yaml:3:1: unknown key",)))
    assert f"{gauge} 0.0" in metrics.exposition().decode()
    assert 'email_connector_config_reloads_total{outcome="failure"} 1.0' in metrics.exposition().decode()

    reported.observe(facts.ConfigurationReloaded(1, 1, 1, ()))
    assert f"{gauge} 1.0" in metrics.exposition().decode()


def test_what_alerts_watch_is_there_before_anything_happens() -> None:
    reported, metrics = telemetry(io.StringIO())

    reported.observe(facts.FeedStarted(FEED, 300.0))
    reported.observe(facts.OutputStarted("text"))
    reported.observe(facts.StateDiskMeasured(10, 100))

    text = metrics.exposition().decode()
    feed = f'account="{FEED.account}",search="detections"'
    assert f"email_connector_fresh_within_seconds{{{feed}}} 300.0" in text
    assert f"email_connector_gap_seconds_total{{{feed}}} 0.0" in text
    assert 'email_connector_dead_letters_total{output="text",reason="too_large"} 0.0' in text
    assert 'email_connector_output_held{output="text"} 0.0' in text
    assert "email_connector_state_disk_free_bytes 10.0" in text


def test_refused_credentials_show_until_the_api_takes_them_again() -> None:
    reported, metrics = telemetry(io.StringIO())
    shown = []

    for outcome in ("denied", "unavailable", "ok"):
        reported.observe(facts.RequestAnswered(FEED.account, "search", outcome, 403, 0.1, 20))
        found = re.search(
            r'email_connector_api_denied\{.*endpoint="search"\} (\S+)', metrics.exposition().decode()
        )
        shown.append(found and found[1])

    assert shown == ["1.0", "1.0", "0.0"]


def test_the_process_itself_is_measured_and_accounts_have_their_names() -> None:
    reported, metrics = telemetry(io.StringIO())
    text = metrics.exposition().decode()
    assert f'email_connector_account_info{{account="{FEED.account}",name="prod"}} 1.0' in text
    for name in ("resident_memory_bytes", "cpu_seconds_total", "open_fds", "max_fds", "start_time_seconds"):
        assert f"\nprocess_{name} " in text

    logs = Logs("info", "json", stream=io.StringIO(), monotonic=lambda: 0.0)
    reported.watch(logs, {FEED: timedelta(minutes=5)}, {"text": Backlog()}, {FEED.account: "production"})
    text = metrics.exposition().decode()
    assert f'email_connector_account_info{{account="{FEED.account}",name="production"}} 1.0' in text
    assert 'name="prod"' not in text
