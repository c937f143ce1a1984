"""``status`` on a terminal: 80 columns, failing first, relative times, one line per reason."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from connector.cli import status as module
from connector.cli.status import render
from connector.cli.terminal import ago, elapsed

NOW = datetime(2026, 11, 29, 12, tzinfo=UTC)
WIDTH = 80


def feed(search: str, state: str = "fresh", reason: str = "", account: str = "prod") -> dict[str, Any]:
    return {
        "account": "a" * 32,
        "account_name": account,
        "search": search,
        "state": state,
        "reason": reason,
        "checkpoint": (NOW - timedelta(seconds=12)).isoformat(),
        "records": 1234,
        "changes": 5,
        "backfill": None,
    }


def output(name: str, state: str = "working", reason: str = "") -> dict[str, Any]:
    return {
        "output": name,
        "state": state,
        "reason": reason,
        "sent": 98_765,
        "backlog": 3,
        "backlog_oldest": (NOW - timedelta(minutes=3, microseconds=17)).isoformat(),
        "dead_letters": 0,
    }


def status(feeds: list[dict[str, Any]], outputs: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "version": "0.1.0",
        "ready": not any(entry["reason"] for entry in (*feeds, *outputs)),
        "started": (NOW - timedelta(days=1, hours=3, seconds=1)).isoformat(),
        "feeds": feeds,
        "outputs": outputs,
        "configuration": {"problems": []},
        "reasons": [],
        "journal": {"gaps": []},
    }


def lines(feeds: list[dict[str, Any]], outputs: list[dict[str, Any]], **options: Any) -> list[str]:
    return list(render(status(feeds, outputs), NOW, WIDTH, **options))


def test_a_screen_is_80_columns_wide_and_shows_times_a_person_reads() -> None:
    reason = "the collector answered 403: the token lacks the permission to write to this index " * 2
    shown = lines([feed("detections" * 9), feed("all")], [output("siem" * 20, "hold", reason)])

    assert max(map(len, shown)) <= WIDTH
    assert shown[0] == "email-connector 0.1.0: not ready, up 1 d 3 h"
    assert any("12 s ago" in line for line in shown)
    assert any("3 min ago" in line for line in shown)
    assert not re.search(r"\d\d:\d\d:\d\d\.\d", "\n".join(shown)), "no microseconds"
    assert (
        " ".join(" ".join(shown).split()).count("the token lacks the permission to write to this index") == 2
    )


def test_500_feeds_with_one_reason_are_one_line_and_come_before_the_healthy_ones() -> None:
    failing = [
        feed(f"search_{n}", "failing", f"failing ({n} attempts): HTTP 403: denied") for n in range(500)
    ]
    shown = lines([feed("a_healthy_one"), *failing], [output("siem")])

    assert [line for line in shown if "HTTP 403" in line] == [
        "prod/search_0, prod/search_1, prod/search_2 and 497 more: failing: HTTP 403:"
    ]
    assert shown.index(next(line for line in shown if line.startswith("prod/search_0 "))) < 10
    assert not any(line.startswith("prod/a_healthy_one") for line in shown), "behind the failing ones"
    assert "and 481 more feeds, 1 of them healthy (--all shows every one)" in shown
    everything = lines([feed("a_healthy_one"), *failing], [output("siem")], everything=True)
    assert any(line.startswith("prod/a_healthy_one") for line in everything)


def test_a_filter_selects_feeds_and_outputs_by_account_and_name() -> None:
    feeds = [feed("all", account="prod"), feed("all", "failing", "failing: timeout", account="test")]
    shown = "\n".join(lines(feeds, [output("siem")], contains="test/"))

    assert "test/all: failing: timeout" in shown
    assert "prod/all" not in shown
    assert "siem" not in shown


@pytest.mark.parametrize(("environ", "colored"), [({}, True), ({"NO_COLOR": "1"}, False)])
def test_a_hold_is_red_on_a_terminal_unless_no_color_is_set(
    monkeypatch: pytest.MonkeyPatch, environ: dict[str, str], colored: bool
) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)

    shown = "\n".join(lines([feed("all")], [output("siem", "hold", "refused")]))

    assert ("\x1b[31mhold\x1b[0m" in shown) is colored
    assert ("\x1b[31moutput siem: hold: refused\x1b[0m" in shown) is colored
    assert ("\x1b" in shown) is colored


def test_a_refused_reload_stands_first() -> None:
    answer = status([feed("all")], [output("siem")])
    answer["configuration"]["problems"] = ["connector.yaml:3:1: unknown key"]

    shown = list(render(answer, NOW, WIDTH))

    assert shown[1].startswith("configuration not reloaded, the previous one is in effect")


def test_a_journal_that_is_away_is_named() -> None:
    answer = status([feed("all")], [])
    answer["ready"] = False
    answer["reasons"] = [{"what": "journal", "reason": "PostgreSQL at db:5432 \x1b[2J is unavailable"}]

    shown = list(render(answer, NOW, WIDTH))

    assert shown[1].startswith("journal: PostgreSQL at db:5432")
    assert "\x1b[2J" not in "".join(shown)


def test_hostile_text_of_a_collector_does_nothing_to_the_terminal() -> None:
    shown = "\n".join(lines([feed("all")], [output("siem", "hold", "\x1b[2J\x07 refused")]))

    assert "\x1b" not in shown
    assert "\x07" not in shown


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.4, "0 s"), (59, "59 s"), (60, "1 min"), (3_661, "1 h 1 min"), (90_000, "1 d 1 h"), (-5, "0 s")],
)
def test_durations_have_two_units_at_most(seconds: float, text: str) -> None:
    assert elapsed(seconds) == text


def test_a_time_ahead_is_in_the_future() -> None:
    assert ago((NOW + timedelta(minutes=2)).isoformat(), NOW) == "in 2 min"
    assert ago(None, NOW) == "-"


def test_every_state_of_the_daemon_is_known_here() -> None:
    """A state that is not listed as good counts as failing; these are the ones that the daemon has."""
    assert {"fresh", "working"} <= module._GOOD


def test_a_long_wait_is_told_and_how_to_end_it() -> None:
    reason = "the API failed: no reason given [HTTP 503]"
    waiting, others = feed("all", "failing", reason), feed("some", "failing", reason)
    waiting["next_attempt"] = (NOW + timedelta(minutes=59)).isoformat()
    others["next_attempt"] = (NOW + timedelta(minutes=50)).isoformat()
    soon = output("siem", "retrying", "HTTP 503")
    soon["next_attempt"] = (NOW + timedelta(seconds=30)).isoformat()
    held = output("held", "hold", "HTTP 401")
    held["next_attempt"] = datetime.max.replace(tzinfo=UTC).isoformat()

    text = " ".join(" ".join(lines([waiting, others], [soon, held])).split())

    assert f"{reason} (next attempt in 50 min; `email-connector resume` tries at once)" in text
    assert text.count("next attempt") == 1
