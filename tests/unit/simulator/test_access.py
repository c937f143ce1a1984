"""Both ways of authentication, every documented error of them, the quota, and the headers of all answers."""

from __future__ import annotations

import re
from datetime import timedelta
from email.utils import parsedate_to_datetime

import pytest

from connector.simulator import Quota, Simulator
from tests.unit.simulator.client import ACCOUNT, START, Client, Clock, Reply

_SEARCH = f"/accounts/{ACCOUNT}/email-security/investigate"
_KEY = {"X-Auth-Email": "user@example.com", "X-Auth-Key": "144c9defac04969c7bfad8efaa8ea194"}


def _code(reply: Reply) -> int:
    code: int = reply.json["errors"][0]["code"]
    return code


@pytest.mark.parametrize("headers", [{"Authorization": "Bearer anything"}, _KEY])
def test_by_default_anything_is_accepted(client: Client, headers: dict[str, str]) -> None:
    assert client.send(_SEARCH, headers).status == 200


@pytest.mark.parametrize(
    ("headers", "status", "code"),
    [
        ({}, 400, 9106),
        ({"X-Auth-Key": "k"}, 400, 9106),
        ({"X-Auth-Email": "user@example.com"}, 400, 9106),
        ({"Authorization": "token"}, 400, 6003),
        ({"Authorization": "Bearer "}, 400, 6003),
        ({"Authorization": "Bearer two words"}, 400, 6003),
        ({"Authorization": "Basic dXNlcjpwYXNz"}, 400, 6003),
        ({"X-Auth-Email": "user@example.com", "X-Auth-Key": "with space"}, 400, 6003),
    ],
)
def test_missing_or_malformed_credentials(
    client: Client, headers: dict[str, str], status: int, code: int
) -> None:
    reply = client.send(_SEARCH, headers)

    assert (reply.status, _code(reply)) == (status, code)
    assert reply.json["result"] is None


def test_malformed_headers_carry_the_chain_of_errors(client: Client) -> None:
    reply = client.send(_SEARCH, {"Authorization": "nonsense"})

    assert reply.json["errors"][0]["error_chain"] == [
        {"code": 6111, "message": "Invalid format for Authorization header"}
    ]


def test_only_given_credentials_are_accepted_and_can_rotate(client: Client, simulator: Simulator) -> None:
    simulator.access.tokens, simulator.access.keys = {"good"}, {"user@example.com": "right"}
    assert client.send(_SEARCH, {"Authorization": "Bearer good"}).status == 200
    wrong = client.send(_SEARCH, {"Authorization": "Bearer bad"})
    assert (wrong.status, _code(wrong)) == (403, 10000)
    assert client.send(_SEARCH, _KEY).status == 403
    assert client.send(_SEARCH, {**_KEY, "X-Auth-Key": "right"}).status == 200
    simulator.access.tokens = {"bad"}
    assert client.send(_SEARCH, {"Authorization": "Bearer bad"}).status == 200


def test_other_accounts_and_missing_permission_are_authentication_errors(
    client: Client, simulator: Simulator
) -> None:
    simulator.access.accounts = {"a" * 32}
    assert _code(client.send(_SEARCH)) == 10000
    simulator.access.accounts, simulator.access.permitted = None, False
    simulator.behaviour.wrong_credentials = 401
    assert client.send(_SEARCH).status == 401
    assert client.send("/user/tokens/verify").status == 200


@pytest.mark.parametrize("account", ["short", "G" * 32, "a" * 33])
def test_an_account_that_cannot_be_one_has_no_route(client: Client, account: str) -> None:
    reply = client.send(f"/accounts/{account}/email-security/investigate")

    assert reply.status == 404
    assert [error["code"] for error in reply.json["errors"]] == [7003, 7000]


def test_unknown_paths_and_methods(client: Client) -> None:
    assert _code(client.send("/zones")) == 7003
    assert client.send(f"/accounts/{ACCOUNT}/email-security/settings").status == 404
    assert client.send("/client/v5").status == 404
    assert (client.send(_SEARCH, method="POST").status, _code(client.send(_SEARCH, method="POST"))) == (
        405,
        10405,
    )


def test_tokens_can_be_verified(client: Client, simulator: Simulator) -> None:
    reply = client.send("/user/tokens/verify")
    assert reply.json["success"] is True
    assert reply.json["result"]["status"] == "active"
    assert reply.json["messages"][0]["code"] == 10000
    assert client.send(f"/accounts/{ACCOUNT}/tokens/verify").status == 200
    simulator.access.tokens = ()
    assert client.send("/user/tokens/verify").status == 401
    assert client.send("/user/tokens/verify", _KEY).status == 400


def test_a_token_of_the_account_is_unknown_to_users(client: Client) -> None:
    headers = {"Authorization": "Bearer cfat_0123456789"}

    assert client.send("/user/tokens/verify", headers).status == 401
    assert client.send(f"/accounts/{ACCOUNT}/tokens/verify", headers).status == 200
    assert client.send(_SEARCH, headers).status == 200


def test_the_quota_blocks_everything_for_five_minutes(
    client: Client, simulator: Simulator, clock: Clock
) -> None:
    simulator.behaviour.quota = Quota(limit=3)
    left = [client.search().headers["ratelimit"] for _ in range(3)]
    blocked = client.search()

    assert left == ['"default";r=2;t=300', '"default";r=1;t=300', '"default";r=0;t=300']
    assert (blocked.status, _code(blocked), blocked.headers["retry-after"]) == (429, 10100, "300")
    assert blocked.headers["ratelimit-policy"] == '"default";q=3;w=300'
    assert client.send("/user/tokens/verify").status == 429
    assert client.send(_SEARCH, {"Authorization": "Bearer other"}).status == 200
    clock.forward(seconds=299.5)
    assert client.search().headers["retry-after"] == "1"
    clock.forward(seconds=0.5)
    assert client.search().status == 200


def test_the_quota_fills_up_again_after_its_window(
    client: Client, simulator: Simulator, clock: Clock
) -> None:
    simulator.behaviour.quota = Quota(limit=2, window=timedelta(seconds=10))
    client.search()
    clock.forward(seconds=10)

    assert [client.search().status for _ in range(3)] == [200, 200, 429]


@pytest.mark.parametrize("path", [_SEARCH, "/nowhere", "/user/tokens/verify", f"{_SEARCH}/unknown"])
def test_every_answer_has_the_headers_of_the_edge(client: Client, path: str) -> None:
    for headers in ({}, {"Authorization": "Bearer x"}):
        reply = client.send(path, headers)
        assert re.fullmatch(r'"default";r=\d+;t=\d+', reply.headers["ratelimit"])
        assert re.fullmatch(r'"default";q=1200;w=300', reply.headers["ratelimit-policy"])
        assert re.fullmatch(r"[0-9a-f]{16}-[A-Z]{3}", reply.headers["cf-ray"])
        assert parsedate_to_datetime(reply.headers["date"]) == START
        assert "retry-after" not in reply.headers


def test_the_date_can_be_wrong(client: Client, simulator: Simulator) -> None:
    simulator.behaviour.skew = timedelta(minutes=-7)

    assert parsedate_to_datetime(client.search().headers["date"]) == START - timedelta(minutes=7)


def test_one_record_and_what_its_siblings_say(client: Client, simulator: Simulator, clock: Clock) -> None:
    own = simulator.world.add(final_disposition="MALICIOUS", is_quarantined=True)
    clock.forward(seconds=30)
    simulator.world.apply(own, "release")
    record, found = client.record(own), client.record(own, "/detections").json["result"]

    assert record.json["result"] == simulator.ledger.body(own)
    assert found["action"] == "DELIVERED"
    assert found["final_disposition"] == "MALICIOUS"
    assert found.keys() >= {
        "validation", "headers", "threat_categories", "sender_info", "links", "attachments", "findings",
    }  # fmt: skip
    assert client.record(own, "/action_log").json["result"] == [
        {
            "completed_at": "2026-11-20T12:00:30Z", "operation": "QUARANTINE_RELEASE", "status": "OK",
            "properties": {"requested_by": "soc@corp.example"}, "started_at": "2026-11-20T12:00:30Z",
            "success": True,
        }
    ]  # fmt: skip
    assert client.record(own, "/trace").json["result"]["inbound"]["lines"][0]["lineno"] == 1


def test_a_record_that_is_gone_unknown_or_not_yet_found_is_404(
    client: Client, simulator: Simulator, clock: Clock
) -> None:
    gone = simulator.world.add()
    late = simulator.world.add(searchable_at=START + timedelta(hours=1))
    simulator.world.remove(gone)
    clock.forward(seconds=1)

    for record in (gone, late, "unknown", "4WFEFEF0B3F9F7D-2026-11-20T11:59:55-97915536"):
        for sibling in ("", "/detections", "/action_log", "/trace"):
            assert client.record(record, sibling).status == 404


def test_submissions_have_a_store_of_their_own(client: Client, simulator: Simulator) -> None:
    mail = simulator.world.add(is_phish_submission=False)
    submission = simulator.world.add(is_phish_submission=True)

    assert client.record(mail, "?submission=true").status == 404
    assert client.record(submission, "?submission=true").status == 200
