"""What a collector's answer means: accepted, again, split, or a person."""

from __future__ import annotations

import asyncio
import dataclasses
import shutil
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from connector.errors import DeliveryError, Hold, Refused, Retryable
from connector.model import Receipt
from connector.outputs.http.output import HttpOutput, HttpSettings
from connector.testing.outputs import events
from tests.support.collectors import authority, free_port
from tests.support.scripted_http import Reply, json_reply, scripted

NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)


def output(url: str, **options: Any) -> HttpOutput:
    return HttpOutput(HttpSettings.model_validate({"url": url, **options}), lambda: NOW)


async def outcome(reply: Reply, size: int = 2, **options: Any) -> Receipt | DeliveryError:
    async with scripted(lambda _: reply) as server:
        collector = output(f"{server.url}/services/canary-token-in-path", **options)
        try:
            return await collector.send(events(size))
        except DeliveryError as error:
            return error
        finally:
            await collector.close()


@pytest.mark.parametrize("status", [200, 201, 202, 204, 299])
async def test_any_2xx_is_accepted(status: int) -> None:
    assert await outcome(Reply(status)) == Receipt()


@pytest.mark.parametrize("status", [301, 302, 307, 401, 402, 403, 404, 405, 407, 410, 501])
async def test_what_only_an_operator_can_change_holds(status: int) -> None:
    error = await outcome(Reply(status, headers={"location": "https://elsewhere.example/"}))
    assert isinstance(error, Hold)
    assert "canary" not in error.reason
    assert f"answered {status}" in error.reason
    assert "; " in error.reason


@pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503, 504, 507, 599])
async def test_what_may_pass_is_sent_again(status: int) -> None:
    assert isinstance(await outcome(Reply(status)), Retryable)


@pytest.mark.parametrize("status", [400, 406, 409, 415, 422])
async def test_other_refusals_are_about_the_events(status: int) -> None:
    error = await outcome(Reply(status))
    assert isinstance(error, Refused)
    assert not error.too_large


async def test_413_says_that_less_would_do() -> None:
    error = await outcome(Reply(413))
    assert isinstance(error, Refused)
    assert error.too_large


@pytest.mark.parametrize("status", [429, 503])
@pytest.mark.parametrize(
    ("header", "seconds"),
    [("120", 120.0), (format_datetime(NOW + timedelta(minutes=10), usegmt=True), 600.0), ("soon", None)],
)
async def test_retry_after_is_read_in_both_forms(status: int, header: str, seconds: float | None) -> None:
    error = await outcome(Reply(status, headers={"retry-after": header}))
    assert isinstance(error, Retryable)
    assert error.after == seconds


async def test_the_answer_is_quoted_briefly_without_secrets_and_control_characters() -> None:
    body = b"bad field\x1b[31m\r\nforged line: canary-key, path /services/canary-token-in-path " + b"x" * 5000
    error = await outcome(Reply(400, body), headers={"X-Key": "canary-key"})
    assert isinstance(error, Refused)
    assert "bad field [31m forged line: **********, path" in error.reason
    assert error.reason.isprintable()
    assert len(error.reason) < 500


@pytest.mark.parametrize(
    "reply",
    [
        Reply(raw=b""),
        Reply(raw=b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhalf"),
        Reply(raw=b"SSH-2.0\r\n"),
    ],
)
async def test_an_answer_that_is_none_or_half_is_sent_again(reply: Reply) -> None:
    assert isinstance(await outcome(reply), Retryable)


async def test_no_connection_is_sent_again_and_names_the_collector() -> None:
    port = free_port()
    collector = output(f"http://127.0.0.1:{port}/canary-path")
    for attempt in (collector.send(events(1)), collector.check()):
        with pytest.raises(Retryable, match=f"127.0.0.1:{port}") as caught:
            await attempt
        assert "canary" not in caught.value.reason
    await collector.close()


async def test_a_collector_that_never_answers_is_given_up_in_time_and_used_again() -> None:
    replies = [Reply(202, hold=asyncio.Event()), Reply(202)]
    async with scripted(lambda _: replies.pop(0)) as server:
        collector = output(server.url, timeout="2s")
        with pytest.raises(Retryable, match="within"):
            await collector.send(events(1))
        await collector.open()
        assert await collector.send(events(1)) == Receipt()
        await collector.close()


async def test_an_untrusted_certificate_holds_until_the_authority_is_there(tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    ca_file = tmp_path / "authority"
    shutil.copy(authority(tmp_path / "other").ca_file, ca_file)
    trusted = authority(tmp_path)
    async with scripted(lambda _: Reply(202), tls=trusted.server) as server:
        collector = output(server.url, tls={"ca_file": str(ca_file)})
        for attempt in (collector.send(events(1)), collector.check()):
            with pytest.raises(Hold, match="not trusted"):
                await attempt
        shutil.copy(trusted.ca_file, ca_file)
        await collector.open()
        assert await collector.send(events(1)) == Receipt()
        assert "TLSv1" in await collector.check()
        await collector.close()


EXISTS = json_reply({"type": "CreateError", "message": "Alert already exists"}, 400)
RULE = {"400": {"body": "already EXISTS", "action": "accept"}}


async def test_a_repetition_that_the_collector_names_in_the_body_is_a_success() -> None:
    assert await outcome(EXISTS, size=1, body="single", status=RULE) == Receipt()


async def test_other_bodies_with_that_status_mean_what_they_meant() -> None:
    error = await outcome(Reply(400, b"missing field"), size=1, body="single", status=RULE)
    assert isinstance(error, Refused)


@pytest.mark.parametrize(
    ("body", "kind"), [(b"rate exceeded", Retryable), (b"license expired", Hold), (b"else", Refused)]
)
async def test_the_first_rule_that_matches_applies(body: bytes, kind: type[DeliveryError]) -> None:
    rules = [{"body": "rate", "action": "retry"}, {"body": "license", "action": "hold"}, "dead_letter"]
    assert isinstance(await outcome(Reply(403, body), size=1, body="single", status={"4xx": rules}), kind)


async def test_a_message_cannot_make_a_refusal_a_success() -> None:
    """The collector quotes the subject: a sender who writes the rule's text into it hides nothing."""
    quoting = Reply(400, b'{"message": "invalid title: Re: alert already exists"}')
    hostile = dataclasses.replace(events(1)[0], payload=b'{"subject":"Re: alert already exists"}')
    async with scripted(lambda _: quoting) as server:
        collector = output(server.url, body="single", status=RULE)
        with pytest.raises(Refused):
            await collector.send([hostile])
        await collector.close()


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"status": RULE}, "one event per request"),
        ({"status": {"400": []}, "body": "single"}, "at least 1"),
        ({"status": {"400": ["accept", {"body": "x", "action": "hold"}]}, "body": "single"}, "never applies"),
        ({"status": {"400": {"body": "", "action": "hold"}}, "body": "single"}, "at least 1"),
    ],
)
def test_rules_that_cannot_work_are_refused(options: dict[str, Any], text: str) -> None:
    with pytest.raises(ValidationError, match=text):
        output("http://localhost/", **options)
