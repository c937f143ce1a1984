"""Records without findings: what ``/detections`` says is in the event, or comes after it when it fails."""

from __future__ import annotations

import json
import re
import urllib.request
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from connector.simulator import Behaviour, Simulator, running
from tests.support import ecs_check
from tests.support.process import ACCOUNT, TOKEN, Daemon, daemon, environment, until

CONFIG = """
accounts:
  prod:
    account_id: {account}
    api_token: "${{env:TOKEN}}"
    base_url: "{base_url}"
    budget: {{requests: 1200}}
searches:
  detections:
    every: 1s
    start: 25h
    revisit: {revisit}
    enrich: {{endpoints: [detections, action_log], when: {{$severity: {{gte: 5}}}}}}
outputs:
  console: {{type: stdout, mapping: ecs}}
state: {{directory: {state}}}
server: {{listen: "127.0.0.1:0"}}
"""
Event = dict[str, Any]


def configure(directory: Path, base_url: str, revisit: str) -> None:
    text = CONFIG.format(account=ACCOUNT, base_url=base_url, revisit=revisit, state=directory / "state")
    (directory / "connector.yaml").write_text(text)


def reported(base_url: str, record_id: str) -> dict[str, Any]:
    """What the API says of a record at ``/detections``."""
    url = f"{base_url}/accounts/{ACCOUNT}/email-security/investigate/{record_id}/detections"
    request = urllib.request.Request(url, headers={"authorization": "Bearer x"})
    with urllib.request.urlopen(request, timeout=10) as answer:
        result: dict[str, Any] = json.load(answer)["result"]
    return result


def sound(events: Iterable[Event]) -> None:
    schema = ecs_check.load()
    if schema is not None:
        assert [problem for event in events for problem in ecs_check.problems(event, schema)] == []


def attached(detail: dict[str, Any]) -> list[str]:
    """The names of attached files; where none is listed, those that findings name."""
    found = [one["attachment"] for one in detail["findings"] or () if one["attachment"]]
    return [one["filename"] for one in detail["attachments"]] or list(dict.fromkeys(found))


def names(event: Event) -> list[str]:
    return [one["file"]["name"] for one in event["email"].get("attachments", ())]


def hashes(event: Event) -> set[str]:
    found = (one["file"].get("hash", {}) for one in event["email"].get("attachments", ()))
    return {value for one in found for value in one.values()}


def metric(connector: Daemon, outcome: str) -> float:
    pattern = rf'records_enriched_total{{account="\w+",outcome="{outcome}"}} (\S+)'
    found = re.search(pattern, connector.get("/metrics").decode())
    return float(found[1]) if found else 0.0


def test_attachments_and_findings_are_in_the_event(tmp_path: Path) -> None:
    simulator = Simulator(backlog=300, behaviour=Behaviour(era="sunset"))
    with running(simulator) as base_url:
        configure(tmp_path, base_url, "[]")
        with daemon(tmp_path, environment(TOKEN=TOKEN)) as connector:
            expected = simulator.ledger.ids({})
            until(lambda: len(connector.events()) >= len(expected), "all events")
            enriched = metric(connector, "enriched")
            assert connector.terminate() == 0
        events = connector.events()
        asked = [one.path for one in simulator.ledger.requests if one.kind == "detections"]
        details = {event["event"]["id"]: reported(base_url, event["event"]["id"]) for event in events}

    assert sorted(details) == sorted(expected)
    sound(events)
    severe = [event for event in events if event["event"]["severity"] >= 5]
    assert 10 < len(severe) < len(events)
    assert enriched == len(severe) == len(asked)
    for event in severe:
        detail = details[event["event"]["id"]]
        files, findings = detail["attachments"], detail["findings"] or []
        assert names(event) == attached(detail)
        assert hashes(event) == {one[kind] for one in files for kind in ("md5", "sha1", "sha256")}
        assert hashes(event) <= set(event["related"].get("hash", ()))
        assert event.get("rule", {}).get("name") in {one["name"] for one in findings} | {None}
        assert bool(findings) == ("rule" in event)
    assert any(map(names, severe))
    for event in events:
        if event not in severe:
            assert "enrichment" not in event["cloudflare"]["email_security"]


def test_a_failing_endpoint_holds_no_event_back_and_is_made_up_for_after_a_kill(tmp_path: Path) -> None:
    simulator = Simulator(rate=40, behaviour=Behaviour(era="sunset", rates={"server_error": 1.0}))
    simulator.behaviour.faults.rates_on = "detections"
    with running(simulator) as base_url:
        configure(tmp_path, base_url, "[3s, 8s, 20s, 45s]")
        with daemon(tmp_path, environment(TOKEN=TOKEN)) as connector:
            until(lambda: sum(map(severe, connector.events())) >= 8, "the first events")
            simulator.world.rate = 0
            expected = simulator.ledger.ids({})
            until(lambda: len(firsts(connector.events())) >= len(expected), "all events")
            failed = metric(connector, "incomplete")
            connector.kill()
        simulator.behaviour.rates = {}
        wanted = {event["event"]["id"] for event in connector.events() if severe(event)}
        with daemon(tmp_path, environment(TOKEN=TOKEN)) as connector:
            until(lambda: completed(connector.events()) >= wanted, "what was missing")
            assert connector.terminate() == 0
        events = connector.events()
        details = {record_id: reported(base_url, record_id) for record_id in wanted}

    sound(events)
    assert failed >= len(wanted) > 0
    assert firsts(events) == expected
    assert completed(events) == wanted
    assert {revision(event) for event in events} == {1, 2}
    for event in events:
        if revision(event) == 2:
            assert "enrichment-incomplete" not in event["tags"]
            assert names(event) == attached(details[event["event"]["id"]])
        elif severe(event):
            assert "enrichment-incomplete" in event["tags"]
            assert event["cloudflare"]["email_security"]["enrichment"]["incomplete"] == ["detections"]


def severe(event: Event) -> bool:
    return bool(event["event"]["severity"] >= 5)


def revision(event: Event) -> int:
    return int(event["cloudflare"]["email_security"].get("revision", 1))


def firsts(events: Iterable[Event]) -> set[str]:
    return {event["event"]["id"] for event in events if revision(event) == 1}


def completed(events: Iterable[Event]) -> set[str]:
    return {event["event"]["id"] for event in events if "update" in event["tags"]}
