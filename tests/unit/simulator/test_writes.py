"""What changes something: its answer, its traces in record, action log and submissions, its faults."""

from __future__ import annotations

import http.client
from typing import Any

import pytest

from connector.simulator import Fault, Simulator
from tests.unit.simulator.client import ACCOUNT, Client, Clock

_HELD: dict[str, Any] = {
    "client_recipients": ["a@corp.example", "b@corp.example"], "is_quarantined": True,
    "delivery_status": ["quarantined"], "final_disposition": "MALICIOUS", "post_delivery_operations": [],
    "action_log": [], "alert_id": "alert-1",
}  # fmt: skip
_SUBMISSION = {
    "type": "reclassification",
    "messages": [{"alert_id": "alert-1", "expected_disposition": "NONE"}],
}
_DELIVERED: dict[str, Any] = {**_HELD, "is_quarantined": False, "delivery_status": ["delivered"]}


@pytest.fixture
def held(simulator: Simulator) -> str:
    return simulator.world.add(_HELD)


@pytest.fixture
def delivered(simulator: Simulator) -> str:
    return simulator.world.add(_DELIVERED)


def _log(client: Client, record_id: str, operation: str) -> list[dict[str, Any]]:
    entries = client.record(record_id, "/action_log").json["result"]
    return [entry for entry in entries if entry["operation"] == operation]


def test_a_move_answers_one_row_per_recipient_and_shows_in_record_and_log(
    client: Client, simulator: Simulator, delivered: str
) -> None:
    reply = client.act("investigate/move", {"ids": [delivered], "destination": "DeletedItems"})

    assert reply.status == 200
    rows = reply.json["result"]
    assert [(row["recipient"], row["success"], row["message_id"]) for row in rows] == [
        ("a@corp.example", True, delivered),
        ("b@corp.example", True, delivered),
    ]
    record = client.record(delivered).json["result"]
    assert (record["delivery_status"], record["post_delivery_operations"]) == (
        ["delivered", "moved"],
        ["MOVE"],
    )
    log = _log(client, delivered, "MOVE")
    assert [entry["properties"]["folder"] for entry in log] == ["DeletedItems", "DeletedItems"]
    assert simulator.ledger.effects("move") == {delivered: 1}


def test_what_is_in_quarantine_cannot_be_moved(client: Client, simulator: Simulator, held: str) -> None:
    rows = client.act("investigate/move", {"ids": [held], "destination": "Inbox"}).json["result"]

    assert {(row["success"], row["status"]) for row in rows} == {(False, "ErrorItemNotFound")}
    assert simulator.ledger.effects("move") == {}


@pytest.mark.parametrize(("shape", "rows"), [("missing", 0), ("failed", 1)])
def test_an_unknown_id_has_no_row_or_a_failed_one(
    client: Client, simulator: Simulator, shape: Any, rows: int
) -> None:
    simulator.behaviour.unknown_ids = shape

    moved = client.act("investigate/move", {"ids": ["unknown"], "destination": "Inbox"})
    released = client.act("investigate/release", {"ids": ["unknown"]})

    assert [len(reply.json["result"]) for reply in (moved, released)] == [rows, rows]


@pytest.mark.parametrize(
    ("era", "accepted"),
    [("both", (200, 200)), ("object", (200, 400)), ("array", (400, 200))],
)
def test_the_body_of_a_release_depends_on_the_era(
    client: Client, simulator: Simulator, held: str, era: Any, accepted: tuple[int, int]
) -> None:
    simulator.behaviour.release_era = era

    statuses = [client.act("investigate/release", body).status for body in ({"ids": [held]}, [held])]

    assert tuple(statuses) == accepted


def test_a_release_delivers_and_a_second_one_delivers_again(
    client: Client, simulator: Simulator, held: str
) -> None:
    first = client.act("investigate/release", {"ids": [held]})
    second = client.act("investigate/release", {"ids": [held]})

    for reply in (first, second):
        assert reply.json["result"] == [
            {"id": held, "delivered": ["a@corp.example", "b@corp.example"], "failed": [], "undelivered": []}
        ]
    record = client.record(held).json["result"]
    assert (record["is_quarantined"], record["delivery_status"]) == (False, ["delivered"])
    assert len(_log(client, held, "QUARANTINE_RELEASE")) == 2
    assert simulator.ledger.effects("release") == {held: 2}


def test_a_submission_is_listed_logged_and_can_be_reviewed(
    client: Client, simulator: Simulator, held: str
) -> None:
    asked = {
        "type": "reclassification",
        "messages": [{"alert_id": "alert-1", "expected_disposition": "NONE"}],
    }

    reply = client.act("submissions", asked)

    assert (reply.status, reply.json["result"]) == (
        202,
        {"results": [{"id": "alert-1", "accepted": True, "error": None}]},
    )
    place = f"/accounts/{ACCOUNT}/email-security/submissions"
    [row] = client.send(f"{place}?type=TEAM&requested_disposition=NONE").json["result"]
    [entry] = _log(client, held, "SUBMISSION")
    assert entry["properties"]["submission_id"] == row["submission_id"]
    simulator.submissions.review(row["submission_id"], "NONE")
    assert client.send(f"{place}?status=reviewed").json["result"][0]["outcome_disposition"] == "NONE"
    assert client.send(f"{place}?type=USER").json["result"] == []


def test_a_missed_detection_names_the_message_twice(client: Client, simulator: Simulator) -> None:
    clean = simulator.world.add({**_DELIVERED, "final_disposition": "NONE", "alert_id": None})
    record = client.record(clean).json["result"]
    message = {
        "postfix_id": record["postfix_id"], "message_id": record["message_id"],
        "recipient_emails": ["a@corp.example"], "expected_disposition": "MALICIOUS",
    }  # fmt: skip

    right = client.act("submissions", {"type": "missed_detection", "messages": [message]})
    wrong = client.act(
        "submissions", {"type": "missed_detection", "messages": [{**message, "message_id": "<other@x>"}]}
    )

    assert [reply.json["result"]["results"][0]["accepted"] for reply in (right, wrong)] == [True, False]
    assert simulator.ledger.effects("submission") == {clean: 1}


def test_blocked_senders_are_created_found_changed_and_deleted(client: Client, simulator: Simulator) -> None:
    place = "settings/block_senders"
    fields = {"pattern": "evil.example", "pattern_type": "DOMAIN", "is_regex": False, "comments": "case 7"}

    made = client.act(place, fields)
    number = made.json["result"]["id"]
    found = client.send(f"/accounts/{ACCOUNT}/email-security/{place}?pattern=evil.example").json
    patched = client.act(f"{place}/{number}", {"comments": "case 8"}, "PATCH").json["result"]
    put = client.act(f"{place}/{number}", {**fields, "comments": None}, "PUT").json["result"]
    deleted = client.act(f"{place}/{number}", None, "DELETE")

    assert (made.status, [row["id"] for row in found["result"]]) == (201, [number])
    assert found["result_info"] == {"count": 1, "page": 1, "per_page": 20, "total_count": 1}
    assert (patched["comments"], put["comments"]) == ("case 8", None)
    assert deleted.json["result"] == {"id": number}
    assert client.act(f"{place}/{number}", None, "DELETE").status == 404
    assert simulator.blocked_senders.entries == {}


@pytest.mark.parametrize(
    "address", ["10.1.2.3", "127.0.0.1", "::ffff:192.168.1.1", "fe80::1", "0.0.0.0", "x"]
)
def test_an_address_that_is_not_public_cannot_be_blocked(client: Client, address: str) -> None:
    fields = {"pattern": address, "pattern_type": "IP", "is_regex": False}

    assert client.act("settings/block_senders", fields).status == 400
    assert client.act("settings/block_senders", {**fields, "pattern": "198.51.100.7"}).status == 201


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("investigate/move", {"ids": [], "destination": "Inbox"}),
        ("investigate/move", {"ids": ["x"], "destination": "Elsewhere"}),
        ("investigate/move", {"ids": ["x"] * 1001, "destination": "Inbox"}),
        ("investigate/move", {"ids": [1], "destination": "Inbox"}), ("investigate/move", []),
        ("investigate/release", {}), ("investigate/release", "x"),
        ("submissions", {"type": "other", "messages": [{}]}),
        ("submissions", {"type": "reclassification", "messages": []}),
        ("submissions", {"type": "reclassification", "messages": [{"alert_id": "a"}]}),
        ("settings/block_senders", {"pattern": "x", "pattern_type": "DOMAIN"}),
        ("settings/block_senders", {"pattern": "x" * 1025, "pattern_type": "DOMAIN", "is_regex": False}),
    ],
)  # fmt: skip
def test_what_the_schema_does_not_allow_is_refused(client: Client, path: str, body: object) -> None:
    reply = client.act(path, body)

    assert reply.status == 400
    assert reply.json["errors"][0]["source"]["pointer"].startswith("/")


def test_content_of_a_detection_and_of_other_mail(client: Client, simulator: Simulator, held: str) -> None:
    clean = simulator.world.add({**_DELIVERED, "final_disposition": "NONE"})

    assert client.record(held, "/raw").json["result"]["raw"].startswith("From: ")
    assert client.record(clean, "/raw").status == 404
    pictures = [client.record(held, "/preview"), client.act("investigate/preview", {"id": clean})]
    assert {reply.json["result"]["screenshot"][:8] for reply in pictures} == {"iVBORw0K"}
    assert client.act("investigate/preview", {"id": held}).status == 404


def test_a_token_that_may_only_read_cannot_write(client: Client, simulator: Simulator, held: str) -> None:
    simulator.access.read_tokens = {"token-of-a-test"}

    for path, body in (("investigate/release", {"ids": [held]}), ("investigate/preview", {"id": held})):
        reply = client.act(path, body)
        assert (reply.status, reply.json["errors"][0]["code"]) == (403, 10000)
    assert client.record(held).status == 200
    assert simulator.ledger.effects("release") == {}


def test_an_endpoint_that_only_writes_does_not_answer_get(client: Client) -> None:
    assert client.record("move").status == 405
    assert client.act("investigate/some-id", {}).status == 405


@pytest.mark.parametrize(("status", "kind"), [(500, "application/json"), (504, "text/html; charset=UTF-8")])
def test_an_error_after_the_effect(
    client: Client, simulator: Simulator, held: str, status: int, kind: str
) -> None:
    simulator.behaviour.script([Fault("error_after_effect", status=status)], on="write")

    reply = client.act("investigate/release", {"ids": [held]})

    assert (reply.status, reply.headers["content-type"]) == (status, kind)
    assert simulator.ledger.effects("release") == {held: 1}
    assert client.record(held).json["result"]["is_quarantined"] is False


def test_a_late_effect_comes_after_the_error(
    client: Client, simulator: Simulator, clock: Clock, held: str
) -> None:
    simulator.behaviour.script([Fault("late_effect", seconds=20)], on="release")

    assert client.act("investigate/release", {"ids": [held]}).status == 504
    assert client.record(held).json["result"]["is_quarantined"] is True
    clock.forward(seconds=21)
    assert client.record(held).json["result"]["is_quarantined"] is False


def test_a_connection_that_breaks_after_the_effect(client: Client, simulator: Simulator, held: str) -> None:
    simulator.behaviour.script(["reset"], on="write")

    with pytest.raises((ConnectionError, http.client.HTTPException)):
        client.act("investigate/release", {"ids": [held]})

    assert simulator.ledger.effects("release") == {held: 1}


def test_partial_and_missing_rows_and_submissions_that_are_not_accepted(
    client: Client, simulator: Simulator, held: str, delivered: str
) -> None:
    simulator.behaviour.script(["partial_rows", "partial_rows", "not_accepted", "missing_rows"], on="write")

    moved = client.act("investigate/move", {"ids": [delivered], "destination": "Inbox"}).json["result"]
    [released] = client.act("investigate/release", {"ids": [held]}).json["result"]
    asked = {
        "type": "reclassification",
        "messages": [{"alert_id": "alert-1", "expected_disposition": "NONE"}],
    }
    [submitted] = client.act("submissions", asked).json["result"]["results"]
    silent = client.act("investigate/release", {"ids": [held]}).json["result"]

    assert [row["success"] for row in moved] == [True, False]
    assert (released["delivered"], released["failed"]) == (["b@corp.example"], ["a@corp.example"])
    assert submitted["accepted"] is False
    assert silent == []
    assert simulator.ledger.effects("release") == {held: 2}
    assert simulator.ledger.effects("submission") == {}


def test_the_ledger_keeps_what_was_asked(client: Client, simulator: Simulator, held: str) -> None:
    client.act("investigate/release", [held])

    [write] = simulator.ledger.writes
    assert (write.request.kind, write.request.status, write.document) == ("release", 200, [held])
    assert client.record(held).status == 200
    assert len(simulator.ledger.writes) == 1


def test_users_submissions_appear_beside_those_of_the_team(
    client: Client, simulator: Simulator, clock: Clock, held: str
) -> None:
    simulator.submissions.add(held, "SPAM", by="alice.example@corp.example")
    clock.forward(seconds=1)
    simulator.submissions.add(held, "NONE", by="soc@corp.example", kind="Team")
    place = f"/accounts/{ACCOUNT}/email-security/submissions"

    rows = client.send(place).json["result"]
    oldest = client.send(f"{place}?direction=asc&per_page=1").json["result"]
    since = clock.now.strftime("%Y-%m-%dT%H:%M:%SZ")

    assert [row["type"] for row in rows] == ["Team", "User"]
    assert [row["type"] for row in oldest] == ["User"]
    assert [row["type"] for row in client.send(f"{place}?start={since}").json["result"]] == ["Team"]
    assert client.record(held).json["result"]["is_phish_submission"] is True
