"""What is told of a collector before the first event, and what a person may write."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from connector.errors import Hold, PartlyDown, Retryable
from connector.outputs.splunk_hec.output import SplunkHecSettings
from tests.support.collectors import free_port
from tests.support.hec_collector import TOKEN, hec_collector, reported
from tests.support.scripted_http import Reply
from tests.unit.outputs.test_splunk_hec_requests import output


@pytest.mark.parametrize(
    ("ack", "offered", "promise"),
    [
        ("off", False, "received, not indexed"),
        ("auto", False, "off for the token: accepted means received, not indexed"),
        ("auto", True, "accepted means indexed"),
        ("on", True, "accepted means indexed"),
    ],
)
async def test_a_good_collector_is_reported_with_what_acceptance_means(
    ack: str, promise: str, *, offered: bool
) -> None:
    async with hec_collector(ack=offered) as collector:
        splunk = output(collector.url, ack=ack)
        line = await splunk.check()
        await splunk.close()
        assert line.startswith(f"{collector.url} accepts the token")
        assert line.endswith(promise)
        assert collector.events == []


@pytest.mark.parametrize(
    ("options", "given", "kind", "text"),
    [
        ({"token": "other"}, {}, Hold, "unknown token"),
        ({"health": reported(18)}, {}, Retryable, "queues full"),
        ({"health": reported(22)}, {}, Hold, "disabled"),
        ({}, {"ack": "on"}, Hold, "requires it"),
        ({"ack": True}, {"ack": "off"}, Hold, "set ack: auto"),
        ({"health": Reply(200, b"<html>")}, {}, Hold, "url is not that of a collector"),
    ],
)
async def test_what_would_not_work_is_reported(
    options: dict[str, Any], given: dict[str, Any], kind: type[Exception], text: str
) -> None:
    async with hec_collector(**options) as collector:
        splunk = output(collector.url, **given)
        with pytest.raises(kind, match=text):
            await splunk.check()
        await splunk.close()


async def test_a_collector_without_a_health_endpoint_is_judged_by_the_token_alone() -> None:
    async with hec_collector(health=Reply(404)) as collector:
        splunk = output(collector.url)
        assert "accepts the token" in await splunk.check()
        await splunk.close()


async def test_each_of_several_urls_is_looked_at() -> None:
    async with hec_collector() as first, hec_collector() as second:
        splunk = output(first.url, second.url)
        line = await splunk.check()
        assert first.url in line
        assert second.url in line
        await splunk.close()
        half = output(first.url, f"http://127.0.0.1:{free_port()}")
        with pytest.raises(Retryable) as raised:
            await half.check()
        await half.close()
        assert isinstance(raised.value, PartlyDown)
        assert f"{first.url} accepts the token" in raised.value.reason
        none = output(f"http://127.0.0.1:{free_port()}", f"http://127.0.0.1:{free_port()}")
        with pytest.raises(Retryable) as raised:
            await none.check()
        await none.close()
        assert not isinstance(raised.value, PartlyDown)


GOOD = {"url": "https://splunk.example:8088", "token": TOKEN}


@pytest.mark.parametrize(
    ("given", "complaint"),
    [
        ({"url": GOOD["url"]}, "token"),
        ({**GOOD, "url": []}, "expected a URL"),
        ({**GOOD, "url": ["https://a.example", 7]}, "expected a URL"),
        ({**GOOD, "url": ["https://a.example", "http://b.example"]}, "failover must not weaken"),
        ({**GOOD, "url": "https://a.example/?token=canary"}, "must not contain query parameters"),
        ({**GOOD, "url": "http://a.example", "tls": {}}, "tls has no effect"),
        ({**GOOD, "endpoint": "raw", "fields": {"a": "b"}}, "fields has no effect"),
        ({**GOOD, "fields": {"a b": "c"}}, "String should match"),
        ({**GOOD, "fields": {"a": {"nested": "c"}}}, "valid string"),
        ({**GOOD, "ack": "off", "ack_timeout": "1m"}, "no effect with ack: off"),
        ({**GOOD, "ack": "yes"}, "'auto', 'on' or 'off'"),
        ({**GOOD, "ack_pending": 0}, "greater than or equal to 1"),
    ],
)
def test_what_cannot_work_is_refused(given: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ValidationError) as caught:
        SplunkHecSettings.model_validate(given)
    assert complaint in str(caught.value)
    assert "canary" not in str(caught.value)


@pytest.mark.parametrize(
    "text", ["https://a.example,https://b.example", "[https://a.example, https://b.example]"]
)
def test_a_variable_can_name_several_urls(text: str) -> None:
    settings = SplunkHecSettings.model_validate({**GOOD, "url": text})
    assert [url.origin for url in settings.url] == ["https://a.example", "https://b.example"]


def test_one_url_is_shown_as_one_and_several_as_a_list() -> None:
    one = SplunkHecSettings.model_validate(GOOD).model_dump(mode="json")
    two = SplunkHecSettings.model_validate({**GOOD, "url": ["https://a.example", "https://b.example/x"]})
    assert one["url"] == GOOD["url"]
    assert two.model_dump(mode="json")["url"] == ["https://a.example", "https://b.example/**********"]
    assert TOKEN not in f"{one} {two!r} {two.model_dump_json()}"
