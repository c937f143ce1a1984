"""A verdict corrected to clean leaves a search for detections; a deleted record leaves every search."""

from __future__ import annotations

from pathlib import Path

from connector.facts import RecordDisappeared
from connector.simulator import Changes
from tests.scenarios.collection.feed import DETECTIONS, MINUTE, Filters, run, tenant


def test_corrected_verdicts_reach_the_output_as_updates(tmp_path: Path) -> None:
    async def story() -> None:
        async with tenant(tmp_path, filters=DETECTIONS) as account:
            verdict = await account.story()

            assert verdict.faults == {}
            assert verdict.repeats == 0
            corrected = [one for one in account.reported if one.body["final_disposition"] == "NONE"]
            assert len(corrected) > 5
            assert all(revision.number > 1 for revision in corrected)

    run(story())


def test_deleted_records_are_reported_as_gone_once(tmp_path: Path) -> None:
    async def story() -> None:
        often = Changes(share=0.4, earliest=MINUTE / 12, latest=18 * MINUTE, removed=0.5)
        async with tenant(tmp_path, changes=often) as account:
            verdict = await account.story()

            assert verdict.faults == {}
            gone = [revision.id for revision in account.reported if revision.gone]
            assert len(gone) == len(set(gone)) > 20

    run(story())


def test_look_ups_that_fail_for_a_while_lose_no_correction(tmp_path: Path) -> None:
    async def story() -> None:
        async with tenant(tmp_path, filters=DETECTIONS) as account:
            faults = account.simulator.behaviour.faults
            faults.script(["server_error"] * 20, on="record")
            verdict = await account.story()

            assert verdict.faults == {}
            assert faults.left == 0
            assert "unknown" not in {left.outcome for left in account.seen(RecordDisappeared)}

    run(story())


def test_several_dispositions_in_one_search_follow_a_record_from_one_to_another(tmp_path: Path) -> None:
    async def story() -> None:
        filters: Filters = {"final_disposition": ("SPAM", "MALICIOUS"), "detections_only": False}
        async with tenant(tmp_path, filters=filters, rate=0, backlog=0, changes=0) as account:
            world = account.simulator.world
            names = [world.add(final_disposition=verdict) for verdict in ("SPAM", "MALICIOUS", "BULK")]
            await account.collect(3 * MINUTE)
            world.change(names[0], final_disposition="MALICIOUS")
            world.change(names[1], final_disposition="BULK")
            await account.quieten()
            verdict = await account.verdict()

            assert verdict.faults == {}
            assert [
                (t.id, t.body["final_disposition"]) for t in sorted(account.reported, key=lambda t: t.number)
            ][2:] == [(names[0], "MALICIOUS"), (names[1], "BULK")]

    run(story())
