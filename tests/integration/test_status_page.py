"""The status page in a real browser: it loads, tells the truth, and hostile names stay text."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from connector import facts
from connector.model import Backlog, Feed, Gap, GapCause, Outline, OutputOutline, Window
from connector.telemetry.endpoint import Board, Endpoint, bind
from connector.telemetry.status import Status
from tests.support.browser import browser

FEED = Feed("a" * 32, "detections")
HOSTILE = "<img src=x onerror=alert(1)>\u202e"


class Desk:
    """A status to change and an endpoint that shows it."""

    def __init__(self) -> None:
        self.board = Board()
        self.status = Status(
            "1.0",
            lambda: datetime.now(UTC),
            {FEED: timedelta(minutes=5)},
            {"siem": Backlog(), HOSTILE: Backlog()},
            {FEED.account: "prod"},
        )
        self.take(facts.FeedCaughtUp(FEED, datetime.now(UTC)))
        outlines = tuple(
            OutputOutline(name, 90, 10, 2000, datetime.now(UTC), 3, attached=True)
            for name in ("siem", HOSTILE)
        )
        self.status.outline(Outline(100, 20_000, outlines, ()))
        self.post()

    def take(self, fact: facts.Fact) -> None:
        self.status.take(fact)
        self.post()

    def post(self) -> None:
        self.board.post(self.status.snapshot())


@pytest.fixture
def desk() -> Desk:
    return Desk()


@pytest.fixture
def endpoint(desk: Desk) -> Iterator[Endpoint]:
    made = Endpoint(bind("127.0.0.1:0"), desk.board, lambda: b"")
    made.start()
    yield made
    made.stop()


def test_the_page_tells_a_stopped_output_within_one_refresh(
    desk: Desk, endpoint: Endpoint, tmp_path: Path
) -> None:
    with browser(tmp_path) as window:
        window.open(endpoint.url + "/")
        window.until("return document.getElementById('verdict').textContent === 'ready'")
        assert window.run("return document.querySelectorAll('#outputs tr').length") == 2

        desk.take(facts.OutputHeld("siem", "HTTP 401"))
        window.until("return document.getElementById('verdict').textContent === 'not ready'")
        row = window.run("return document.querySelector('#outputs tr').innerText")
        assert "hold" in row
        assert "HTTP 401" in row
        assert "1 of 2" in window.run("return document.getElementById('glance').innerText")
        assert "hold begun" in window.run("return document.getElementById('troubles').innerText")
        assert "hold: HTTP 401" in window.run("return document.getElementById('reasons').innerText")


def test_hostile_names_are_text_and_nothing_is_fetched_from_elsewhere(
    desk: Desk, endpoint: Endpoint, tmp_path: Path
) -> None:
    desk.take(facts.OutputHeld(HOSTILE, HOSTILE))
    desk.take(facts.EventDeadLettered(HOSTILE, 7, "rejected", HOSTILE))
    desk.take(facts.ConfigurationRefused((HOSTILE,)))
    with browser(tmp_path, width=400) as window:
        window.open(endpoint.url + "/")
        window.until("return document.querySelectorAll('#outputs tr').length === 2")
        shown = window.run("return document.querySelectorAll('#outputs tr')[1].firstChild.textContent")

        assert shown == HOSTILE
        assert HOSTILE in window.run("return document.getElementById('troubles').textContent")
        assert HOSTILE in window.run("return document.getElementById('reasons').textContent")
        assert window.run("return document.images.length") == 0
        assert window.run("return document.body.scrollWidth <= window.innerWidth")
        assert window.complaints() == []
        asked = window.requested()
        assert endpoint.url + "/api/status" in asked
        elsewhere = [url for url in asked if not url.startswith((endpoint.url, "data:", "chrome:"))]
        assert elsewhere == []


def test_a_gap_is_told_and_a_daemon_that_went_away_too(
    desk: Desk, endpoint: Endpoint, tmp_path: Path
) -> None:
    now = datetime.now(UTC)
    gap = Gap(Window(now - timedelta(hours=2), now - timedelta(hours=1)), GapCause.RETENTION)
    outlines = desk.status.snapshot()["journal"]
    desk.board.post({**desk.status.snapshot(), "journal": {**outlines, "gaps": [
        {"account": FEED.account, "search": "detections", "start": gap.window.start.isoformat(),
         "end": gap.window.end.isoformat(), "cause": gap.cause}]}})  # fmt: skip
    with browser(tmp_path, dark=True) as window:
        window.open(endpoint.url + "/")
        window.until("return document.getElementById('reasons').innerText.includes('retention')")
        ground = "return getComputedStyle(document.body).backgroundColor"
        assert window.run(ground) == "rgb(13, 17, 23)", "dark where that is preferred"

        endpoint.stop()
        window.until("return document.getElementById('verdict').textContent.includes('does not answer')")


def test_backfills_and_plots_are_shown_in_words_too_and_a_keyboard_reaches_everything(
    desk: Desk, endpoint: Endpoint, tmp_path: Path
) -> None:
    now = datetime.now(UTC)
    desk.take(facts.PageCollected(FEED, "live", records=9, new=7, changed=2, repeated=0, outside=0))
    desk.take(facts.BackfillStarted(FEED, 1, now - timedelta(days=7), now, now - timedelta(days=7)))
    desk.take(facts.BackfillProgressed(FEED, 1, now - timedelta(days=3), read=412, revisions=380))
    with browser(tmp_path) as window:
        window.open(endpoint.url + "/")
        window.until("return !document.getElementById('backfills-section').hidden")
        row = window.run("return document.querySelector('#backfills tr').innerText")
        assert "412" in row
        assert "380" in row
        words = (
            "return [...document.querySelectorAll('svg[role=img]')].map(s => s.getAttribute('aria-label'))"
        )
        window.until("return document.querySelectorAll('svg').length === 5")
        assert "records per 30 s: now 9, at most 9" in window.run(words)

        reached = {window.tab() for _ in range(9)}
        assert {"Pause updates", "Feeds", "Outputs", "Backfills", "Accounts"} <= reached
        window.run("document.getElementById('pause').click()")
        assert window.run("return document.getElementById('pause').getAttribute('aria-pressed')") == "true"
        desk.take(facts.OutputHeld("siem", "HTTP 401"))
        asked = "return performance.getEntriesByType('resource').length"
        looks = window.run(asked)
        window.until(f"return performance.getEntriesByType('resource').length >= {looks + 4}")
        assert window.run("return document.getElementById('verdict').textContent") == "ready"
        assert window.complaints() == []
