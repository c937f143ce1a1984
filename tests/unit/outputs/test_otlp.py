"""Requests of the otlp output, and what answers mean."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from pydantic import ValidationError

from connector import __version__
from connector.errors import DeliveryError, Hold, Refused, Retryable
from connector.facts import Fact, OutputWarning
from connector.model import Event, Receipt
from connector.outputs.otlp.output import OtlpOutput, OtlpSettings, endpoint
from connector.testing.outputs import events
from tests.support.otlp_collector import export_reply, otlp_collector, pairs, status_reply
from tests.support.scripted_http import Asked, Reply, scripted


def built(url: str | Sequence[str], facts: list[Fact] | None = None, **options: Any) -> OtlpOutput:
    settings = OtlpSettings.model_validate({"url": url, **options})
    return settings.build("siem", (facts if facts is not None else []).append)


async def sent(
    reply: Reply, batch: Sequence[Event], facts: list[Fact] | None = None
) -> Receipt | DeliveryError:
    """What becomes of *batch* where the collector answers *reply*."""
    async with scripted(lambda _: reply) as server:
        output = built(server.url, facts)
        try:
            return await output.send(batch)
        except DeliveryError as error:
            return error
        finally:
            await output.close()


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://otel.example:4318", "https://otel.example:4318/v1/logs"),
        ("https://otel.example:4318/", "https://otel.example:4318/v1/logs"),
        ("https://grafana.example/otlp", "https://grafana.example/otlp/v1/logs"),
        ("https://dynatrace.example/api/v2/otlp/v1/logs", "https://dynatrace.example/api/v2/otlp/v1/logs"),
        ("https://proxy.example/in/logs?tenant=a", "https://proxy.example/in/logs?tenant=a"),
        ("https://proxy.example/otlp/?tenant=a", "https://proxy.example/otlp/v1/logs?tenant=a"),
    ],
)
def test_the_path_for_logs_is_added_to_a_base_url(url: str, expected: str) -> None:
    assert endpoint(url) == expected


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"attributes": "none"}, "attributes: none requires body: json"),
        ({"headers": {"Content-Type": "text/plain"}}, "sets the header Content-Type itself"),
        (
            {"headers": {"Authorization": "a"}, "auth": {"bearer": "b"}},
            "headers set twice: authorization",
        ),
        ({"resource": {"": "a"}}, "at least 1 character"),
        ({"tls": {"ca_file": "/etc/ca.pem"}}, "tls has no effect with an http URL"),
        ({"url": "https://otel.example/otlp/v1/traces"}, "url is for traces or metrics"),
    ],
)
def test_settings_without_sense_are_refused(options: dict[str, Any], expected: str) -> None:
    with pytest.raises(ValidationError, match=expected):
        OtlpSettings.model_validate({"url": "http://otel.example", **options})


async def test_a_request_names_its_resource_and_scope() -> None:
    async with otlp_collector() as collector:
        output = built(collector.url, resource={"deployment.environment.name": "prod", "shard": 3})
        assert await output.send(events(2)) == Receipt()
        await output.close()

    [request] = collector.requests
    [resource] = request.resource_logs
    assert pairs(resource.resource.attributes) == {
        "service.name": "cloudflare-email-security",
        "deployment.environment.name": "prod",
        "shard": 3,
    }
    [scope] = resource.scope_logs
    assert (scope.scope.name, scope.scope.version) == ("cloudflare-email-connector", __version__)
    [asked] = collector.server.asked
    assert asked.path == "/v1/logs"
    assert asked.headers["content-encoding"] == "gzip"


async def test_a_partial_success_is_a_count_without_names() -> None:
    result = await sent(export_reply(2, "timestamp too old"), events(5))

    assert isinstance(result, Receipt)
    assert (result.unnamed, dict(result.rejected), result.retry) == (2, {}, frozenset())
    assert "timestamp too old" in result.unnamed_reason


@pytest.mark.parametrize("count", [1, 3])
async def test_where_all_are_rejected_each_is_known(count: int) -> None:
    result = await sent(export_reply(3, "timestamp too old"), events(count))

    assert isinstance(result, Receipt)
    assert set(result.rejected) == set(range(count))
    assert "timestamp too old" in result.rejected[0]
    assert not result.unnamed


async def test_a_warning_beside_full_success_is_reported_once() -> None:
    facts: list[Fact] = []
    async with scripted(lambda _: export_reply(0, "use gzip")) as server:
        output = built(server.url, facts)
        for _ in range(3):
            assert await output.send(events(1)) == Receipt()
        await output.close()

    assert facts == [OutputWarning("siem", "the collector accepts events and warns: use gzip")]


@pytest.mark.parametrize(
    "reply",
    [
        Reply(200, b"<html>Sign in</html>", {"content-type": "text/html"}),
        Reply(200, b"OK"),
        Reply(200, b'{"error":"sign in"}'),
    ],
)
async def test_an_answer_of_something_else_is_no_success(reply: Reply) -> None:
    result = await sent(reply, events(1))

    assert isinstance(result, Hold)
    assert "no answer of an OTLP collector" in result.reason


@pytest.mark.parametrize("status", [200, 202, 204])
async def test_an_empty_answer_is_full_success(status: int) -> None:
    assert await sent(Reply(status), events(1)) == Receipt()


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, Refused),
        (401, Hold),
        (403, Hold),
        (404, Hold),
        (413, Refused),
        (415, Hold),
        (422, Refused),
        (429, Retryable),
        (500, Retryable),
        (502, Retryable),
        (503, Retryable),
        (504, Retryable),
    ],
)
async def test_a_status_decides(status: int, kind: type[DeliveryError]) -> None:
    result = await sent(status_reply(status, "stream limit exceeded", retry_after="7"), events(2))

    assert isinstance(result, kind)
    assert f"answered {status}" in result.reason
    assert "stream limit exceeded" in result.reason
    if isinstance(result, Retryable):
        assert result.after == 7
    if isinstance(result, Refused):
        assert result.too_large == (status == 413)


async def test_a_request_that_is_too_large_is_not_sent() -> None:
    async with otlp_collector() as collector:
        output = built(collector.url, max_request_bytes="10KiB")
        with pytest.raises(Refused, match="too_large") as caught:
            await output.send(events(3, 5000))
        assert caught.value.too_large
        assert await output.send(events(1, 5000)) == Receipt()
        await output.close()

    assert len(collector.server.asked) == 1


async def test_the_next_url_is_used_when_one_fails() -> None:
    async with otlp_collector() as first, otlp_collector() as second:
        first.faults = [status_reply(503, "draining")]
        output = built([first.url, second.url])
        with pytest.raises(Retryable):
            await output.send(events(1))
        assert await output.send(events(1)) == Receipt()
        await output.close()

    assert (len(first.records), len(second.records)) == (0, 1)


async def test_a_check_sends_no_records() -> None:
    async with otlp_collector() as collector:
        output = built(collector.url)
        assert "accepts requests" in await output.check()
        collector.faults = [status_reply(401, "no token")]
        with pytest.raises(Hold, match="no token"):
            await output.check()
        collector.faults = [status_reply(400, "empty request")]
        assert "nothing else was tested" in await output.check()
        await output.close()

    assert collector.records == []


async def test_a_rejected_access_token_is_replaced() -> None:
    issued: list[str] = []

    def answer(asked: Asked) -> Reply:
        if asked.path == "/token":
            issued.append(f"token-{len(issued)}")
            body = f'{{"access_token":"{issued[-1]}","token_type":"Bearer","expires_in":3600}}'
            return Reply(200, body.encode(), {"content-type": "application/json"})
        fresh = asked.headers.get("authorization") == "Bearer token-1"
        return export_reply() if fresh or (len(issued) == 1 and accepted) else status_reply(401, "expired")

    accepted = True
    async with scripted(answer) as server:
        oauth2 = {"token_url": f"{server.url}/token", "client_id": "a", "client_secret": "b-secret"}
        output = built(server.url, auth={"oauth2": oauth2})
        assert await output.send(events(1)) == Receipt()
        accepted = False
        with pytest.raises(Retryable, match="fetching a new one"):
            await output.send(events(1))
        assert await output.send(events(1)) == Receipt()
        await output.close()
