"""A collector that quotes the request in its refusal: no text of a message gets into the error."""

from __future__ import annotations

import gzip
import html
import json
from collections.abc import Callable
from datetime import UTC, datetime
from urllib.parse import quote

import pytest

from connector.errors import DeliveryError
from connector.interfaces import Output
from connector.model import Event, Feed, Record, Revision
from connector.net.clock import utc_now
from connector.outputs.elasticsearch.output import ElasticsearchSettings
from connector.outputs.http.output import HttpOutput, HttpSettings
from connector.outputs.otlp.output import OtlpSettings
from connector.outputs.splunk_hec.output import SplunkHecOutput, SplunkHecSettings
from tests.support.sampling import slow
from tests.support.scripted_http import Asked, Reply, scripted

NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)
SUBJECT = 'Überfällige Rechnung "4711" für <Müller & Söhne>'
ADDRESS = "mallory.canary@evil-canary.example"
DOCUMENT = {"email": {"subject": SUBJECT, "from": {"address": [ADDRESS]}}, "source": {"ip": "203.0.113.77"}}
WORDS = ["berf", "rechnung", "4711", "ller", "hne", "mallory", "canary", "evil", "203", "113"]


def event(payload: bytes) -> Event:
    record = Record("a", {"id": "a", "subject": SUBJECT})
    revision = Revision(Feed("0" * 32, "all"), record, "0" * 64, 1, NOW)
    return Event(revision, payload, NOW, 8, "email.malicious")


JSON = event(json.dumps(DOCUMENT, ensure_ascii=False).encode())
CEF = event(
    f"CEF:0|Cloudflare|Email|1|email.malicious|Mail|9|msg={SUBJECT} suser={ADDRESS} src=203.0.113.77".encode()
)

ECHOES: list[Callable[[str], str]] = [
    str,
    str.upper,
    html.escape,
    quote,
    json.dumps,
    lambda text: json.dumps(json.dumps(text)),
    lambda text: text[:-3] + "...",
    lambda text: "-".join(text.split()),
]


def http(url: str) -> Output:
    return HttpOutput(HttpSettings.model_validate({"url": url}), utc_now)


def splunk(url: str) -> Output:
    settings = SplunkHecSettings.model_validate({"url": url, "token": "t0ken-of-hec", "ack": "off"})
    return SplunkHecOutput("splunk", settings, lambda _: None, utc_now)


def elastic(url: str) -> Output:
    return ElasticsearchSettings.model_validate({"url": url}).build("siem", lambda _: None)


def otlp(url: str) -> Output:
    return OtlpSettings.model_validate({"url": url}).build("siem", lambda _: None)


async def refusal(build: Callable[[str], Output], sent: Event, answer: Callable[[Asked], Reply]) -> str:
    async with scripted(answer) as server:
        output = build(server.url)
        try:
            await output.send([sent])
        except DeliveryError as error:
            return error.reason.removeprefix(server.url)
        finally:
            await output.close()
    raise AssertionError("accepted")


@pytest.mark.parametrize("status", [400, slow(403), slow(413), slow(429), 500])
@pytest.mark.parametrize("echo", ECHOES)
@pytest.mark.parametrize(
    ("build", "sent"),
    [(http, JSON), (http, CEF), (splunk, JSON), (splunk, CEF), (elastic, JSON), (otlp, JSON)],
)
async def test_no_value_of_the_request_is_shown(
    build: Callable[[str], Output], sent: Event, echo: Callable[[str], str], status: int
) -> None:
    text = f"Bad value {echo(SUBJECT)} in field subject (from {echo(ADDRESS)}, 203.0.113.77)"
    reason = await refusal(build, sent, lambda _: Reply(status, text.encode()))
    assert f"answered {status}" in reason
    assert not [word for word in WORDS if word in reason.casefold()], reason


async def test_what_the_collector_says_itself_stays_readable() -> None:
    reason = await refusal(
        http,
        JSON,
        lambda _: Reply(422, f"Value {ADDRESS} violates rule 17: too long for column sender".encode()),
    )
    assert "Value [...] violates rule 17: too long for column sender" in reason


async def test_the_whole_request_as_an_answer_leaves_nothing() -> None:
    def echo(request: Asked) -> Reply:
        body = request.body
        return Reply(400, gzip.decompress(body) if body[:2] == b"\x1f\x8b" else body)

    reason = await refusal(http, JSON, echo)
    assert not [word for word in WORDS if word in reason.casefold()], reason


async def test_a_page_of_html_is_shown_as_its_text() -> None:
    page = b"<html><head><style>p {color: red}</style></head><body><h1>Blocked</h1><p>Rule 7</p>"
    reason = await refusal(http, JSON, lambda _: Reply(400, page))
    assert "Blocked Rule 7" in reason
    assert "<" not in reason
    assert "color" not in reason
