"""Recipes for people: a start or a campaign alerts a bounded number of times, and corrections resolve."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest
import yaml

from connector.facts import EventsFiltered
from connector.formats.json import instant
from connector.model import Feed, JsonObject, Record, Revision
from tests.scenarios.outputs.delivering import Delivery, delivering
from tests.scenarios.recipes.running import ACCOUNT, SECRET, accepted, route_of, unpacked
from tests.support.scripted_http import Asked, Reply, json_reply, scripted

URLS = {
    "slack": {},
    "teams": {},
    "pagerduty": {"CONNECTOR_OUTPUTS__PAGERDUTY__URL": "/v2/enqueue"},
    "opsgenie": {"CONNECTOR_OUTPUTS__OPSGENIE__URL": "/v2/alerts"},
    "cortex-xsoar": {"CONNECTOR_OUTPUTS__XSOAR__URL": "/xsoar/public/v1/incident"},
    "thehive": {"CONNECTOR_OUTPUTS__THEHIVE__URL": "/api/v1/alert"},
    "tines": {},
    "shuffle": {},
}
LIMITS = {
    "slack": 10,
    "teams": 10,
    "pagerduty": 5,
    "opsgenie": 5,
    "cortex-xsoar": 20,
    "thehive": 20,
    "tines": 60,
    "shuffle": 60,
}
EXAMPLES = Path(__file__).parents[3] / "deploy" / "examples"
ALERTING = {*LIMITS, "siem-and-soar"}
STORING = {"behind-a-proxy", "datadog", "google-secops", "loki", "submissions-and-audit-logs"}
"""Examples with an ``http`` output that keeps everything, for searches: nothing may be left out."""


def message(name: str, age: timedelta = timedelta(), **fields: object) -> Revision:
    """A malicious message, scanned *age* ago."""
    now = datetime.now(UTC)
    body: JsonObject = {
        "id": name,
        "scanned_at": instant(now - age),
        "final_disposition": "MALICIOUS",
        "from": "boss@evil.example",
        "to": ["victim@corp.example"],
        "subject": "Invoice",
        **fields,
    }
    return Revision(Feed(ACCOUNT, "detections"), Record(name, body), f"digest-{name}", 1, now)


def corrected(found: Revision, verdict: str) -> Revision:
    """The next state of *found*, with *verdict*."""
    body = {**found.record.body, "final_disposition": verdict}
    previous = {"final_disposition": found.record.body["final_disposition"]}
    return replace(found, record=Record(found.record.id, body), digest=verdict, number=2, previous=previous)


async def sent(name: str, directory: Path, *entries: Sequence[Revision]) -> tuple[list[Any], Delivery]:
    """The bodies that the collector of the recipe *name* got by the end of a drain."""
    async with scripted(accepted(202)) as server:
        route = route_of(name, server.url, directory, URLS[name])
        options = route.options(dict, lambda: datetime.now(UTC))
        async with delivering(route.output, *entries, mapper=route.mapper, options=options) as delivery:
            await delivery.done()
            assert await delivery.deliverer.drain(30)
        assert delivery.log.dead_lettered == {}
        return [json.loads(unpacked(request)) for request in server.asked], delivery


def left_out(delivery: Delivery) -> dict[str, int]:
    """Revisions left out, by filter."""
    counts: dict[str, int] = {}
    for fact in delivery.seen.of(EventsFiltered):
        counts[fact.reason] = counts.get(fact.reason, 0) + fact.count
    return counts


@pytest.mark.parametrize("name", LIMITS)
async def test_413_malicious_messages_at_the_first_start_are_a_few_alerts_and_one_digest(
    tmp_path: Path, name: str
) -> None:
    campaign = [message(f"campaign-{n}") for n in range(313)]
    varied = [message(f"varied-{n}", subject=f"Invoice {n}") for n in range(100)]

    bodies, delivery = await sent(name, tmp_path, campaign + varied)

    assert len(bodies) == LIMITS[name] + 1
    assert sum(left_out(delivery).values()) == 413 - LIMITS[name]
    texts = json.dumps(bodies)
    assert re.findall(r"\(\+(\d+) more", texts.replace("\\", ""))[-1] == str(413 - LIMITS[name])


@pytest.mark.parametrize("name", LIMITS)
async def test_what_happened_before_the_first_start_alerts_nobody(tmp_path: Path, name: str) -> None:
    past = [message(f"old-{n}", timedelta(days=2), subject=f"Invoice {n}") for n in range(50)]

    bodies, delivery = await sent(name, tmp_path, past)

    assert bodies == []
    assert left_out(delivery) == {"max_age": 50}


async def test_a_corrected_verdict_resolves_its_pagerduty_incident(tmp_path: Path) -> None:
    """Even one that comes after ``max_age``, in the middle of a flood."""
    alert = message("wrong", timedelta(minutes=29))
    flood = [message(f"flood-{n}", subject=f"Invoice {n}") for n in range(50)]
    late = message("late", timedelta(hours=5))

    bodies, _ = await sent(
        "pagerduty", tmp_path, [alert], flood, [corrected(alert, "NONE"), corrected(late, "SPAM")]
    )

    assert (bodies[0]["event_action"], bodies[0]["dedup_key"]) == ("trigger", "wrong")
    resolved = [body["dedup_key"] for body in bodies if body["event_action"] == "resolve"]
    assert resolved == ["wrong", "late"]


async def test_a_verdict_that_stays_an_alert_triggers_the_same_pagerduty_incident(tmp_path: Path) -> None:
    alert = message("worse")

    bodies, _ = await sent("pagerduty", tmp_path, [alert], [corrected(alert, "MALICIOUS-BEC")])

    assert {(body["event_action"], body["dedup_key"]) for body in bodies} == {("trigger", "worse")}


async def test_a_corrected_verdict_closes_its_opsgenie_alert(tmp_path: Path) -> None:
    """By ``POST /v2/alerts/{identifier}/close?identifierType=alias`` of the Alert API; ids are data there."""
    alert = message("a b?c#d%2F")

    def answer(asked: Asked) -> Reply:
        body = json.loads(unpacked(asked))
        if asked.path == "/v2/alerts":
            known = {"message", "alias", "description", "details", "entity", "priority", "source", "tags"}
            assert body.keys() == known
            return json_reply({"result": "Request will be processed", "requestId": "r"}, 202)
        assert body.keys() == {"source", "note"}
        return json_reply({"result": "Request will be processed", "requestId": "r"}, 202)

    async with scripted(answer) as server:
        route = route_of("opsgenie", server.url, tmp_path, URLS["opsgenie"])
        options = route.options(dict, lambda: datetime.now(UTC))
        entries = ([alert], [corrected(alert, "NONE")])
        async with delivering(route.output, *entries, mapper=route.mapper, options=options) as delivery:
            await delivery.done()
        assert delivery.log.dead_lettered == {}

    created, closed = server.asked
    assert json.loads(created.body)["alias"] == "a b?c#d%2F"
    assert created.headers["authorization"] == closed.headers["authorization"] == f"GenieKey {SECRET}"
    assert unquote(closed.path) == "/v2/alerts/a b?c#d%2F/close"
    assert closed.params == {"identifierType": "alias"}


def test_every_recipe_that_alerts_starts_now_and_is_throttled_and_grouped() -> None:
    found = set()
    for file in sorted(EXAMPLES.glob("*.yaml")):
        outputs = yaml.safe_load(file.read_text()).get("outputs", {})
        for output in outputs.values():
            if output["type"] != "http":
                continue
            found.add(file.stem)
            if file.stem in ALERTING:
                assert output["from"] == "head", file.name
                assert output.keys() >= {"when", "max_age", "throttle", "group_by"}, file.name
    assert found == ALERTING | STORING


async def test_a_corrected_verdict_marks_its_xsoar_incident_as_resolved(tmp_path: Path) -> None:
    alert = message("wrong")

    bodies, _ = await sent("cortex-xsoar", tmp_path, [alert], [corrected(alert, "NONE")])

    fields = [body["customFields"] for body in bodies]
    assert [each["emailcloudflareid"] for each in fields] == ["wrong", "wrong"]
    assert [each["emailverdictstatus"] for each in fields] == ["open", "resolved"]
