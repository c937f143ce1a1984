"""Recipes for people: a start or a campaign alerts a bounded number of times, and corrections resolve."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from connector.facts import EventsFiltered
from connector.formats.json import instant
from connector.model import Feed, JsonObject, Record, Revision
from tests.scenarios.outputs.delivering import Delivery, delivering
from tests.scenarios.recipes.kitchen import ACCOUNT, accepted, route_of, unpacked
from tests.support.scripted_http import scripted

URLS = {
    "slack": {},
    "teams": {},
    "pagerduty": {"CONNECTOR_OUTPUTS__PAGERDUTY__URL": "/v2/enqueue"},
    "cortex-xsoar": {"CONNECTOR_OUTPUTS__XSOAR__URL": "/xsoar/public/v1/incident"},
}
LIMITS = {"slack": 10, "teams": 10, "pagerduty": 5, "cortex-xsoar": 20}


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


async def test_a_corrected_verdict_marks_its_xsoar_incident_as_resolved(tmp_path: Path) -> None:
    alert = message("wrong")

    bodies, _ = await sent("cortex-xsoar", tmp_path, [alert], [corrected(alert, "NONE")])

    fields = [body["customFields"] for body in bodies]
    assert [each["emailcloudflareid"] for each in fields] == ["wrong", "wrong"]
    assert [each["emailverdictstatus"] for each in fields] == ["open", "resolved"]
