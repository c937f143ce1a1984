"""The status page in a real browser: it loads, tells the truth, and hostile names stay text."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from connector import facts
from connector.leases import Lease, Replica, Replicas, account_lease, output_lease
from connector.model import Backlog, Feed, Gap, GapCause, Outline, OutputOutline, Window
from connector.telemetry.endpoint import Endpoint, SnapshotHolder, bind
from connector.telemetry.status import Status
from tests.support.browser import browser

FEED = Feed("a" * 32, "detections")
HOSTILE = "<img src=x onerror=alert(1)>\u202e"


class Desk:
    """A status to change and an endpoint that shows it."""

    def __init__(self) -> None:
        self.snapshots = SnapshotHolder()
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
        self.snapshots.publish(self.status.snapshot())


@pytest.fixture
def desk() -> Desk:
    return Desk()


@pytest.fixture
def endpoint(desk: Desk) -> Iterator[Endpoint]:
    made = Endpoint(bind("127.0.0.1:0"), desk.snapshots, lambda: b"")
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
        assert "held" in row
        assert "HTTP 401" in row
        assert "1 of 2" in window.run("return document.getElementById('glance').innerText")
        assert "output held" in window.run("return document.getElementById('problems').innerText")
        assert "held: HTTP 401" in window.run("return document.getElementById('reasons').innerText")


def test_replicas_and_what_they_hold_are_shown(desk: Desk, endpoint: Endpoint, tmp_path: Path) -> None:
    names = (account_lease(FEED.account), output_lease("siem"))
    live = tuple(Replica(name, f"host-{name}", 7, "1.0", frozenset(names), 60.0) for name in ("one", "two"))
    leases = tuple(Lease(name, "two", 3, 14.0, 30.0) for name in names)
    desk.take(facts.ReplicasSeen("one", Replicas(live, leases), ()))
    with browser(tmp_path) as window:
        window.open(endpoint.url + "/")
        window.until("return document.querySelectorAll('#replicas tr').length === 2")
        rows = "return [...document.querySelectorAll('#replicas tr')].map((row) => row.innerText)"
        first, second = window.run(rows)
        assert "host-one:7 (this one)" in first
        assert "nothing" in first
        assert "output/siem" in second
        feeds = window.run("return document.getElementById('feeds').innerText")
        assert "standby" in feeds
        assert "done by host-two" in feeds
        assert window.run("return document.getElementById('verdict').textContent") == "ready"


def test_hostile_names_are_text_and_nothing_is_fetched_from_elsewhere(
    desk: Desk, endpoint: Endpoint, tmp_path: Path
) -> None:
    desk.take(facts.OutputHeld(HOSTILE, HOSTILE))
    desk.take(facts.EventDeadLettered(HOSTILE, 7, "rejected", HOSTILE))
    desk.take(facts.ConfigurationRefused((HOSTILE,)))
    with browser(tmp_path, width=400) as window:
        window.open(endpoint.url + "/")
        window.until("return document.querySelectorAll('#outputs tr').length === 2")
        shown = window.run("return document.querySelectorAll('#outputs tr')[0].firstChild.textContent")

        assert shown == HOSTILE
        assert HOSTILE in window.run("return document.getElementById('problems').textContent")
        assert HOSTILE in window.run("return document.getElementById('reasons').textContent")
        assert window.run("return document.images.length") == 0
        assert window.run("return document.body.scrollWidth <= window.innerWidth")
        assert window.complaints() == []
        asked = window.requested()
        assert endpoint.url + "/api/status" in asked
        elsewhere = [url for url in asked if not url.startswith((endpoint.url, "data:", "chrome:"))]
        assert elsewhere == []


def test_a_gap_is_reported_and_a_daemon_that_went_away_too(
    desk: Desk, endpoint: Endpoint, tmp_path: Path
) -> None:
    now = datetime.now(UTC)
    gap = Gap(Window(now - timedelta(hours=2), now - timedelta(hours=1)), GapCause.RETENTION)
    outlines = desk.status.snapshot()["journal"]
    desk.snapshots.publish({**desk.status.snapshot(), "journal": {**outlines, "gaps": [
        {"account": FEED.account, "search": "detections", "start": gap.window.start.isoformat(),
         "end": gap.window.end.isoformat(), "cause": gap.cause}]}})  # fmt: skip
    with browser(tmp_path, dark=True) as window:
        window.open(endpoint.url + "/")
        window.until("return document.getElementById('reasons').innerText.includes('retention')")
        ground = "return getComputedStyle(document.body).backgroundColor"
        assert window.run(ground) == "rgb(13, 17, 23)", "dark where that is preferred"

        endpoint.stop()
        window.until("return document.getElementById('verdict').textContent.includes('does not answer')")
        said = window.run("return document.getElementById('verdict').textContent")
        assert "as of 20" in said
        opacity = float(window.run("return getComputedStyle(document.querySelector('main')).opacity"))
        assert opacity < 0.6, "old figures are greyed out"


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


BROKEN_WORDS = """
const broken = [];
const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
for (let node = texts.nextNode(); node; node = texts.nextNode()) {
  for (const word of node.textContent.matchAll(/[^\\s/:-]+/g)) {
    const range = document.createRange();
    range.setStart(node, word.index);
    range.setEnd(node, word.index + word[0].length);
    const lines = new Set([...range.getClientRects()].map((box) => Math.round(box.top)));
    if (lines.size > 1) broken.push(word[0]);
  }
}
return broken;
"""


def test_on_a_phone_no_word_is_broken_and_nothing_is_cut_off(
    desk: Desk, endpoint: Endpoint, tmp_path: Path
) -> None:
    refusal = "the collector refused the credentials (HTTP 401 Unauthorized); check auth.token_file"
    desk.take(facts.OutputHeld("siem", refusal))
    desk.take(facts.EventsFiltered("siem", 123_456, "when"))
    desk.take(facts.CollectionFailed(FEED, "live", "unavailable", "HTTP 503 Service Unavailable", 12, 60.0))
    with browser(tmp_path, width=390, height=844, phone=True) as window:
        window.open(endpoint.url + "/")
        window.until("return document.querySelectorAll('#outputs tr').length === 2")

        assert window.run("return [window.innerWidth, document.documentElement.scrollWidth]") == [390, 390]
        window.screenshot(tmp_path / "phone.png")
        assert window.run(BROKEN_WORDS) == []
        row = window.run("return document.querySelector('#outputs tr').innerText")
        assert "held" in row
        label = "return getComputedStyle(document.querySelector('#outputs td'), '::before').content"
        assert "State" in window.run(label), "without the table's head each value has its name"


def test_many_feeds_of_many_accounts_are_grouped_sorted_and_filtered(tmp_path: Path) -> None:
    accounts = {f"{number:032x}": f"customer-{number:03}" for number in range(300)}
    every = [Feed(account, search) for account in accounts for search in ("detections", "all")]
    status = Status(
        "1.0",
        lambda: datetime.now(UTC),
        dict.fromkeys(every, timedelta(minutes=5)),
        {"siem": Backlog()},
        accounts,
    )
    for feed in every:
        status.take(facts.FeedCaughtUp(feed, datetime.now(UTC)))
    broken = [feed for feed in every if feed.search == "all"][-40:]
    for attempt, feed in enumerate(broken, 3):
        status.take(facts.CollectionFailed(feed, "live", "unavailable", "HTTP 503", attempt, 60.0))
    status.outline(Outline(1, 1, (), ()))
    snapshots = SnapshotHolder()
    snapshots.publish(status.snapshot())
    endpoint = Endpoint(bind("127.0.0.1:0"), snapshots, lambda: b"")
    endpoint.start()
    try:
        with browser(tmp_path) as window:
            window.open(endpoint.url + "/")
            window.until("return document.querySelectorAll('#feeds tr').length > 0")
            reasons = window.run(
                "return [...document.querySelectorAll('#reasons li')].map(li => li.innerText)"
            )
            assert len(reasons) == 1
            assert reasons[0].startswith("40 feeds: failing (3 attempts): HTTP 503 (next attempt in ")
            assert "customer-260 / all" in reasons[0]
            assert "and 35 more" in reasons[0]

            rows = "return [...document.querySelectorAll('#feeds tr')].map(row => row.innerText)"
            shown = window.run(rows)
            assert len(shown) == 50
            assert all("failing" in row for row in shown[:40])
            assert window.run(
                "return document.getElementById('outputs').getBoundingClientRect().top"
                " < document.getElementById('feeds').getBoundingClientRect().top"
            )
            window.run(
                "const box = document.getElementById('feeds-filter'); box.value = 'Customer-017';"
                "box.dispatchEvent(new Event('input'))"
            )
            assert [row.split("\t")[0] for row in window.run(rows)] == [
                "customer-017 / detections", "customer-017 / all",
            ]  # fmt: skip
            window.run(
                "const box = document.getElementById('feeds-filter'); box.value = '';"
                "box.dispatchEvent(new Event('input')); document.getElementById('feeds-all').click()"
            )
            assert len(window.run(rows)) == 600
            assert window.complaints() == []
    finally:
        endpoint.stop()
