"""What Splunk gets to see: envelopes, lines, labels, sizes, tokens."""

from __future__ import annotations

import dataclasses
import gzip
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from connector.errors import Hold, Retryable
from connector.model import Event
from connector.outputs.splunk_hec.output import SplunkHecOutput, SplunkHecSettings
from connector.secret import Reference
from connector.testing.outputs import events
from tests.support.collectors import free_port, unobserved
from tests.support.hec_collector import TOKEN, HecCollector, hec_collector

CEF = b"CEF:0|Cloudflare|Email Security|1|email.malicious|Malicious email|8|msg=caf\xc3\xa9"


def output(*urls: str, **options: Any) -> SplunkHecOutput:
    given = {"url": list(urls), "token": TOKEN, "index": "mail", "ack": "off", "host": "here", **options}
    return SplunkHecSettings.model_validate(given).build("siem", unobserved)


async def taken(sent: list[Event], **options: Any) -> HecCollector:
    """The collector after *sent* was delivered."""
    async with hec_collector() as collector:
        splunk = output(collector.url, **options)
        await splunk.send(sent)
        await splunk.close()
        return collector


def text(payload: bytes = CEF) -> Event:
    return dataclasses.replace(events(1)[0], payload=payload)


async def test_an_envelope_says_when_where_and_what() -> None:
    moment = datetime(2026, 11, 18, 9, 41, 7, 123456, UTC)
    event = dataclasses.replace(events(1)[0], time=moment)
    collector = await taken([event], fields={"team": "soc"})
    assert collector.events == [
        {
            "time": 1794994867.123,
            "host": "here",
            "source": "cloudflare:email_security",
            "sourcetype": "cloudflare:email:security",
            "index": "mail",
            "event": json.loads(event.payload),
            "fields": {"team": "soc"},
        }
    ]


async def test_without_an_index_the_token_decides() -> None:
    collector = await taken(events(2), index=None)
    assert [set(one) for one in collector.events] == [{"time", "host", "source", "sourcetype", "event"}] * 2


async def test_lines_go_to_the_raw_endpoint_with_their_metadata_and_a_channel() -> None:
    collector = await taken([text(), text(CEF + b" two")], endpoint="raw", sourcetype="cef", source="a&b=c d")
    assert collector.lines == [CEF, CEF + b" two"]
    assert collector.server is not None
    [asked] = collector.server.asked
    assert asked.path == "/services/collector/raw"
    assert asked.params == {"host": "here", "source": "a&b=c d", "sourcetype": "cef", "index": "mail"}
    assert len(collector.channels) == 1


@pytest.mark.parametrize(
    ("endpoint", "content_type"), [("raw", "text/plain; charset=utf-8"), ("event", "application/json")]
)
async def test_every_request_names_its_content_type(endpoint: str, content_type: str) -> None:
    collector = await taken([text()], endpoint=endpoint)
    assert collector.server is not None
    [asked] = collector.server.asked
    assert asked.headers["content-type"] == content_type


@pytest.mark.parametrize(
    "options", [{}, {"endpoint": "auto"}, {"endpoint": "event"}, {"fields": {"team": "soc"}}]
)
async def test_text_travels_in_an_envelope_with_its_time(options: dict[str, Any]) -> None:
    moment = datetime(2026, 11, 18, 9, 41, 7, 123456, UTC)
    collector = await taken([dataclasses.replace(text(), time=moment)], **options)
    assert [(one["event"], one["time"]) for one in collector.events] == [(CEF.decode(), 1794994867.123)]


@pytest.mark.parametrize("endpoint", ["raw", "event"])
async def test_cef_has_the_source_type_of_the_add_on(endpoint: str) -> None:
    collector = await taken([text()], endpoint=endpoint)
    assert collector.server is not None
    [asked] = collector.server.asked
    named = asked.params if endpoint == "raw" else collector.events[0]
    assert named["sourcetype"] == "cloudflare:email:security:cef"


async def test_a_configured_source_type_holds_for_all_events() -> None:
    collector = await taken([text(), *events(1)], sourcetype="mine")
    assert [one["sourcetype"] for one in collector.events] == ["mine", "mine"]


async def test_documents_travel_as_lines_where_that_is_wanted() -> None:
    collector = await taken(events(3), endpoint="raw")
    assert collector.lines == [event.payload for event in events(3)]


@pytest.mark.parametrize(
    ("payload", "endpoint"),
    [
        (CEF + b'\nforged"}{"event":"x"}', "event"),
        (CEF + b"\r\nCEF:0|forged|", "raw"),
        (b'{"a":1}\n{"event":"forged"}', "raw"),
    ],
)
async def test_no_payload_makes_a_second_event(payload: bytes, endpoint: str) -> None:
    collector = await taken([text(payload)], endpoint=endpoint)
    assert len(collector.events) + len(collector.lines) == 1


async def test_a_full_batch_stays_below_a_megabyte() -> None:
    async with hec_collector(longest=1_000_000) as collector:
        splunk = output(collector.url, fields={"team": "soc"})
        limits = splunk.limits
        await splunk.send(events(limits.events, limits.bytes // limits.events))
        await splunk.close()
        assert collector.sizes[0] > 0.9e6


@pytest.mark.parametrize("packed", [True, False])
async def test_requests_are_packed_by_default(*, packed: bool) -> None:
    collector = await taken(events(50), **({} if packed else {"gzip": False}))
    assert collector.server is not None
    [asked] = collector.server.asked
    assert (asked.headers.get("content-encoding") == "gzip") is packed
    body = gzip.decompress(asked.body) if packed else asked.body
    assert body.count(b'"event":') == 50
    assert asked.headers["authorization"] == f"Splunk {TOKEN}"


@pytest.mark.parametrize(
    "path", ["/", "/services/collector", "/services/collector/event", "/services/collector/raw/"]
)
async def test_a_url_that_already_names_an_endpoint_is_understood(path: str) -> None:
    async with hec_collector() as collector:
        splunk = output(collector.url + path)
        await splunk.send(events(1))
        await splunk.close()
        assert len(collector.events) == 1


async def test_a_rotated_token_is_read_when_the_output_is_opened_again(tmp_path: Path) -> None:
    place = tmp_path / "token"
    place.write_text("old")
    async with hec_collector() as collector:
        splunk = output(collector.url, token=Reference(place.read_text))
        with pytest.raises(Hold, match="unknown token"):
            await splunk.send(events(1))
        place.write_text(TOKEN)
        await splunk.open()
        await splunk.send(events(1))
        await splunk.close()
        assert len(collector.events) == 1


async def test_the_next_url_is_used_when_one_fails_and_kept_while_it_works() -> None:
    async with hec_collector() as first, hec_collector() as second:
        splunk = output(f"http://127.0.0.1:{free_port()}", first.url, second.url)
        with pytest.raises(Retryable):
            await splunk.send(events(1))
        await splunk.send(events(1))
        await splunk.send(events(1))
        await splunk.close()
        assert (len(first.events), len(second.events)) == (2, 0)


async def test_a_collector_without_our_token_is_passed_over() -> None:
    async with hec_collector(token="other") as stranger, hec_collector() as ours:
        splunk = output(stranger.url, ours.url)
        with pytest.raises(Hold):
            await splunk.send(events(1))
        await splunk.send(events(1))
        await splunk.close()
        assert len(ours.events) == 1
