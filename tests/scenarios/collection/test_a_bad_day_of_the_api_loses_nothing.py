"""Every kind of failure at random, all at once: the oracle finds nothing missing afterwards."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

from connector.facts import CollectionFailed, FeedCaughtUp, RequestRetried, WindowSplit
from connector.simulator import Fault, Faults
from tests.scenarios.collection.feed import DETECTIONS, MINUTE, run, tenant

RATES = {
    "server_error": 0.05, "html_error": 0.03, "not_json": 0.02, "failure": 0.02, "null_result": 0.02,
    "cut_json": 0.03, "bad_gzip": 0.02, "reset": 0.03, "cut": 0.03,
    "repeat_page": 0.05, "repeat_cursor": 0.02, "lost_cursor": 0.02, "empty_page": 0.03, "small_page": 0.05,
    "pending": 0.10, Fault("rate_limited", retry_after=20): 0.02,
}  # fmt: skip


def test_a_search_that_fails_in_every_way_is_still_complete(tmp_path: Path) -> None:
    async def story() -> None:
        async with tenant(tmp_path, behaviour={"rates": RATES}, per_page=20) as account:
            verdict = await account.story()

            assert verdict.faults == {}
            assert verdict.repeats == 0
            assert account.seen(WindowSplit)
            assert account.seen(RequestRetried)

    run(story())


def test_restarts_in_between_lose_nothing_either(tmp_path: Path) -> None:
    """What was in hand when the feed was stopped may have changed when it is asked for again."""

    async def story() -> None:
        everywhere = {"rates": {"server_error": 0.1, "reset": 0.1}, "faults": Faults(rates_on="any")}
        async with tenant(tmp_path, filters=DETECTIONS, behaviour=everywhere, per_page=20) as account:
            for _ in range(5):
                await account.collect(5 * MINUTE + MINUTE / 7)
            await account.quieten()
            verdict = await account.verdict(all_handed_out=False)

            assert verdict.faults == {}
            assert verdict.repeats == 0

    run(story())


def test_an_api_that_is_away_for_half_an_hour_is_caught_up_with_by_itself(tmp_path: Path) -> None:
    async def story() -> None:
        async with tenant(tmp_path) as account:
            await account.collect(5 * MINUTE)
            account.simulator.behaviour.rates = {Fault("server_error", status=503): 1.0}
            caught_up = len(account.seen(FeedCaughtUp))
            await account.collect(30 * MINUTE)
            assert account.seen(CollectionFailed)
            assert len(account.seen(FeedCaughtUp)) == caught_up, "a feed that reads nothing is not fresh"
            account.simulator.behaviour.rates = {}
            verdict = await account.story(5 * MINUTE)

            assert verdict.faults == {}
            assert len(account.seen(FeedCaughtUp)) > caught_up

    run(story())


def test_retention_is_a_gap_that_is_reported_and_the_feed_goes_on(tmp_path: Path) -> None:
    """After a week away the API refuses the old range for ever; the rest of it is still there."""

    async def story() -> None:
        retention = timedelta(days=2)
        manner = {"retention": retention, "beyond_retention": "refused"}
        async with tenant(tmp_path, behaviour=manner) as account:
            await account.collect(5 * MINUTE)
            account.simulator.world.rate = 0.001
            began = account.clock()
            await account.sleep(timedelta(days=7))
            await account.collect(90 * MINUTE)
            await account.quieten()
            gaps = (await account.journal.outline()).feeds[0].gaps

            live = [gap for gap in gaps if gap.reason == "retention (live)"]
            assert len(live) == 1
            assert abs(live[0].window.start - began) < 2 * MINUTE
            edge = account.clock() - retention
            assert edge - 180 * MINUTE < live[0].window.end < edge
            account.simulator.behaviour.retention = None
            window = (live[0].window.end, account.clock() - 60 * MINUTE)
            assert account.simulator.ledger.ids(account.plan.query.filters, window) <= {
                revision.id for revision in account.reported
            }

    run(story())
