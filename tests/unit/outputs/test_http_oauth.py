"""OAuth 2.0 with client credentials, against a token endpoint on a real socket."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from connector.errors import Hold, Retryable
from connector.outputs.http.output import HttpOutput, HttpSettings
from connector.outputs.shared.tokens import AccessToken
from connector.secret import Reference
from connector.testing.outputs import events
from tests.support.collectors import authority
from tests.support.jumping_loop import run
from tests.support.scripted_http import Asked, Reply, Script, json_reply, scripted

NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)


class Site:
    """A token endpoint under /token and a collector under /in, which takes the newest token only."""

    def __init__(self) -> None:
        self.issued: list[Asked] = []
        self.taken: list[str] = []
        self.lifetime: object = 3600
        self.valid = ""
        self.token: Script = self._issue

    def __call__(self, asked: Asked) -> Any:
        if asked.path == "/token":
            self.issued.append(asked)
            return self.token(asked)
        self.taken.append(asked.headers["authorization"])
        return Reply(202 if asked.headers["authorization"] == f"Bearer {self.valid}" else 401)

    def _issue(self, _: Asked) -> Reply:
        self.valid = f"token-{len(self.issued)}"
        return json_reply({"access_token": self.valid, "token_type": "Bearer", "expires_in": self.lifetime})


@asynccontextmanager
async def output(site: Site, status: Any = None, **oauth2: Any) -> AsyncIterator[HttpOutput]:
    async with scripted(site) as server:
        given = {
            "token_url": f"{server.url}/token",
            "client_id": "client",
            "client_secret": "s3cret&",
            **oauth2,
        }
        settings = HttpSettings.model_validate(
            {"url": f"{server.url}/in", "auth": {"oauth2": given}, "status": status or {}}
        )
        made = HttpOutput(settings, lambda: NOW)
        try:
            yield made
        finally:
            await made.close()


async def test_a_token_is_fetched_once_and_used_by_all_requests() -> None:
    site = Site()
    async with output(site, scope="a b", audience="https://collector.example") as made:
        await asyncio.gather(*(made.send(events(1, label=str(n))) for n in range(4)))
    [request] = site.issued
    assert request.method == "POST"
    assert request.headers["content-type"] == "application/x-www-form-urlencoded"
    assert request.body == (
        b"grant_type=client_credentials&scope=a+b&audience=https%3A%2F%2Fcollector.example"
        b"&client_id=client&client_secret=s3cret%26"
    )
    assert site.taken == ["Bearer token-1"] * 4


async def test_credentials_may_stand_in_a_basic_header() -> None:
    site = Site()
    async with output(site, client_auth="header") as made:
        await made.send(events(1))
    assert site.issued[0].headers["authorization"] == (
        "Basic " + base64.b64encode(b"client:s3cret%26").decode()
    )
    assert site.issued[0].body == b"grant_type=client_credentials"


@pytest.mark.parametrize("lifetime", [3600, "3600", 60])
def test_a_token_is_renewed_before_it_ends(lifetime: object) -> None:
    async def story() -> None:
        site = Site()
        site.lifetime = lifetime
        async with output(site) as made:
            await made.send(events(1))
            await asyncio.sleep(int(str(lifetime)) * 0.45)
            await made.send(events(1))
            assert len(site.issued) == 1
            await asyncio.sleep(int(str(lifetime)) * 0.5)
            await made.send(events(1))
            assert len(site.issued) == 2

    run(story())


async def test_a_token_that_was_revoked_is_replaced_at_the_next_attempt() -> None:
    site = Site()
    async with output(site) as made:
        await made.send(events(1))
        site.valid = "another"
        with pytest.raises(Retryable, match="rejects the access token"):
            await made.send(events(1))
        await made.send(events(1))
    assert site.taken == ["Bearer token-1", "Bearer token-1", "Bearer token-2"]


async def test_a_new_token_that_is_not_taken_needs_an_operator() -> None:
    site = Site()
    site.token = lambda _: json_reply({"access_token": "wrong", "expires_in": 3600})
    async with output(site) as made:
        for _ in range(2):
            with pytest.raises(Hold, match="does not accept the credentials"):
                await made.send(events(1))
    assert len(site.issued) == 2


@pytest.mark.parametrize(
    ("reply", "said"),
    [
        (json_reply({"error": "invalid_client", "error_description": "no s3cret&"}, 401), "invalid_client"),
        (json_reply({"error": "invalid_scope"}, 400), "invalid_scope"),
        (Reply(404, b"<html>"), "404"),
        (Reply(200, b"<html>sign in</html>"), "without an access_token"),
        (json_reply({"access_token": "a\r\nX-Forged: 1"}), "without an access_token"),
        (json_reply(["access_token"]), "without an access_token"),
    ],
)
async def test_a_token_endpoint_that_refuses_needs_an_operator(reply: Reply, said: str) -> None:
    site = Site()
    site.token = lambda _: reply
    async with output(site) as made:
        with pytest.raises(Hold, match=said) as caught:
            await made.send(events(1))
    assert "s3cret" not in caught.value.reason
    assert site.taken == []


@pytest.mark.parametrize(("way", "quoted"), [("body", "body"), ("header", "authorization")])
async def test_a_token_endpoint_that_quotes_the_request_gives_no_secret_away(way: str, quoted: str) -> None:
    site = Site()
    site.token = lambda asked: Reply(
        400, b"bad request: " + (asked.body if quoted == "body" else asked.headers[quoted].encode())
    )
    async with output(site, client_auth=way) as made:
        with pytest.raises(Hold, match="bad request") as caught:
            await made.send(events(1))
    secrets = ("s3cret", base64.b64encode(b"client:s3cret%26").decode())
    assert not [secret for secret in secrets if secret in caught.value.reason]


@pytest.mark.parametrize(("status", "headers", "after"), [(503, {}, None), (429, {"retry-after": "9"}, 9)])
async def test_a_token_endpoint_in_trouble_is_asked_again(
    status: int, headers: dict[str, str], after: float | None
) -> None:
    site = Site()
    site.token = lambda _: Reply(status, headers=headers)
    async with output(site) as made:
        with pytest.raises(Retryable) as caught:
            await made.send(events(1))
        assert caught.value.after == after
        site.token = lambda _: json_reply({"access_token": "t", "expires_in": 60})
        site.valid = "t"
        await made.send(events(1))


async def test_a_rotated_client_secret_is_read_when_the_output_is_opened_again(tmp_path: Path) -> None:
    site = Site()
    secret = tmp_path / "secret"
    secret.write_text("old")
    async with output(site, client_secret=Reference(secret.read_text)) as made:
        await made.send(events(1))
        secret.write_text("new")
        await made.open()
        await made.send(events(1))
    assert [request.body.rpartition(b"=")[2] for request in site.issued] == [b"old", b"new"]


async def test_check_asks_for_a_token() -> None:
    site = Site()
    async with output(site) as made:
        assert "got an access token" in await made.check()
    assert len(site.issued) == 1
    assert site.taken == []


async def test_the_token_endpoint_has_authorities_of_its_own(tmp_path: Path) -> None:
    site = Site()
    private = authority(tmp_path)
    async with scripted(site, tls=private.server) as server, scripted(site) as collector:
        for tls, outcome in ((None, Hold), ({"ca_file": private.ca_file}, None)):
            oauth2 = {"token_url": f"{server.url}/token", "client_id": "c", "client_secret": "s3", "tls": tls}
            settings = HttpSettings.model_validate(
                {"type": "http", "url": f"{collector.url}/in", "auth": {"oauth2": oauth2}}
            )
            made = HttpOutput(settings, lambda: NOW)
            if outcome is None:
                await made.send(events(1))
            else:
                with pytest.raises(outcome):
                    await made.send(events(1))
            await made.close()


def test_no_secret_of_the_client_is_shown() -> None:
    given = {"token_url": "https://login.example/canary/token", "client_id": "c", "client_secret": "canary"}
    settings = HttpSettings.model_validate(
        {"type": "http", "url": "https://collector.example", "auth": {"oauth2": given}}
    )
    assert "canary" not in f"{settings!r} {settings.model_dump()} {settings.model_dump_json()}"
    assert "canary" not in repr(AccessToken("canary", 0.0, "canary"))
    with pytest.raises(ValidationError, match="set twice: authorization"):
        HttpSettings.model_validate(
            {
                "type": "http",
                "url": "https://collector.example",
                "headers": {"Authorization": "x"},
                "auth": {"oauth2": given},
            }
        )
