"""Audit Logs and the submissions of users: paging, filters, permissions, and what changes later."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any
from urllib.parse import urlencode

import pytest

from connector.simulator import Simulator
from tests.unit.simulator.client import ACCOUNT, START, TOKEN, Client, Clock, Reply

_WHOLE_DAY = (("since", "2026-11-20T00:00:00Z"), ("before", "2026-11-21T00:00:00Z"))


def _audit(client: Client, *parameters: tuple[str, str]) -> Reply:
    return client.send(f"/accounts/{ACCOUNT}/logs/audit?{urlencode((*_WHOLE_DAY, *parameters))}")


def _submissions(client: Client, **parameters: str) -> Any:
    return client.send(f"/accounts/{ACCOUNT}/email-security/submissions?{urlencode(parameters)}").json


def test_a_move_a_block_and_a_change_elsewhere_are_in_the_audit_log(
    client: Client, simulator: Simulator, clock: Clock
) -> None:
    record = simulator.world.add(is_quarantined=False, delivery_status=["delivered"])
    client.act("investigate/move", {"ids": [record], "destination": "JunkEmail"})
    clock.forward(seconds=1)
    block = {"pattern": "evil.example", "pattern_type": "DOMAIN", "is_regex": False}
    client.act("settings/block_senders", block)
    clock.forward(seconds=1)
    simulator.audit_logs.add({"action": {"type": "delete"}})
    clock.forward(seconds=1)

    rows = _audit(client).json["result"]

    assert [row["resource"]["type"] for row in rows] == ["allow_policy", "block_sender", "message"]
    assert [row["action"]["type"] for row in rows] == ["delete", "create", "update"]
    assert rows[2]["resource"]["id"] == record
    assert rows[2]["action"]["time"] == "2026-11-20T12:00:00Z"
    assert rows[2]["actor"]["context"] == "api_token"


def test_audit_logs_come_in_pages_behind_a_cursor_in_either_direction(
    client: Client, simulator: Simulator
) -> None:
    ids = [simulator.audit_logs.add(at=START - timedelta(minutes=number)) for number in range(5)]

    first = _audit(client, ("limit", "2"))
    second = _audit(client, ("limit", "2"), ("cursor", first.json["result_info"]["cursor"]))
    third = _audit(client, ("limit", "2"), ("cursor", second.json["result_info"]["cursor"]))

    assert [*first.ids, *second.ids, *third.ids] == ids
    assert third.json["result_info"] == {"count": 1, "cursor": None}
    assert _audit(client, ("direction", "asc")).ids == ids[::-1]


def test_audit_logs_are_filtered_by_any_value_and_by_none(client: Client, simulator: Simulator) -> None:
    simulator.audit_logs.add({"actor": {"email": "a@corp.example"}}, at=START - timedelta(minutes=1))
    simulator.audit_logs.add({"actor": {"email": "b@corp.example"}}, at=START - timedelta(minutes=2))
    simulator.audit_logs.add({"actor": {"email": "c@corp.example"}}, at=START - timedelta(minutes=3))

    def emails(*parameters: tuple[str, str]) -> list[str]:
        return [row["actor"]["email"][0] for row in _audit(client, *parameters).json["result"]]

    assert emails(("actor_email", "a@corp.example"), ("actor_email", "c@corp.example")) == ["a", "c"]
    assert emails(("actor_email.not", "a@corp.example")) == ["b", "c"]


@pytest.mark.parametrize(
    "query",
    [
        "",
        "since=2026-11-20",
        "since=2026-11-20&before=yesterday",
        "since=2026-11-20&before=2026-11-21&limit=1001",
    ],
)
def test_audit_logs_need_both_ends_and_a_limit_within_bounds(client: Client, query: str) -> None:
    assert client.send(f"/accounts/{ACCOUNT}/logs/audit?{query}").status == 400


def test_each_endpoint_needs_its_own_permission(client: Client, simulator: Simulator) -> None:
    simulator.access.audit_tokens = ["another"]
    assert (_audit(client).status, client.search().status) == (403, 200)

    simulator.access.audit_tokens, simulator.access.permitted = None, False
    assert (_audit(client).status, client.search().status) == (200, 403)


def test_users_report_messages_and_the_outcome_comes_later(
    clock: Clock, serving: Callable[[Simulator], Client]
) -> None:
    simulator = Simulator(seed=7, backlog=200, clock=clock, reports=0.2)
    client = Client(serving(simulator).base_url, TOKEN)

    early = _submissions(client, per_page="1000")["result"]
    clock.forward(hours=2)
    late = {row["submission_id"]: row for row in _submissions(client, per_page="1000")["result"]}

    assert 20 <= len(early) <= 60
    open_ones = [row for row in early if row["customer_status"] == "unreviewed"]
    assert open_ones
    for row in open_ones:
        now = late[row["submission_id"]]
        assert (now["customer_status"], now["status"]) == ("reviewed", "completed")
        assert now["outcome_disposition"] in {"MALICIOUS", "SPAM", "NONE"}
        assert now["requested_at"] == row["requested_at"]
