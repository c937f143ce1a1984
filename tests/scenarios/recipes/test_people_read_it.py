"""Recipes whose receivers show text to people: the documented shape, and nothing that a mail could plant."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from tests.scenarios.recipes.running import (
    SECRET,
    RecipeRun,
    accepted,
    no_link,
    one_line,
    run_recipe,
    strings,
)

SLACK_LABEL = re.compile(r"^\*(From|To|Subject|Scanned|Why)\*\n")
SLACK_VERDICT = re.compile(r"^\*[A-Z-]+\* mail, [a-z]+, account prod$")


def slack_texts(body: dict[str, Any]) -> list[str]:
    """The texts of a message, their own markup taken off."""
    found = [text for text in strings({key: body[key] for key in ("text", "blocks")}) if len(text) > 10]
    return [SLACK_LABEL.sub("", text) for text in found if not SLACK_VERDICT.match(text)]


async def test_slack_gets_blocks_in_which_nobody_is_called_and_nothing_can_be_clicked(tmp_path: Path) -> None:
    """Limits and escaping as in Slack's reference of blocks and of message formatting."""
    run = await run_recipe("slack", tmp_path, accepted(body=b"ok"))

    assert len(run.requests) == len(run.wanted) > 10
    for body in run.bodies():
        assert set(body) == {"text", "blocks", "unfurl_links", "unfurl_media"}
        assert len(body["blocks"]) <= 50
        for block in body["blocks"]:
            texts = [block["text"]] if "text" in block else block.get("fields") or block["elements"]
            assert block["type"] in {"section", "context"}
            assert 1 <= len(texts) <= 10
            assert all(1 <= len(text["text"]) <= (3000 if "text" in block else 2000) for text in texts)
            assert all(text["type"] == "mrkdwn" and text["verbatim"] for text in texts)
        for text in slack_texts(body):
            assert no_link(text), text
            assert one_line(text), text
            assert not re.search(r"[<>`]|&(?!amp;|lt;|gt;)|(?<!\w)[@#]\w|(?<![^\W_])[*_~]\S", text), text
            assert ":smile:" not in text


async def test_teams_gets_a_card_that_shows_text_as_it_is(tmp_path: Path) -> None:
    """The message of a workflow's webhook: one Adaptive Card whose text of mails stands in text runs only."""
    run = await run_recipe("teams", tmp_path, accepted(202))

    assert len(run.requests) == len(run.wanted) > 10
    for request, body in zip(run.requests, run.bodies(), strict=True):
        assert body["type"] == "message"
        [attachment] = body["attachments"]
        assert attachment["contentType"] == "application/vnd.microsoft.card.adaptive"
        assert "contentUrl" in attachment
        card = attachment["content"]
        assert (card["type"], card["version"]) == ("AdaptiveCard", "1.4")
        assert "msteams" not in card  # without its entities no text can mention anybody
        assert len(request.body) <= 28_000
        for block in card["body"]:
            assert block["type"] == "RichTextBlock"
            assert all(run["type"] == "TextRun" and run["text"] for run in block["inlines"])
            assert "selectAction" not in str(block)
        for text in strings(card["body"]):
            assert no_link(text), text
            assert one_line(text), text


async def test_pagerduty_gets_one_alert_per_message(tmp_path: Path) -> None:
    """The alert event of the Events API v2."""
    urls = {"CONNECTOR_OUTPUTS__PAGERDUTY__URL": "/v2/enqueue"}
    run = await run_recipe("pagerduty", tmp_path, accepted(202), urls)

    assert [request.path for request in run.requests] == ["/v2/enqueue"] * len(run.wanted)
    assert {body["dedup_key"] for body in run.bodies()} == {one.record.id for one in run.wanted}
    for body in run.bodies():
        payload = body["payload"]
        assert body["routing_key"] == SECRET
        assert body["event_action"] == "trigger"
        assert 1 <= len(body["dedup_key"]) <= 255
        assert 1 <= len(payload["summary"]) <= 1024
        assert payload["severity"] in {"critical", "error", "warning", "info"}
        assert payload["source"] == "Cloudflare Email Security, prod"
        assert payload["class"].startswith("email.")
        link = r"https://one\.dash\.cloudflare\.com/[0-9a-f]{32}/email-security/investigation"
        assert re.fullmatch(link, body["client_url"])
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", payload["timestamp"])
        assert set(payload) <= {"summary", "source", "severity", "timestamp", "component", "group", "class",
                                "custom_details"}  # fmt: skip
        for text in [payload["summary"], *strings(payload["custom_details"])]:
            assert no_link(text), text
            assert one_line(text), text


async def test_opsgenie_gets_one_alert_per_message(tmp_path: Path) -> None:
    """The fields and lengths of "Create Alert" of the Alert API."""
    urls = {"CONNECTOR_OUTPUTS__OPSGENIE__URL": "/v2/alerts"}
    run = await run_recipe("opsgenie", tmp_path, accepted(202), urls)

    assert [request.path for request in run.requests] == ["/v2/alerts"] * len(run.wanted)
    assert {body["alias"] for body in run.bodies()} == {one.record.id for one in run.wanted}
    for body in run.bodies():
        assert 1 <= len(body["message"]) <= 130
        assert len(body["alias"]) <= 512
        assert len(body["description"]) <= 15_000
        assert len(body["entity"]) <= 512
        assert len(body["source"]) <= 100
        assert body["priority"] in {"P1", "P2", "P3"}
        assert all(isinstance(value, str) for value in body["details"].values())
        assert sum(map(len, body["details"].values())) <= 8000
        details = {key: value for key, value in body["details"].items() if key != "link"}
        for text in [body["message"], body["description"], *strings(details)]:
            assert no_link(text), text
            assert one_line(text), text


async def test_thehive_gets_an_alert_with_an_inert_description_and_exact_observables(tmp_path: Path) -> None:
    """The input of ``POST /api/v1/alert``."""
    urls = {"CONNECTOR_OUTPUTS__THEHIVE__URL": "/api/v1/alert"}
    run = await run_recipe("thehive", tmp_path, accepted(201), urls)

    bodies = {body["sourceRef"]: body for body in run.bodies()}
    assert set(bodies) == {one.identity for one in run.wanted}
    for revision in run.wanted:
        body = bodies[revision.identity]
        assert body["severity"] in {1, 2, 3, 4}
        assert 10**12 < body["date"] < 10**13
        assert (body["tlp"], body["pap"]) == (2, 2)
        assert all(isinstance(tag, str) for tag in body["tags"])
        for one in body.get("observables", ()):
            assert one["dataType"] in {"mail", "mail-subject", "ip", "filename", "hash", "url"}
            assert isinstance(one["data"], str)
        subject = revision.record.body.get("subject")
        if isinstance(subject, str) and subject and "\ud83d" not in subject:
            assert subject in [one["data"] for one in body["observables"]]
        assert markdown_is_inert(body["title"])
        assert all(markdown_is_inert(part) for part in described(body["description"]))
    assert all(request.headers["authorization"] == f"Bearer {SECRET}" for request in run.requests)


async def test_xsoar_gets_an_incident_with_an_inert_text_and_exact_fields(tmp_path: Path) -> None:
    """The input of ``POST /xsoar/public/v1/incident``."""
    urls = {"CONNECTOR_OUTPUTS__XSOAR__URL": "/xsoar/public/v1/incident"}
    run = await run_recipe("cortex-xsoar", tmp_path, accepted(201), urls)

    known = {
        "name",
        "type",
        "severity",
        "occurred",
        "createInvestigation",
        "details",
        "labels",
        "customFields",
    }
    assert len(run.requests) == len(run.wanted) > 10
    for request, body in zip(run.requests, run.bodies(), strict=True):
        assert set(body) <= known
        assert request.headers["authorization"] == SECRET
        assert request.headers["x-xdr-auth-id"] == "some-value"
        assert body["severity"] in {0, 1, 2, 3, 4}
        assert all(key == key.lower() and " " not in key for key in body["customFields"])
        assert all(set(label) == {"type", "value"} for label in body["labels"])
        assert markdown_is_inert(body["name"])
        assert markdown_is_inert(body["details"])
    bait = next(body for body in run.bodies() if body["labels"][0]["value"] == "bait")
    assert "http://evil.example" in bait["customFields"]["emailsubject"]


@pytest.mark.parametrize("name", ["tines", "shuffle"])
async def test_workflows_get_a_harmless_headline_and_the_event_as_it_is(tmp_path: Path, name: str) -> None:
    run: RecipeRun = await run_recipe(name, tmp_path, accepted())

    assert {body["key"] for body in run.bodies()} == {one.identity for one in run.wanted}
    for body in run.bodies():
        assert no_link(body["headline"]), body["headline"]
        assert one_line(body["headline"])
        assert not re.search(r"[<>\"']|&(?!(amp|lt|gt|quot|#x27);)", body["headline"]), body["headline"]
        assert body["severity"] >= 5
        assert body["event"]["ecs"]["version"]
    bait = next(body for body in run.bodies() if body["event"]["event"]["id"] == "bait")
    assert "<http://evil.example|click>" in bait["event"]["email"]["subject"]
    if name == "shuffle":
        assert all(request.headers["x-webhook-key"] == SECRET for request in run.requests)


def described(text: str) -> list[str]:
    """The values of a description, which its own labels separate."""
    parts = re.split(r"(?:^|\n\n)\*\*(?:From|To|Subject|Why):\*\* ", text)
    assert len(parts) == 5, parts
    return parts[1:]


def markdown_is_inert(text: str) -> bool:
    """Whether a reader of Markdown makes nothing of *text* but text."""
    bare = re.sub(r"\\[\\`*_{}\[\]()|~!$^#+=\-.]", "", text)
    marks = re.search(r"[`*_\[\]()|~<>!]|&(?!amp;|lt;|gt;)|(?<!\w)[@#]\w", bare.replace("MALICIOUS-BEC", ""))
    return marks is None and no_link(text) and one_line(text)
