"""What a caller asks for is done once, told per message and recipient, and audited."""

from __future__ import annotations

from pathlib import Path

import pytest

from connector.simulator import Fault
from tests.support.acting import RECIPIENTS, acting, states
from tests.support.jumping_loop import run

GRACE = 0.02


def test_a_move_is_done_and_told_per_recipient(tmp_path: Path) -> None:
    async def story() -> None:
        async with acting(tmp_path) as place:
            message = place.delivered()
            body = {"ids": [message, message], "destination": "JunkEmail", "reason": "SOC-1"}

            reply = await place.call("POST", "/v1/messages/move?wait=20s", body)

            action = reply.json()
            assert (reply.status_code, action["state"], action["ended"]) == (200, "succeeded", True)
            assert reply.headers["location"] == f"/v1/actions/{action['id']}"
            assert [(row["recipient"], row["state"]) for row in action["results"]] == [
                (address, "succeeded") for address in RECIPIENTS
            ]
            assert place.simulator.ledger.effects("move") == {message: 1}
            [write] = place.simulator.ledger.writes
            assert write.document == {"ids": [message], "destination": "JunkEmail"}
            audit = await place.audit()
            assert [event["state"] for event in audit] == ["accepted", "running", "succeeded"]
            assert {(event["caller"], event["reason"]) for event in audit} == {("soc", "SOC-1")}

    run(story(), grace=GRACE)


def test_without_waiting_the_answer_comes_at_once_and_the_action_can_be_read(tmp_path: Path) -> None:
    async def story() -> None:
        async with acting(tmp_path) as place:
            body = {"ids": [place.held()], "reason": "SOC-1"}

            reply = await place.call("POST", "/v1/messages/release", body)
            ended = await place.call("GET", reply.headers["location"] + "?wait=20s")

            assert (reply.status_code, reply.json()["ended"]) == (202, False)
            assert (ended.status_code, ended.json()["state"]) == (200, "succeeded")
            listed = (await place.call("GET", "/v1/actions")).json()
            assert [one["id"] for one in listed["actions"]] == [reply.json()["id"]]
            assert (await place.call("GET", f"/v1/actions?after={listed['next']}")).json()["actions"] == []

    run(story(), grace=GRACE)


def test_one_failure_does_not_stop_the_others(tmp_path: Path) -> None:
    async def story() -> None:
        async with acting(tmp_path) as place:
            held, free = place.held(), place.delivered()
            body = {"ids": ["no-such-message", free, held], "reason": "SOC-1"}

            action = (await place.call("POST", "/v1/messages/release?wait=20s", body)).json()

            assert action["state"] == "partial"
            assert states(action)[:2] == [
                ("failed", "the API does not know this message"),
                ("failed", "the message is not in quarantine"),
            ]
            assert place.simulator.ledger.effects("release") == {held: 1}

    run(story(), grace=GRACE)


def test_a_message_that_the_api_refuses_alone_does_not_stop_the_others(tmp_path: Path) -> None:
    async def story() -> None:
        async with acting(tmp_path) as place:
            ids = [place.held() for _ in range(3)]
            # Both forms of the body are refused for all three, then for the first alone.
            refusals = [Fault("refused", status=400)] * 4
            place.simulator.behaviour.script(refusals, on="release")

            action = (
                await place.call("POST", "/v1/messages/release?wait=20s", {"ids": ids, "reason": "SOC-1"})
            ).json()

            assert action["state"] == "partial"
            assert place.simulator.ledger.effects("release") == {ids[1]: 1, ids[2]: 1}

    run(story(), grace=GRACE)


@pytest.mark.parametrize(("era", "bodies"), [("object", 1), ("array", 2)])
def test_a_release_finds_the_form_that_the_api_wants_and_remembers_it(
    tmp_path: Path, era: str, bodies: int
) -> None:
    async def story() -> None:
        async with acting(tmp_path) as place:
            place.simulator.behaviour.release_era = era  # type: ignore[assignment]
            for number in range(2):
                body = {"ids": [place.held()], "reason": "SOC-1"}
                action = (await place.call("POST", "/v1/messages/release?wait=20s", body)).json()
                assert action["state"] == "succeeded"
                writes = [write.request.status for write in place.simulator.ledger.writes]
                assert len(writes) == bodies + number

    run(story(), grace=GRACE)


def test_submissions_are_made_from_the_record(tmp_path: Path) -> None:
    async def story() -> None:
        async with acting(tmp_path) as place:
            detected, clean = place.held(), place.delivered(final_disposition="NONE", alert_id=None)
            ask = {"expected_disposition": "NONE", "reason": "SOC-1", "ids": [detected, clean]}
            missed = {**ask, "ids": [clean], "expected_disposition": "MALICIOUS", "type": "missed_detection"}

            first = await place.call("POST", "/v1/submissions?wait=20s", {**ask, "type": "reclassification"})
            second = await place.call("POST", "/v1/submissions?wait=20s", missed)

            assert first.json()["state"] == "partial"
            assert "missed_detection" in states(first.json())[1][1]
            assert second.json()["state"] == "succeeded"
            assert place.simulator.ledger.effects("submission") == {detected: 1, clean: 1}

    run(story(), grace=GRACE)


def test_a_submission_that_is_not_accepted_has_failed(tmp_path: Path) -> None:
    async def story() -> None:
        async with acting(tmp_path) as place:
            place.simulator.behaviour.script(["not_accepted"], on="write")
            body = {
                "ids": [place.held()], "type": "reclassification", "expected_disposition": "NONE",
                "reason": "SOC-1",
            }  # fmt: skip

            action = (await place.call("POST", "/v1/submissions?wait=20s", body)).json()

            assert (action["state"], states(action)) == ("failed", [("failed", "submission limit reached")])

    run(story(), grace=GRACE)


def test_a_dry_run_sends_nothing_that_writes(tmp_path: Path) -> None:
    async def story() -> None:
        async with acting(tmp_path) as place:
            held, free = place.held(), place.delivered()
            common = {"reason": "SOC-1", "dry_run": True}
            asks: list[tuple[str, dict[str, object]]] = [
                ("/v1/messages/move", {"ids": [free, "unknown"], "destination": "JunkEmail"}),
                ("/v1/messages/release", {"ids": [held, free]}),
                (
                    "/v1/submissions",
                    {"ids": [held], "type": "reclassification", "expected_disposition": "NONE"},
                ),
                ("/v1/senders/block", {"pattern": "evil.example", "pattern_type": "DOMAIN"}),
            ]

            told = [
                (await place.call("POST", f"{path}?wait=20s", {**body, **common})).json()
                for path, body in asks
            ]

            assert [one["state"] for one in told] == ["partial", "partial", "succeeded", "succeeded"]
            assert states(told[0])[0] == ("planned", "would be moved to JunkEmail for 2 recipients")
            assert list(place.simulator.ledger.writes) == []

    run(story(), grace=GRACE)


def test_a_hard_delete_is_a_dry_run_unless_the_caller_says_otherwise(tmp_path: Path) -> None:
    callers = """
    soc: {token: soc-token-0123456789, may: [move], destinations: [RecoverableItemsPurges]}
"""

    async def story() -> None:
        async with acting(tmp_path, callers=callers) as place:
            body = {"ids": [place.delivered()], "destination": "RecoverableItemsPurges", "reason": "SOC-1"}

            dry = (await place.call("POST", "/v1/messages/move?wait=20s", body)).json()
            assert (dry["dry_run"], len(place.simulator.ledger.writes)) == (True, 0)
            real = (await place.call("POST", "/v1/messages/move?wait=20s", {**body, "dry_run": False})).json()
            assert (real["dry_run"], real["state"]) == (False, "succeeded")

    run(story(), grace=GRACE)


def test_the_same_request_is_carried_out_once_and_another_one_is_refused(tmp_path: Path) -> None:
    async def story() -> None:
        async with acting(tmp_path) as place:
            held = place.held()
            body = {"ids": [held], "reason": "SOC-1", "request_id": "run-1"}

            first = await place.call("POST", "/v1/messages/release?wait=20s", body)
            again = await place.call("POST", "/v1/messages/release?wait=20s", body)
            del body["request_id"]
            header = await place.call("POST", "/v1/messages/release", body, idempotency_key="run-1")
            other = await place.call(
                "POST", "/v1/messages/release", {**body, "reason": "SOC-2", "request_id": "run-1"}
            )

            assert first.json() == again.json() == header.json()
            assert (other.status_code, other.json()["code"]) == (409, "request_id_used")
            assert place.simulator.ledger.effects("release") == {held: 1}

    run(story(), grace=GRACE)


def test_hundreds_of_messages_are_done_in_several_requests(tmp_path: Path) -> None:
    callers = """
    soc: {token: soc-token-0123456789, may: [move], ids_per_call: 1000}
"""

    async def story() -> None:
        async with acting(tmp_path, callers=callers) as place:
            ids = [place.delivered() for _ in range(120)]
            body = {"ids": ids, "destination": "DeletedItems", "reason": "SOC-1"}

            action = (await place.call("POST", "/v1/messages/move?wait=30s", body)).json()

            assert action["state"] == "succeeded"
            assert [len(write.document["ids"]) for write in place.simulator.ledger.writes] == [50, 50, 20]

    run(story(), grace=GRACE)
