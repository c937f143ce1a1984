"""What an HTTP collector gets to see: bodies, headers, credentials, signatures."""

from __future__ import annotations

import base64
import dataclasses
import gzip
import hashlib
import hmac
import json
import ssl
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from connector.errors import Hold, Retryable
from connector.model import Event
from connector.outputs.http.output import HttpOutput, HttpSettings
from connector.secret import Reference, Secret
from connector.testing.outputs import events
from tests.support.collectors import authority
from tests.support.scripted_http import Asked, Reply, scripted

NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)


async def asked(*batches: list[Event], **options: Any) -> list[Asked]:
    """The requests that sending *batches* leads to."""
    async with scripted(lambda _: Reply(202)) as server:
        settings = HttpSettings.model_validate({"url": f"{server.url}/in?source=mail", **options})
        output = HttpOutput(settings, lambda: NOW)
        for batch in batches:
            await output.send(batch)
        await output.close()
        return server.asked


async def test_ndjson_is_one_document_per_line() -> None:
    [request] = await asked(events(3))
    assert request.method == "POST"
    assert request.target == "/in?source=mail"
    assert request.headers["content-type"] == "application/x-ndjson"
    assert [json.loads(line)["id"] for line in request.body.splitlines()] == [
        f"event-{n}-end" for n in range(3)
    ]


async def test_array_is_one_json_document() -> None:
    [request] = await asked(events(3), body="array")
    assert request.headers["content-type"] == "application/json"
    assert [item["id"] for item in json.loads(request.body)] == [f"event-{n}-end" for n in range(3)]


async def test_single_is_one_event_per_request() -> None:
    settings = HttpSettings.model_validate({"url": "http://127.0.0.1:1", "body": "single", "concurrency": 3})
    limits = HttpOutput(settings, lambda: NOW).limits
    assert (limits.events, limits.concurrency) == (1, 3)
    [request] = await asked(events(1), body="single")
    assert request.headers["content-type"] == "application/json"
    assert request.body == events(1)[0].payload


async def test_text_lines_are_sent_as_text() -> None:
    line = dataclasses.replace(events(1)[0], payload=b"CEF:0|a|b|c|d|e|5|")
    [request] = await asked([line])
    assert request.headers["content-type"] == "text/plain; charset=utf-8"
    assert request.body == line.payload + b"\n"


async def test_an_array_of_text_is_a_mistake_in_the_configuration() -> None:
    with pytest.raises(Hold, match="requires a mapping that produces JSON"):
        await asked([dataclasses.replace(events(1)[0], payload=b"CEF:0|")], body="array")


async def test_a_line_break_in_a_payload_does_not_make_a_second_document() -> None:
    [request] = await asked([dataclasses.replace(events(1)[0], payload=b'{"a":\n1}')])
    assert request.body.count(b"\n") == 1


async def test_a_compressed_body_unpacks_to_the_same() -> None:
    [plain] = await asked(events(50))
    [packed] = await asked(events(50), gzip=True)
    assert packed.headers["content-encoding"] == "gzip"
    assert len(packed.body) < len(plain.body)
    assert gzip.decompress(packed.body) == plain.body


async def test_the_same_events_have_the_same_key_and_others_another() -> None:
    first, again, other = await asked(events(2), events(2), events(3))
    keys = [request.headers["idempotency-key"] for request in (first, again, other)]
    assert keys[0] == keys[1] != keys[2]


@pytest.mark.parametrize(
    ("auth", "name", "value"),
    [
        ({"bearer": "token"}, "authorization", "Bearer token"),
        (
            {"basic": {"username": "u", "password": "p:w"}},
            "authorization",
            "Basic " + base64.b64encode(b"u:p:w").decode(),
        ),
        ({"header": {"name": "X-Api-Key", "value": "token"}}, "x-api-key", "token"),
    ],
)
async def test_credentials_are_shown_to_the_collector(auth: dict[str, Any], name: str, value: str) -> None:
    [request] = await asked(events(1), auth=auth)
    assert request.headers[name] == value


async def test_own_headers_replace_those_of_the_connector() -> None:
    [request] = await asked(events(1), headers={"Content-Type": "application/vnd.example", "X-Team": "soc"})
    assert request.headers["content-type"] == "application/vnd.example"
    assert request.headers["x-team"] == "soc"


@pytest.mark.parametrize("packed", [False, True])
async def test_the_signature_covers_time_and_body_as_sent(*, packed: bool) -> None:
    [request] = await asked(events(2), signing={"secret": "shared"}, gzip=packed)
    time = request.headers["x-signature-time"]
    expected = hmac.new(b"shared", time.encode() + b"." + request.body, hashlib.sha256).hexdigest()
    assert time == str(int(NOW.timestamp()))
    assert request.headers["x-signature"] == f"sha256={expected}"


async def test_a_rotated_token_is_read_when_the_output_is_opened_again(tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("old")
    async with scripted(
        lambda got: Reply(202 if got.headers["authorization"] == "Bearer new" else 401)
    ) as server:
        settings = HttpSettings.model_validate(
            {"url": server.url, "auth": {"bearer": Reference(token.read_text)}}
        )
        output = HttpOutput(settings, lambda: NOW)
        await output.open()
        with pytest.raises(Hold, match="does not accept the credentials"):
            await output.send(events(1))
        token.write_text("new")
        await output.open()
        await output.send(events(1))
        await output.close()


async def test_a_rotated_url_is_read_when_the_output_is_opened_again(tmp_path: Path) -> None:
    place = tmp_path / "url"
    async with scripted(lambda got: Reply(202 if got.path == "/new" else 404)) as server:
        place.write_text(f"{server.url}/old")
        settings = HttpSettings.model_validate({"url": Reference(place.read_text)})
        output = HttpOutput(settings, lambda: NOW)
        with pytest.raises(Hold):
            await output.send(events(1))
        place.write_text("not a URL at all")
        await output.open()
        place.write_text(f"{server.url}/new")
        await output.open()
        await output.send(events(1))
        await output.close()


async def test_a_token_with_a_line_break_is_for_an_operator_and_not_repeated() -> None:
    broken = Secret("canary\r\nX-Forged: yes")
    with pytest.raises(Hold) as caught:
        await asked(events(1), auth={"bearer": broken})
    assert "canary" not in caught.value.reason


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
async def test_a_client_certificate_is_shown_and_without_one_nothing_is_accepted(
    tmp_path: Path, version: ssl.TLSVersion
) -> None:
    trusted = authority(tmp_path)
    trusted.server.verify_mode = ssl.CERT_REQUIRED
    trusted.server.minimum_version = trusted.server.maximum_version = version
    async with scripted(lambda _: Reply(202), tls=trusted.server) as server:
        for tls in (
            {"ca_file": trusted.ca_file, "cert_file": trusted.cert_file},
            {"ca_file": trusted.ca_file},
        ):
            settings = HttpSettings.model_validate({"url": f"{server.url}/in", "tls": tls, "timeout": "10s"})
            output = HttpOutput(settings, lambda: NOW)
            if "cert_file" in tls:
                await output.send(events(2))
            else:
                with pytest.raises((Hold, Retryable)):
                    await output.send(events(2))
            await output.close()
        assert len(server.asked) == 1


async def test_a_proxy_takes_the_request() -> None:
    async with scripted(lambda _: Reply(202)) as proxy:
        settings = HttpSettings.model_validate({"url": "http://collector.invalid/in", "proxy": proxy.url})
        output = HttpOutput(settings, lambda: NOW)
        assert "the connection beyond it was not tested" in await output.check()
        await output.send(events(1))
        await output.close()
        assert proxy.asked[-1].target == "http://collector.invalid/in"


async def test_a_proxy_of_the_environment_is_what_check_tries(monkeypatch: pytest.MonkeyPatch) -> None:
    async with scripted(lambda _: Reply(202)) as proxy:
        monkeypatch.setenv("http_proxy", proxy.url)
        settings = HttpSettings.model_validate({"url": "http://collector.invalid/in", "timeout": "5s"})
        output = HttpOutput(settings, lambda: NOW)
        assert "reached the proxy for http://collector.invalid" in await output.check()
        monkeypatch.setenv("no_proxy", "collector.invalid")
        with pytest.raises(Retryable):
            await output.check()
