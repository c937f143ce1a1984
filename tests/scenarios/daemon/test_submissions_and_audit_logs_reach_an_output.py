"""Searches with another source than messages: everything arrives, changes follow, a kill costs nothing."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from connector.simulator import Simulator, running
from tests.support.postgres import postgres_server
from tests.support.process import ACCOUNT, TOKEN, command, daemon, environment, until
from tests.support.receivers import HttpReceiver, http_receiver

CONFIG = """\
accounts:
  prod:
    account_id: {account}
    api_token: "${{env:TOKEN}}"
    base_url: "{url}"
    budget: {{requests: 100000, window: 1m}}
searches:
  reports:
    source: submissions
    every: 1s
    start: 2h
    per_page: 7
    filters: {{type: USER, status: unreviewed}}
    revisit: [10s, 20s, 30s, 45s, 60s, 75s, 90s, 120s, 150s]
  changes:
    source: audit_logs
    every: 1s
    start: 2h
    per_page: 7
    filters: {{action_type: [create, update]}}
outputs:
  siem: {{type: http, url: "{siem}", body: ndjson, mapping: ecs, batch: {{events: 5}}}}
state: {state}
server: {{listen: "127.0.0.1:0"}}
"""


@contextmanager
def state(journal: str) -> Iterator[str]:
    if journal == "sqlite":
        yield "{directory: state}"
        return
    with postgres_server() as server:
        yield f'{{directory: state, postgres: {{url: "{server.url()}", schema: {server.schema()}}}}}'


def identities(receiver: HttpReceiver, code: str) -> set[str]:
    return {event["event"]["id"] for event in receiver.events if event["event"]["code"].startswith(code)}


def revisions(receiver: HttpReceiver, name: str) -> list[dict[str, Any]]:
    found = {json.dumps(event, sort_keys=True): event for event in receiver.events}
    return [event for event in found.values() if event["event"]["id"] == name]


def move(url: str, record_id: str) -> None:
    body = json.dumps({"ids": [record_id], "destination": "JunkEmail"}).encode()
    request = urllib.request.Request(
        f"{url}/accounts/{ACCOUNT}/email-security/investigate/move",
        body,
        {"authorization": "Bearer soar", "content-type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=10) as answer:
        assert answer.status == 200


@pytest.mark.parametrize("journal", ["sqlite", "postgres"])
def test_everything_arrives_once_and_a_review_is_a_second_revision(tmp_path: Path, journal: str) -> None:
    simulator = Simulator(seed=11, backlog=40)
    messages = [simulator.world.add(is_quarantined=False, delivery_status=["delivered"]) for _ in range(20)]
    reports = [simulator.submissions.add(one, "MALICIOUS", by="alice@corp.example") for one in messages]
    now = datetime.now(UTC)
    entries = [simulator.audit_logs.add(at=now - timedelta(seconds=60 * number)) for number in range(60)]
    simulator.audit_logs.add({"action": {"type": "view"}})  # left out by the filter
    with ExitStack() as stack:
        url = stack.enter_context(running(simulator))
        siem = stack.enter_context(http_receiver())
        config = CONFIG.format(
            account=ACCOUNT, url=url, siem=siem.url, state=stack.enter_context(state(journal))
        )
        (tmp_path / "connector.yaml").write_text(config)
        environ = environment(TOKEN=TOKEN)
        for goal in (10, 30):
            with daemon(tmp_path, environ) as connector:
                until(partial(siem.reached, goal), "events before the kill")
                connector.kill()
        with daemon(tmp_path, environ) as connector:
            until(lambda: identities(siem, "submission") == set(reports), "every submission")
            until(lambda: identities(siem, "audit") >= set(entries), "every audit log")

            # Reviewed, so that it leaves the search; the change is found by a search without filters.
            simulator.submissions.review(reports[0], "SPAM")
            move(url, messages[1])
            until(lambda: len(revisions(siem, reports[0])) == 2, "the second revision")
            until(lambda: len(identities(siem, "audit")) == 61, "the move in the audit log")
            feeds = {feed["search"] for feed in connector.status()["feeds"]}
            code, _, said = command("quarantine", "list", environ=environ, cwd=tmp_path)
            assert connector.terminate() == 0

    second = revisions(siem, reports[0])[1]
    assert second["event"]["action"] == "reviewed"
    assert second["cloudflare"]["email_security"]["submission"]["outcome_disposition"] == "SPAM"
    assert second["cloudflare"]["email_security"]["revision"] == 2
    assert "update" in second["tags"]
    [moved] = [event for event in siem.events if event["event"].get("reason") == "Move messages"][:1]
    assert (moved["event"]["category"], moved["event"]["outcome"]) == (["configuration"], "success")
    assert moved["user"]["name"] == "soc@corp.example"
    assert moved["cloudflare"]["audit_log"]["resource"]["id"] == messages[1]
    assert {event["event"]["kind"] for event in siem.events} == {"event"}
    assert feeds == {"reports", "changes"}
    assert (code, said.strip()) == (0, "no quarantined items")
