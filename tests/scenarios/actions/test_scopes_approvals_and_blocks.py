"""Nobody does more than its scope allows, whatever it says; approvals and blocks end by themselves."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from connector.actions.action import State
from tests.support.acting import acting, states
from tests.support.jumping_loop import run

pytestmark = pytest.mark.slow

GRACE = 0.02
CALLERS = """
    soc: {token: soc-token-0123456789, may: [search, get, move, release, raw, events, block], ids_per_call: 3,
          per_hour: 4, recipients: ["*@corp.example"], destinations: [JunkEmail],
          block: {types: [DOMAIN], never: [corp.example], expires_max: 1h}}
    lead: {token: lead-token-0123456789, may: [approve, move, release], recipients: ["a@corp.example"]}
    boss: {token: boss-token-0123456789, may: [approve, move, release]}
    asks: {token: asks-token-0123456789, may: [move, release],
           approval: second_caller, approval_for: [release]}
    waits: {token: waits-token-0123456789, may: [move], approval: operator}
"""
OTHER = {"client_recipients": ["a@corp.example", "x@other.example"]}


@pytest.mark.parametrize(
    ("path", "body", "why"),
    [
        ("messages/move", {"ids": ["$other"], "destination": "JunkEmail"}, "recipient"),
        ("messages/release", {"ids": ["$own", "$other"]}, "recipient"),
        ("messages/move", {"ids": ["$own"], "destination": "Inbox"}, "destination Inbox"),
        ("messages/move", {"ids": ["a", "b", "c", "d"], "destination": "JunkEmail"}, "limit is 3"),
        ("messages/move", {"ids": ["$own"], "destination": "JunkEmail", "account": "test"}, "account"),
        ("submissions", {"ids": ["$own"], "type": "missed_detection"}, "submit"),
        ("senders/block", {"pattern": "corp.example", "pattern_type": "DOMAIN", "expires_in": 60}, "never"),
        ("senders/block", {"pattern": "evil.example", "pattern_type": "DOMAIN"}, "expires_in"),
        ("senders/block", {"pattern": "1.2.3.4", "pattern_type": "IP", "expires_in": 60}, "blocking by IP"),
    ],
)
def test_what_is_out_of_scope_is_refused_audited_and_not_sent(
    tmp_path: Path, path: str, body: dict[str, Any], why: str
) -> None:
    async def story() -> None:
        async with acting(tmp_path, callers=CALLERS) as place:
            names = {"$own": place.held(), "$other": place.held(**OTHER)}
            asked = {**body, "reason": "SOC-1"}
            if "ids" in body:
                asked["ids"] = [names.get(name, name) for name in body["ids"]]

            reply = await place.call("POST", f"/v1/{path}", asked)

            assert (reply.status_code, reply.json()["code"]) == (403, "out_of_scope")
            assert reply.headers["content-type"] == "application/problem+json"
            assert why in reply.json()["detail"]
            assert list(place.simulator.ledger.writes) == []
            [event] = await place.audit()
            assert (event["state"], event["status"], event["caller"]) == ("refused", 403, "soc")
            assert event["detail"] == reply.json()["detail"]
            # Where the permission is missing, the body is not even read.
            assert event.get("reason") == (None if why == "submit" else "SOC-1")
            assert (await place.ledger.page(0, 10)) == []

    run(story(), grace=GRACE)


def test_a_restricted_caller_sees_only_its_messages(tmp_path: Path) -> None:
    async def story() -> None:
        async with acting(tmp_path, callers=CALLERS) as place:
            own, other = place.held(), place.held(**OTHER)
            await asyncio.sleep(5)

            found = (await place.call("GET", "/v1/messages")).json()
            assert [one["id"] for one in found["messages"]] == [own]
            assert (found["withheld"], found["truncated"]) == (1, False)
            assert (await place.call("GET", f"/v1/messages/{own}")).status_code == 200
            for part in ("", "/raw"):
                assert (await place.call("GET", f"/v1/messages/{other}{part}")).status_code == 403
            assert (await place.call("GET", "/v1/messages/none")).status_code == 404

    run(story(), grace=GRACE)


def test_a_message_is_read_with_details_and_downloaded_as_a_file(tmp_path: Path) -> None:
    async def story() -> None:
        async with acting(tmp_path) as place:
            held, clean = place.held(message_id="<1@x>"), place.delivered(final_disposition="NONE")
            await asyncio.sleep(5)

            told = (await place.call("GET", f"/v1/messages/{held}?with=detections,action_log")).json()
            raw = await place.call("GET", f"/v1/messages/{held}/raw")
            picture = await place.call("GET", f"/v1/messages/{clean}/preview")
            found = await place.call("GET", "/v1/messages", by="soc")

            assert told["message"]["id"] == held
            assert (told["detections"]["action"], told["action_log"]) == ("QUARANTINED", [])
            assert raw.headers["content-type"] == "application/octet-stream"
            assert raw.headers["content-disposition"].startswith("attachment; filename=")
            assert raw.headers["x-content-type-options"] == "nosniff"
            assert raw.content.startswith(b"From: ")
            assert (picture.headers["content-type"], picture.content[1:4]) == ("image/png", b"PNG")
            assert {one["id"] for one in found.json()["messages"]} == {held, clean}
            by_id = (await place.call("GET", "/v1/messages?message_id=%3C1@x%3E")).json()
            assert [one["id"] for one in by_id["messages"]] == [held]

    run(story(), grace=GRACE)


def test_a_playbook_in_a_loop_is_stopped(tmp_path: Path) -> None:
    async def story() -> None:
        async with acting(tmp_path, callers=CALLERS) as place:
            body = {"ids": [place.delivered()], "destination": "JunkEmail", "reason": "SOC-1"}

            replies = [await place.call("POST", "/v1/messages/move", body) for _ in range(6)]

            assert [reply.status_code for reply in replies] == [202] * 4 + [429] * 2
            assert int(replies[-1].headers["retry-after"]) > 3000
            await asyncio.sleep(3601)
            assert (await place.call("POST", "/v1/messages/move", body)).status_code == 202

    run(story(), grace=GRACE)


def test_an_action_begins_when_another_caller_whose_scope_covers_it_approves(tmp_path: Path) -> None:
    async def story() -> None:
        async with acting(tmp_path, callers=CALLERS) as place:
            held = place.held()
            body = {"ids": [held], "reason": "SOC-1"}

            asked = (await place.call("POST", "/v1/messages/release", body, by="asks")).json()
            place_of = f"/v1/actions/{asked['id']}"
            refusals = [
                (await place.call("POST", f"{place_of}/approve", by=name)).status_code
                for name in ("asks", "soc", "lead")
            ]
            approved = await place.call("POST", f"{place_of}/approve?wait=20s", by="boss")
            again = await place.call("POST", f"{place_of}/approve", by="boss")

            assert asked["state"] == "awaiting_approval"
            # No permission to approve, not even to see it, and a scope that does not cover the recipients.
            assert refusals == [403, 403, 403]
            assert (approved.json()["state"], approved.json()["approved_by"]) == ("succeeded", "boss")
            assert again.status_code == 409
            assert place.simulator.ledger.effects("release") == {held: 1}
            told = [(event["state"], event["actor"]) for event in await place.audit() if "action_id" in event]
            assert told[:2] == [("awaiting_approval", "asks"), ("accepted", "boss")]

    run(story(), grace=GRACE)


def test_what_needs_no_approval_begins_at_once_and_what_an_operator_approves_waits(tmp_path: Path) -> None:
    async def story() -> None:
        async with acting(tmp_path, callers=CALLERS) as place:
            body = {"ids": [place.delivered()], "destination": "JunkEmail", "reason": "SOC-1"}

            free = (await place.call("POST", "/v1/messages/move?wait=20s", body, by="asks")).json()
            dry = (
                await place.call("POST", "/v1/messages/move?wait=20s", {**body, "dry_run": True}, by="waits")
            ).json()
            held = (await place.call("POST", "/v1/messages/move", body, by="waits")).json()
            refused = await place.call("POST", f"/v1/actions/{held['id']}/approve", by="boss")

            assert (free["state"], dry["state"], held["state"]) == (
                "succeeded", "succeeded", "awaiting_approval",
            )  # fmt: skip
            assert refused.status_code == 403
            assert (await place.settled(held["id"])).state is State.EXPIRED
            assert place.clock().isoformat() >= "2026-03-02T12:00:00"

    run(story(), grace=GRACE)


def test_an_action_that_has_not_begun_can_be_cancelled(tmp_path: Path) -> None:
    async def story() -> None:
        async with acting(tmp_path, callers=CALLERS) as place:
            body = {"ids": [place.held()], "reason": "SOC-1"}
            asked = (await place.call("POST", "/v1/messages/release", body, by="asks")).json()
            place_of = f"/v1/actions/{asked['id']}"

            foreign = await place.call("POST", f"{place_of}/cancel", by="soc")
            own = await place.call("POST", f"{place_of}/cancel", by="asks")
            again = await place.call("POST", f"{place_of}/cancel", by="asks")
            late = await place.call("POST", f"{place_of}/approve", by="boss")

            assert (foreign.status_code, own.json()["state"]) == (404, "cancelled")
            assert (again.status_code, late.status_code) == (409, 409)
            assert list(place.simulator.ledger.writes) == []

    run(story(), grace=GRACE)


def test_a_block_expires_and_only_own_blocks_can_be_lifted(tmp_path: Path) -> None:
    async def story() -> None:
        async with acting(tmp_path) as place:
            entries = place.simulator.blocked_senders.entries
            body = {"pattern": "evil.example", "pattern_type": "DOMAIN", "expires_in": 600, "reason": "SOC-1"}

            made = (await place.call("POST", "/v1/senders/block?wait=20s", body)).json()
            assert (made["state"], len(entries)) == ("succeeded", 1)
            assert made["id"] in next(iter(entries.values()))["comments"]
            longer = {**body, "expires_in": 1200}
            again = (await place.call("POST", "/v1/senders/block?wait=20s", longer)).json()
            assert (again["block_id"], len(entries)) == (made["block_id"], 1)
            await asyncio.sleep(900)
            assert len(entries) == 1
            await asyncio.sleep(400)
            assert len(entries) == 0
            ended = [one for one in await place.ledger.page(0, 10) if one.kind == "unblock"]
            assert [(one.caller, one.state) for one in ended] == [("connector", State.SUCCEEDED)]

    run(story(), grace=GRACE)


def test_a_sender_that_somebody_else_blocked_is_left_alone(tmp_path: Path) -> None:
    async def story() -> None:
        async with acting(tmp_path) as place:
            entries = place.simulator.blocked_senders.entries
            entries["theirs"] = {
                "id": "theirs", "pattern": "evil.example", "pattern_type": "DOMAIN", "is_regex": False,
                "comments": "by hand", "created_at": "2026-01-01T00:00:00Z", "modified_at": None,
            }  # fmt: skip
            body = {"pattern": "evil.example", "pattern_type": "DOMAIN", "expires_in": 600, "reason": "SOC-1"}

            made = (await place.call("POST", "/v1/senders/block?wait=20s", body)).json()
            lifted = await place.call("DELETE", "/v1/senders/block/theirs?reason=because")
            await asyncio.sleep(3600)

            assert (made["state"], made["expires_at"]) == ("succeeded", None)
            assert "somebody else" in states(made)[0][1]
            assert lifted.status_code == 404
            assert list(entries) == ["theirs"]

    run(story(), grace=GRACE)


def test_an_own_block_is_lifted_on_request(tmp_path: Path) -> None:
    async def story() -> None:
        async with acting(tmp_path) as place:
            body = {"pattern": "evil.example", "pattern_type": "DOMAIN", "expires_in": 600, "reason": "SOC-1"}
            made = (await place.call("POST", "/v1/senders/block?wait=20s", body)).json()
            place_of = f"/v1/senders/block/{made['block_id']}"

            missing = await place.call("DELETE", place_of)
            lifted = (await place.call("DELETE", f"{place_of}?reason=mistake&wait=20s")).json()
            await asyncio.sleep(3600)

            assert missing.status_code == 400
            assert (lifted["action"], lifted["state"]) == ("unblock", "succeeded")
            assert place.simulator.blocked_senders.entries == {}
            assert [one.kind for one in await place.ledger.page(0, 10)] == ["block", "unblock"]

    run(story(), grace=GRACE)


def test_without_a_token_nothing_is_told_and_attempts_are_counted(tmp_path: Path) -> None:
    async def story() -> None:
        async with acting(tmp_path) as place:
            for headers in ({"authorization": "Basic c29jOnNvYw=="}, {"authorization": "Bearer wrong"}, {}):
                reply = await place.call("GET", "/v1/caller", by="", **headers)
                assert (reply.status_code, reply.json()["code"]) == (401, "unauthenticated")
                assert reply.headers["www-authenticate"].startswith("Bearer")
            for _ in range(100):
                await place.call("GET", "/v1/actions", by="")
            await asyncio.sleep(61)
            await place.call("GET", "/v1/actions", by="")

            events = await place.audit()
            assert len(events) == 61
            assert events[-1]["suppressed"] == 43
            for path in ("/openapi.json", "/swagger.json"):
                assert (await place.call("GET", path, by="")).status_code == 200

    run(story(), grace=GRACE)
