"""Bodies of templates, places for events in larger documents, and what a person says a status means."""

from __future__ import annotations

import dataclasses
import json
from datetime import UTC, datetime
from typing import Any

import pytest
from pydantic import ValidationError

from connector.errors import Hold, Refused, Retryable
from connector.model import Event, Receipt
from connector.outputs.common import Templated
from connector.outputs.http.output import HttpOutput, HttpSettings
from connector.testing.outputs import events
from tests.support.scripted_http import Asked, Reply, scripted

NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)
URL = "https://collector.example/in"


def settings(**options: Any) -> HttpSettings:
    return HttpSettings.model_validate({"type": "http", "url": URL, **options})


async def sent(batch: list[Event], reply: Reply | None = None, **options: Any) -> tuple[Receipt, list[Asked]]:
    async with scripted(lambda _: reply or Reply(202)) as server:
        output = HttpOutput(settings(**{"url": server.url, **options}), lambda: NOW)
        try:
            return await output.send(batch), server.asked
        finally:
            await output.close()


async def test_events_take_their_place_in_a_larger_document() -> None:
    body = {"source": {"events": "{$events}", "note": "a {{brace}}"}, "count": 1}
    _, [request] = await sent(events(3), body=body)
    found = json.loads(request.body)
    assert request.headers["content-type"] == "application/json"
    assert found["source"]["note"] == "a {brace}"
    assert [event["id"] for event in found["source"]["events"]] == [f"event-{n}-end" for n in range(3)]


async def test_a_template_makes_the_payload_and_one_request_carries_one() -> None:
    template = settings(body={"text": "{subject}"})
    assert HttpOutput(template, lambda: NOW).limits.events == 1
    [event] = events(1)
    _, [request] = await sent([dataclasses.replace(event, payload=b'["x"]')], body=["{subject}"])
    assert request.body == b'["x"]'
    assert request.headers["content-type"] == "application/json"


@pytest.mark.parametrize(
    ("options", "key"),
    [
        ({}, None),
        ({"body": "array"}, None),
        ({"body": {"all": "{$events}"}}, None),
        ({"body": {"text": "{subject}"}}, "body"),
        ({"body": "array", "event": {"text": "{subject}"}}, "event"),
        ({"body": {"all": "{$events}"}, "event": {"text": "{subject}"}}, "event"),
    ],
)
def test_what_is_a_template_of_one_event(options: dict[str, Any], key: str | None) -> None:
    found = settings(**options)
    assert isinstance(found, Templated)
    template = found.template()
    assert (template.key if template else None) == key


def test_links_are_broken_by_default() -> None:
    body = {"text": "{subject}"}
    shown = [settings(body=body, **options).template() for options in ({}, {"defang": False})]
    assert [template.escape("http://a.example") for template in shown if template] == [
        "hxxp://a[.]example",
        "http://a.example",
    ]


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"body": "xml"}, "ndjson"),
        ({"body": {"a": "{$events}", "b": "{subject}"}}, "under the key event"),
        ({"body": ["{$events}", "{$events}"]}, "may occur only once"),
        ({"body": {"text": "{subject}"}, "event": {"text": "x"}}, "requires"),
        ({"body": {"text": "{subject}"}, "batch": {"events": 2}}, "one event per request"),
        ({"body": {"text": "{subject}"}, "heartbeat": "5m"}, "cannot be rendered"),
        ({"body": "array", "event": {"text": "{subject}"}, "heartbeat": "5m"}, "cannot be rendered"),
        ({"escape": "slack"}, "require templates"),
        ({"requests": [{"body": {}}], "body": {"a": "b"}}, "mutually exclusive"),
        ({"requests": [{"when": {"id": "a"}, "body": {}}]}, "must have no `when`"),
        ({"requests": [{"body": {}}, {"body": {}}]}, "only the last"),
        ({"requests": [{"body": {"all": "{$events}"}}]}, "has no meaning"),
        ({"requests": [{"body": {}}], "batch": {"events": 2}}, "one event per request"),
        ({"requests": [{"body": {}}], "heartbeat": "5m"}, "cannot be rendered"),
        ({"requests": [{"body": {}, "method": "DELETE"}]}, "'PATCH'"),
        ({"body": "array", "defang": False}, "require templates"),
        ({"body": {"text": "x"}, "escape": "latex"}, "slack"),
        ({"status": {"200": "ignore"}}, "dead_letter"),
        ({"status": {"100": "accept"}}, "match pattern"),
        ({"status": {"4xxx": "accept"}}, "match pattern"),
    ],
)
def test_what_cannot_work_is_refused(options: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ValidationError) as caught:
        settings(**options)
    assert complaint in str(caught.value)


async def test_a_document_around_text_is_a_mistake_in_the_configuration() -> None:
    line = dataclasses.replace(events(1)[0], payload=b"CEF:0|a|b|c|d|e|5|")
    with pytest.raises(Hold, match="requires a mapping that produces JSON"):
        await sent([line], body={"all": "{$events}"})


@pytest.mark.parametrize("status", [200, 201, 202, 204, 206, 299])
async def test_any_2xx_is_accepted(status: int) -> None:
    receipt, _ = await sent(events(2), Reply(status))
    assert receipt == Receipt()


@pytest.mark.parametrize(
    ("answered", "meanings"),
    [(409, {"409": "accept"}), (302, {"3xx": "accept"}), (500, {"5xx": "accept", "503": "hold"})],
)
async def test_a_status_is_accepted_where_the_configuration_says_so(
    answered: int, meanings: dict[str, str]
) -> None:
    receipt, _ = await sent(events(2), Reply(answered), status=meanings)
    assert receipt == Receipt()


@pytest.mark.parametrize(
    ("answered", "meanings", "outcome"),
    [
        (500, {"500": "dead_letter"}, Refused),
        (401, {"4xx": "retry"}, Retryable),
        (400, {"400": "hold"}, Hold),
        (202, {"202": "retry"}, Retryable),
        (503, {"5xx": "dead_letter", "503": "hold"}, Hold),
        (429, {"4xx": "hold", "429": "retry"}, Retryable),
        (418, {"5xx": "hold"}, Refused),
    ],
)
async def test_a_status_means_what_the_configuration_says(
    answered: int, meanings: dict[str, str], outcome: type[Exception]
) -> None:
    with pytest.raises(outcome):
        await sent(events(2), Reply(answered), status=meanings)


async def test_a_retry_that_the_configuration_asks_for_waits_as_long_as_the_collector_says() -> None:
    with pytest.raises(Retryable) as caught:
        await sent(events(1), Reply(404, headers={"retry-after": "7"}), status={"404": "retry"})
    assert caught.value.after == 7


async def test_no_answer_shows_a_key_of_the_body_or_of_the_url() -> None:
    async with scripted(lambda asked: Reply(400, asked.target.encode() + b" " + asked.body)) as server:
        body = {"routing_key": "R012345678901234567890", "auth": "Key K012345678901234567890, {subject}"}
        for meanings in ({}, {"400": "dead_letter"}):
            given = settings(url=f"{server.url}/services/T0000000/canary-token", body=body, status=meanings)
            output = HttpOutput(given, lambda: NOW)
            [event] = events(1)
            with pytest.raises(Refused) as caught:
                await output.send([dataclasses.replace(event, payload=json.dumps(body).encode())])
            await output.close()
            assert "R0123" not in caught.value.reason
            assert "K0123" not in caught.value.reason
            assert "canary" not in caught.value.reason
            assert "400" in caught.value.reason
